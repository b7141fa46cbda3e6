# SPDX-License-Identifier: GPL-2.0-or-later
"""The ``.X.o.cmd`` files in which kbuild records what made X and which files were read. Pure.

scripts/basic/fixdep.c writes them. What a command means is for those who ask: the units that
compile one again are content with less than the headers that must be sure of it.
"""

from __future__ import annotations

from dataclasses import dataclass

# cmd_ until 6.2, savedcmd_ since (commit 92215e7a801d "kbuild: rename cmd_$@ to savedcmd_$@")
_COMMAND = ("cmd_", "savedcmd_")


@dataclass(frozen=True, slots=True)
class DotCmd:
    """First command, source and dependencies as written; "" and () for what is not there."""

    command: str = ""
    source: str = ""
    dependencies: tuple[str, ...] = ()


def parse(text: str) -> DotCmd:
    """Read a ``.cmd`` file. Thousands of lines a kernel: no regular expressions."""
    command = source = ""
    files: list[str] = []
    for line in text.splitlines():
        if line.startswith("  "):
            name = line.strip(" \\")
            if name and not name.startswith("$("):  # $(wildcard include/config/SYMBOL)
                files.append(name)
        elif line.startswith(_COMMAND):
            command = command or line.partition(":= ")[2]
        elif line.startswith("source_"):
            source = source or line.partition(":= ")[2].strip()
    return DotCmd(command, source, tuple(files))


def unescaped(command: str) -> str:
    """A command as the shell gets it: make's own escapes undone."""
    return command.replace("$(pound)", "#").replace("$$", "$")
