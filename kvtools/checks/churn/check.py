# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines that one patch adds and a later one of the same series removes: whoever reviews the
first reads them for nothing. Lines that only move or change their indentation do not count."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from kvtools.checks.commits import Change, changes, commits
from kvtools.checks.program import Finding, Request, run
from kvtools.git.command import git

_MEANS = re.compile(r"\w.*\w.*\w")
_BLAME = re.compile(r"^([0-9a-f]{40}) \d+ (\d+)")
_SMALL = re.compile(r"\s*(?:return;?|break;|else|default:|goto \w+;|\*/?|#endif.*|#else)\s*$")


def check(request: Request) -> Iterator[Finding]:
    order = commits(request)
    number_of = {commit: number for number, commit in enumerate(order, 1)}
    least = int(request.options.get("lines", 3))
    for number, commit in enumerate(order, 1):
        if number == 1:
            continue
        gone: Counter[tuple[int, str]] = Counter()
        shown: dict[tuple[int, str], list[str]] = {}
        for change in changes(request, commit):
            for line, text in _lost(change):
                origin = number_of.get(_blamed(request, order[number - 2], change).get(line, ""))
                if origin:
                    gone[origin, change.path] += 1
                    shown.setdefault((origin, change.path), []).append(f"-{text}")
        for (origin, path), count in gone.items():
            if count >= least:
                yield Finding("CHURN", f"removes lines that patch {origin} added", path,
                              message=f"removes {count} lines that patch {origin} added",
                              patch=number, lines=tuple(shown[origin, path][:8]))


def _lost(change: Change) -> Sequence[tuple[int, str]]:
    """Removed lines that mean something and are not added again."""
    kept = Counter("".join(text.split()) for _, text in change.added)
    lost = []
    for line, text in change.removed:
        mark = "".join(text.split())
        if kept[mark] > 0:
            kept[mark] -= 1
        elif _MEANS.search(text) and not _SMALL.match(text):
            lost.append((line, text))
    return lost


_CACHE: dict[tuple[str, str], dict[int, str]] = {}


def _blamed(request: Request, commit: str, change: Change) -> dict[int, str]:
    """Line (from 1) to the commit of the series that it comes from, in the file at ``commit``."""
    key = (commit, change.old)
    if key not in _CACHE:
        ranges = [f"-L{line},{line}" for line, _ in change.removed]
        text = git(request.repo, "blame", "--porcelain", "-w", *ranges,
                   f"{request.base_commit}..{commit}", "--", change.old, check=False).text
        _CACHE[key] = {int(m[2]): m[1] for row in text.splitlines() if (m := _BLAME.match(row))}
    return _CACHE[key]


if __name__ == "__main__":
    run(check)
