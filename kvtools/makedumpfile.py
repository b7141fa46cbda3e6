# SPDX-License-Identifier: GPL-2.0-or-later
"""makedumpfile: on the host on files, and as options for the crash kernel that runs it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kvtools import process
from kvtools.errors import ToolMissing

PROGRAM = "makedumpfile"
MESSAGES = ("--message-level", "22")  # common messages, errors, the report
DEADLINE = 120.0  # seconds for some hundred MiB on a busy machine
FIX = "install makedumpfile (Debian: apt-get install makedumpfile)"
METHODS = {"zlib": "-c", "lzo": "-l", "zstd": "-z"}
"""How pages can be compressed, and the option for it. (The format knows snappy, -p, too.)"""


@dataclass(frozen=True, slots=True)
class Written:
    """One run: what it said, its status (0 is good) and the seconds it took."""

    said: str
    status: int
    seconds: float

    @property
    def complaint(self) -> str:
        """The line that tells why it failed: the one before its last words."""
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        told = [line for line in lines if line != "makedumpfile Failed."]
        last = told[-1] if told else "it said nothing"
        return f"{last} (makedumpfile ended with status {self.status})"


def version() -> str:
    """What it says of itself: release and built-in ways to compress. Raises ToolMissing."""
    if process.which(PROGRAM) is None:
        raise ToolMissing("makedumpfile is not installed", fix=FIX)
    return process.run([PROGRAM, "-v"], deadline=DEADLINE, check=False, merge=True).text


def methods(said: str) -> tuple[str, ...]:
    """The ways to compress that a build has, by what :func:`version` says; zlib always.

    >>> methods("makedumpfile: version 1.7.2 (released on 20 Oct 2022)\\nlzo\\tenabled\\n")
    ('zlib', 'lzo')
    """
    enabled = {line.split()[0] for line in said.splitlines() if line.split()[1:] == ["enabled"]}
    return tuple(name for name in METHODS if name == "zlib" or name in enabled)


def options(level: int, method: str = "") -> tuple[str, ...]:
    """For a dump level; ``method`` is one of :data:`METHODS`, empty for none."""
    return ("-d", str(level), *([METHODS[method]] if method else []))


def write(source: Path, target: Path, level: int, method: str = "") -> Written:
    """Dump ``source`` again at a level. Raises ToolMissing, ToolTimeout."""
    argv: Sequence[str | Path] = [PROGRAM, *MESSAGES, *options(level, method), source, target]
    start = time.monotonic()
    done = process.run(argv, deadline=DEADLINE, check=False, merge=True)
    return Written(done.text, done.returncode, time.monotonic() - start)
