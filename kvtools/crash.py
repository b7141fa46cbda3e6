# SPDX-License-Identifier: GPL-2.0-or-later
"""crash: commands to it, and what it answers to each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvtools import process

PROGRAM = "crash"
DEADLINE = 180.0  # reading the debug information of a kernel takes some of it
FIX = "install crash (Debian: apt-get install crash)"
_MARK = 770077000
"""`eval` of this and more separates the answers: a shell's echo would overtake crash's output."""
_MARKED = re.compile(r"\s*(hexadecimal|decimal|octal|binary): (\w+)")


@dataclass(frozen=True, slots=True)
class Said:
    """What crash said: ``to`` each command, and ``first``, before any; its exit ``status``.

    An answer is empty when crash ended before.
    """

    status: int
    first: str
    to: Mapping[str, str]

    @property
    def complaint(self) -> str:
        """Why there are no answers: the last thing it said before it ended."""
        lines = [line.strip() for line in self.first.splitlines() if line.strip()]
        return f"{lines[-1] if lines else 'it said nothing'} (exit status {self.status})"


def ask(vmlinux: Path, dump: Path, commands: Sequence[str], log: Path) -> Said:
    """All it said is in ``log``. ``-s``: no banner and no pager.

    Raises ToolMissing, ToolTimeout.
    """
    script = "".join(f"eval {_MARK + n}\n{command}\n" for n, command in enumerate(commands))
    done = process.run(
        [PROGRAM, "-s", vmlinux, dump],
        deadline=DEADLINE,
        stdin=f"{script}eval {_MARK + len(commands)}\nquit\n".encode(),
        env={"HOME": "/nonexistent", "TERM": "dumb"},
        log=log,
        check=False,
        merge=True,
    )
    return parse(done.returncode, done.text, commands)


def parse(status: int, text: str, commands: Sequence[str]) -> Said:
    """What was said behind each command's mark."""
    parts: dict[int, list[str]] = {}
    current = -1
    for line in text.splitlines():
        match = _MARKED.match(line)
        if not match:
            parts.setdefault(current, []).append(line)
        elif match[1] == "decimal" and match[2].isdigit():
            current = int(match[2]) - _MARK
    said = {n: "\n".join(lines).strip() for n, lines in parts.items()}
    return Said(status, said.get(-1, ""), {c: said.get(n, "") for n, c in enumerate(commands)})
