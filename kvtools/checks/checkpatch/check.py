# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the tree's own checkpatch.pl on the mail.

It runs in an empty directory, for it leaves a cache where it is. Commits that a message names are
looked up by the check ``fixes``: here all those would be unknown that an imported tree cannot have.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from kvtools import process
from kvtools.checks.program import Finding, Request, Skip, run
from kvtools.git.command import git

CONF = ".checkpatch.conf"
_LINE = re.compile(r"(?:(?P<file>[^:\n]*):(?P<line>\d+): )?(?P<word>ERROR|WARNING|CHECK):"
                   r"(?P<type>[A-Z0-9_]+): (?P<text>.*)$")
_COUNT = re.compile(r"\b\d+ exceeds\b|\bexceeds \d+\b|\(\d+,\s*\d+\)")


class CamelCase:
    """The list of names in camel case that checkpatch makes of all headers (3 s) where a patch has
    such a name, and looks for under the time of the newest header: kept by their content."""

    def __init__(self, request: Request) -> None:
        tree = git(request.repo, "rev-parse", f"{request.commit}:include").text.strip()
        self._kept = request.cache / f"camelcase.{tree}"
        self._include = request.at("include")

    def put(self) -> None:
        if self._kept.is_file():
            newest = max(p.stat().st_mtime for p in self._include.rglob("*.h"))
            stamp = time.strftime("%Y%m%d%H%M", time.localtime(newest))
            shutil.copy(self._kept, f".checkpatch-camelcase.date.{stamp}")

    def keep(self) -> None:
        made = next(Path().glob(".checkpatch-camelcase.date.*"), None)
        if made and not self._kept.is_file():
            part = self._kept.with_suffix(f".{os.getpid()}")
            shutil.copy(made, part)
            part.replace(self._kept)


def check(request: Request) -> Iterator[Finding]:
    assert request.worktree is not None
    if request.at(CONF).is_file():
        shutil.copy(request.at(CONF), CONF)
    names = CamelCase(request)
    names.put()
    done = process.run(
        ["perl", request.at("scripts/checkpatch.pl"), f"--root={request.worktree}", "--strict",
         "--no-summary", "--terse", "--showfile", "--show-types", "--color=never",
         str(request.patch)],
        deadline=110, check=False)
    if done.returncode not in (0, 1):
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise RuntimeError(words[-1] if words else f"checkpatch ended with {done.returncode}")
    names.keep()
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
