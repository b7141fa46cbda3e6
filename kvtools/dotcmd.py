# SPDX-License-Identifier: GPL-2.0-or-later
"""The ``.X.o.cmd`` files in which kbuild records what made X and which files were read.

scripts/basic/fixdep.c writes them. What a command means is for those who ask: the units that
compile one again are content with less than the headers that must be sure of it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

# cmd_ until 6.2, savedcmd_ since (commit 92215e7a801d "kbuild: rename cmd_$@ to savedcmd_$@")
_COMMAND = ("cmd_", "savedcmd_")


@dataclass(frozen=True, slots=True)
class DotCmd:
    """First command, source and dependencies as written; "" and () for what is not there."""

    command: str = ""
    source: str = ""
    dependencies: tuple[str, ...] = ()


def read(path: Path) -> DotCmd:
    """Read a ``.cmd`` file, once for each of its states: a kernel has a thousand, each names
    hundreds of files, and a build asks for all of them several times. Raises OSError."""
    state = path.stat()
    return _read(str(path), state.st_mtime_ns, state.st_size, state.st_ino)


@lru_cache(maxsize=8192)
def _read(path: str, changed: int, size: int, inode: int) -> DotCmd:
    return parse(Path(path).read_text("utf-8", "surrogateescape"))


def parse(text: str) -> DotCmd:
    """Read a ``.cmd`` file. Thousands of lines a kernel: no regular expressions."""
    command = source = ""
    files: list[str] = []
    for line in text.splitlines():
        if line.startswith("  "):
            name = line.strip(" \\")
            if name and not name.startswith("$("):  # $(wildcard include/config/SYMBOL)
                files.append(sys.intern(name))  # units share most of theirs
        elif line.startswith(_COMMAND):
            command = command or line.partition(":= ")[2]
        elif line.startswith("source_"):
            source = source or line.partition(":= ")[2].strip()
    return DotCmd(command, source, tuple(files))


def unescaped(command: str) -> str:
    """A command as the shell gets it: make's own escapes undone."""
    return command.replace("$(pound)", "#").replace("$$", "$")
