# SPDX-License-Identifier: GPL-2.0-or-later
"""Patch 0 of a series of several."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvtools import mail
from kvtools.checks.program import Finding, Request, run
from kvtools.git.command import git

_STAT = re.compile(r"^ (?P<path>\S.*?) +\| +(?:\d+|Bin\b.*)(?: [+-]+)?\s*$", re.MULTILINE)
_TOTAL = re.compile(r"^ (?P<files>\d+) files? changed(?:, (?P<plus>\d+) insertions?\(\+\))?"
                    r"(?:, (?P<minus>\d+) deletions?\(-\))?$", re.MULTILINE)
_SHORTLOG = re.compile(r"^\S.* \(\d+\):$", re.MULTILINE)


def check(request: Request) -> Iterator[Finding]:
    if request.cover is None:
        if request.count > 1:
            yield Finding("NO_COVER", f"there is no cover letter to the {request.count} patches",
                          message=f"there is no cover letter to the {request.count} patches")
        return
    letter = mail.parse(request.cover.read_bytes())
    text = letter.text
    if "*** SUBJECT HERE ***" in letter.subject.title or "*** BLURB HERE ***" in text:
        yield Finding("PLACEHOLDER", "the cover letter still has git's *** ... HERE ***")
    yield from _diffstat(request, text)
    if _SHORTLOG.search(text):
        flat = " ".join(text.split())
        for number, path in enumerate(request.series, 1):
            title = mail.parse(path.read_bytes()).subject.title
            if " ".join(title.split()) not in flat:
                yield Finding("SHORTLOG", f"'{title}' is not in the shortlog of the cover letter",
                              patch=number)


def _diffstat(request: Request, text: str) -> Iterator[Finding]:
    total = list(_TOTAL.finditer(text))
    if not total:
        yield Finding("NO_DIFFSTAT", "the cover letter has no diffstat")
        return
    said = tuple(int(total[-1][key] or 0) for key in ("files", "plus", "minus"))
    listed = git(request.repo, "diff", "--numstat", "-M", "--no-color", "--no-ext-diff", "-z",
                 request.base_commit, request.commit).text
    rows = re.findall(r"(?:^|\0)(\d+|-)\t(\d+|-)\t", listed)
    real = (len(rows), sum(int(a) for a, _ in rows if a != "-"),
            sum(int(b) for _, b in rows if b != "-"))
    if said != real:
        yield Finding("DIFFSTAT", "the diffstat of the cover letter is not that of the series",
                      message=f"the diffstat says {_words(said)}; the series has {_words(real)}")
        return
    names = git(request.repo, "diff", "--name-only", "-M", "-z", request.base_commit,
                request.commit).text.split("\0")
    for match in _STAT.finditer(text):
        path = match["path"].strip()
        end = path.removeprefix("...").split(" => ")[-1].rstrip("}")
        if not any(name.endswith(end) for name in names):
            yield Finding("DIFFSTAT_FILE", f"the diffstat has {path}, which the series does not "
                          "touch")


def _words(stat: tuple[int, ...]) -> str:
    return f"{stat[0]} files, +{stat[1]} -{stat[2]}"


if __name__ == "__main__":
    run(check)
