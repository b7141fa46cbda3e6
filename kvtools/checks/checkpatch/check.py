# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the tree's own checkpatch.pl on the mail.

It runs in an empty directory: it leaves a cache where it is, and where it sees no .git it does
not complain about commits that an imported tree cannot have (the check ``fixes`` looks them up).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from kvtools import process
from kvtools.checks.program import Finding, Request, Skip, run

CONF = ".checkpatch.conf"
_LINE = re.compile(r"(?:(?P<file>[^:\n]*):(?P<line>\d+): )?(?P<word>ERROR|WARNING|CHECK):"
                   r"(?P<type>[A-Z0-9_]+): (?P<text>.*)$")
_COUNT = re.compile(r"\b\d+ exceeds\b|\bexceeds \d+\b|\(\d+,\s*\d+\)")


def check(request: Request) -> Iterator[Finding]:
    assert request.worktree is not None
    if request.at(CONF).is_file():
        shutil.copy(request.at(CONF), CONF)
    done = process.run(
        ["perl", request.at("scripts/checkpatch.pl"), f"--root={request.worktree}", "--strict",
         "--no-summary", "--terse", "--showfile", "--show-types", "--color=never",
         str(request.patch)],
        deadline=110, check=False)
    if done.returncode not in (0, 1):
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise RuntimeError(words[-1] if words else f"checkpatch ended with {done.returncode}")
    for row in done.text.splitlines():
        match = _LINE.match(row)
        if match:
            yield _finding(request, match)
        elif "is not a kernel" in row or "Must be run from the top" in row:
            raise Skip(row)


def _finding(request: Request, match: re.Match[str]) -> Finding:
    file, line = match["file"] or "", int(match["line"] or 0)
    if not file or not (request.at(file).is_file() and Path(file).name):
        file, line = "", 0
    level = request.options.get(match["word"], "warn")
    text = _COUNT.sub("", match["text"])
    return Finding(match["type"], text, file, line, message=match["text"], severity=str(level))


if __name__ == "__main__":
    run(check)
