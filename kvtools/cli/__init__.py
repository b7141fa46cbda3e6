# SPDX-License-Identifier: GPL-2.0-or-later
# PYTHON_ARGCOMPLETE_OK
"""Arguments to requests, errors to one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

from kvtools.cli.arguments import parser
from kvtools.errors import Interrupted, KvtoolsError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code.

    0 all good, 1 a patch is at fault, 2 usage or bad input, 3 ERROR, 130 after Ctrl-C.
    """
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser())
    arguments = parser().parse_args(argv)
    code: int = 0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminated)
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
        return code
    except KvtoolsError as error:
        print(f"kvtools: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        _stop()
        print("kvtools: interrupted", file=sys.stderr)
        return Interrupted.exit_code
    except _Terminated as ended:
        _stop()
        return 128 + ended.number
    except BrokenPipeError:
        # The reader of our output went away (| head): not an error, and nothing more to say.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - lives until exit
        return code
    except Exception:  # exit 1 would blame a patch for our own fault
        traceback.print_exc()
        print("kvtools: a fault in kvtools itself, see above; please report it", file=sys.stderr)
        return KvtoolsError.exit_code


class _Terminated(BaseException):
    """SIGTERM or SIGHUP: clean up as after Ctrl-C, then end with the shell's status for it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _terminated(number: int, frame: FrameType | None) -> None:
    raise _Terminated(number)


def _stop() -> None:
    from kvtools import process

    process.stop_all()
