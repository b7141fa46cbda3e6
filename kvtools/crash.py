# SPDX-License-Identifier: GPL-2.0-or-later
"""crash: commands to it, and what it answers to each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kvtools import process

PROGRAM = "crash"
DEADLINE = 180.0  # reading the debug information of a kernel takes some of it
FIX = "install crash (Debian: apt-get install crash)"
_MARK = "kvtools-answer"


def ask(
    vmlinux: Path, dump: Path, commands: Sequence[str], log: Path
) -> tuple[int, dict[str, str]]:
    """Its exit status and the answer to every command; all it said is in ``log``.

    ``-s``: no banner and no pager, ``-i /dev/null``: nobody's .crashrc. An answer is empty
    when crash ended before. Raises ToolMissing, ToolTimeout.
    """
    script = "".join(f"!echo {_MARK} {n}\n{command}\n" for n, command in enumerate(commands))
    done = process.run(
        [PROGRAM, "-s", vmlinux, dump],
        deadline=DEADLINE,
        stdin=f"{script}!echo {_MARK} end\nquit\n".encode(),
        env={"HOME": "/nonexistent", "TERM": "dumb"},
        log=log,
        check=False,
        merge=True,
    )
    return done.returncode, answers(done.text, commands)


def answers(said: str, commands: Sequence[str]) -> dict[str, str]:
    """What was said behind each command's mark."""
    parts: dict[str, list[str]] = {}
    current = ""
    for line in said.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == _MARK:
            current = words[1]
        else:
            parts.setdefault(current, []).append(line)
    return {c: "\n".join(parts.get(str(n), ())).strip() for n, c in enumerate(commands)}
