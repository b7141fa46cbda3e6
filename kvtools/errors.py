# SPDX-License-Identifier: GPL-2.0-or-later
"""The exception tree. The type of an error names who has to act.

::

    KvtoolsError
    +-- UserError            bad arguments or input          exit 2
    |   +-- SeriesError      a series that cannot be read
    |   +-- BaseError        a base that does not exist or fit
    |   +-- ConfigError      a config that does not exist or parse
    +-- MachineError         this machine or our own fault   exit 3
        +-- ToolMissing      an outside program is not installed
        +-- ToolFailed       an outside program failed unexpectedly
        |   +-- ToolTimeout  ... or ran past its deadline
        +-- GuestLost        QEMU died or stopped answering without a kernel splat
        +-- Interrupted      the user pressed Ctrl-C

A fault of the patch or of the kernel is never an exception: it is an
:class:`kvtools.model.Outcome` with status FAIL.
"""

from __future__ import annotations


class KvtoolsError(Exception):
    """An error with one line for the user and, where there is one, the way out.

    ``message`` names what and where; ``fix`` says what to do next.
    """

    exit_code = 3

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}; {self.fix}" if self.fix else self.message


class UserError(KvtoolsError):
    """The arguments or the input are wrong; nothing was run."""

    exit_code = 2


class SeriesError(UserError):
    """The series cannot be read, or is not a series."""


class BaseError(UserError):
    """The base does not exist, is not a kernel tree, or cannot be had here."""


class ConfigError(UserError):
    """A config or fragment does not exist or does not parse."""


class MachineError(KvtoolsError):
    """This machine (disk, network, program, our own code) failed; never a patch's fault."""


class ToolMissing(MachineError):
    """An outside program is not installed."""


class ToolFailed(MachineError):
    """An outside program failed where it had no business failing."""


class ToolTimeout(ToolFailed):
    """An outside program ran past its deadline and was killed."""


class GuestLost(MachineError):
    """QEMU died or stopped answering and the console shows no kernel fault."""


class Interrupted(MachineError):
    """The user asked to stop."""

    exit_code = 130
