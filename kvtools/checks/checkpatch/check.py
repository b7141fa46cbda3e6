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
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from kvtools import git as git_module
from kvtools import process
from kvtools.checks.program import Finding, Note, Request, Skip, run
from kvtools.git.command import git

CONF = ".checkpatch.conf"
MACROS = ("MACRO_ARG_REUSE", "MACRO_ARG_PRECEDENCE", "MACRO_ARG_UNUSED", "COMPLEX_MACRO",
          "MULTISTATEMENT_MACRO_USE_DO_WHILE", "SINGLE_STATEMENT_DO_WHILE_MACRO",
          "MACRO_WITH_FLOW_CONTROL")
"""Types that judge a macro, of all of its lines."""
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


def check(request: Request) -> Iterator[Finding | Note]:
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
    found = list(_findings(request, done.text))
    indented = {(f.file, f.line) for f in found if f.rule == "CODE_INDENT"}
    known, only_moved = _macros_before(request, found), _moved(request, found)
    if only_moved:
        yield Note(f"not told of lines that only moved: {_names(only_moved)}")
    for one in found:
        # spaces where a tab has to be are both
        double = one.rule == "LEADING_SPACE" and (one.file, one.line) in indented
        if not (double or one in only_moved or _of_macro(one, _row(request, one)) in known):
            yield one


def _findings(request: Request, output: str) -> Iterator[Finding]:
    for row in output.splitlines():
        match = _LINE.match(row)
        if match:
            yield _finding(request, match)
        elif "is not a kernel" in row or "Must be run from the top" in row:
            raise Skip(row)


def _names(findings: Sequence[Finding]) -> str:
    counted = Counter(one.rule for one in findings)
    return ", ".join(f"{number} {name}" for name, number in sorted(counted.items()))


def _row(request: Request, finding: Finding) -> str:
    rows = request.text(finding.file).split("\n") if finding.file else []
    return rows[finding.line - 1] if 0 < finding.line <= len(rows) else ""


def _moved(request: Request, found: Sequence[Finding]) -> list[Finding]:
    """Those of lines that the patch only moves: who moves code must not change it in the same patch
    (Documentation/process/submitting-patches.rst, "Style-check your changes"). A line that it takes
    away once and adds twice is one that moved and a new one. A brace is no code that moved."""
    rows = Counter(row[1:].decode("utf-8", "replace") for file in request.diff
                   for hunk in file.hunks for row in hunk.lines if row[:1] == b"-")
    seen: Counter[tuple[str, str]] = Counter()
    moved = []
    for one in found:
        row = _row(request, one)
        if len(row.strip()) > 3 and seen[one.rule, row] < rows[row]:
            seen[one.rule, row] += 1
            moved.append(one)
    return moved


def _macros_before(request: Request, found: Sequence[Finding]) -> frozenset[tuple[str, str, str]]:
    """What checkpatch says of macros of the parent's files, where it says something of one of the
    patch: the whole macro is judged when one line of it is new."""
    files = {f.file for f in found if f.rule in MACROS}
    known: set[tuple[str, str, str]] = set()
    for file in sorted(files):
        old = next((t.old for t in request.touched if t.path == file and t.old), None)
        content = git_module.blob(request.repo, request.parent, old) if old else None
        if content is None:
            continue
        source = Path(f"before{Path(file).suffix}")
        source.write_bytes(content)
        rows = content.decode("utf-8", "replace").split("\n")
        done = process.run(
            ["perl", request.at("scripts/checkpatch.pl"), f"--root={request.worktree}", "--strict",
             "--no-summary", "--terse", "--showfile", "--show-types", "--color=never",
             "--types", ",".join(MACROS), "-f", str(source)], deadline=60, check=False)
        for one in map(_LINE.match, done.text.splitlines()):
            if one and 0 < int(one["line"] or 0) <= len(rows):
                said = Finding(one["type"], _COUNT.sub("", one["text"]))
                known.add(_of_macro(said, rows[int(one["line"]) - 1]))
    return frozenset(known)


def _of_macro(finding: Finding, row: str) -> tuple[str, str, str]:
    """A finding by the line with ``#define``, whatever blanks it has before the backslash."""
    return finding.rule, finding.text, " ".join(row.split())


def _finding(request: Request, match: re.Match[str]) -> Finding:
    file, line = match["file"] or "", int(match["line"] or 0)
    if not file or not (request.at(file).is_file() and Path(file).name):
        file, line = "", 0
    level = request.options.get(match["word"], "warn")
    text = _COUNT.sub("", match["text"])
    return Finding(match["type"], text, file, line, message=match["text"], severity=str(level))


if __name__ == "__main__":
    run(check)
