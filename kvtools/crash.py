# SPDX-License-Identifier: GPL-2.0-or-later
"""crash: commands to it, and what it answers to each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from kvtools import process

PROGRAM = "crash"
DEADLINE = 180.0  # reading the debug information of a kernel takes some of it
FIX = "install crash (Debian: apt-get install crash)"
_MARK = 770077000
"""`eval` of this and more separates the answers: a shell's echo would overtake crash's output."""
_MARKED = re.compile(r"\s*(hexadecimal|decimal|octal|binary): (\w+)")


def ask(
    vmlinux: Path, dump: Path, commands: Sequence[str], log: Path
) -> tuple[int, dict[str, str]]:
    """Its exit status and the answer to every command; all it said is in ``log``.

    ``-s``: no banner and no pager. An answer is empty when crash ended before. Raises
    ToolMissing, ToolTimeout.
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
    return done.returncode, answers(done.text, commands)


def answers(said: str, commands: Sequence[str]) -> dict[str, str]:
    """What was said behind each command's mark."""
    parts: dict[int, list[str]] = {}
    current = -1
    for line in said.splitlines():
        match = _MARKED.match(line)
        if not match:
            parts.setdefault(current, []).append(line)
        elif match[1] == "decimal" and match[2].isdigit():
            current = int(match[2]) - _MARK
    return {c: "\n".join(parts.get(n, ())).strip() for n, c in enumerate(commands)}
