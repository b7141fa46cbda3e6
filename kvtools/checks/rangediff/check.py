# SPDX-License-Identifier: GPL-2.0-or-later
"""What changed since the last revision, as reviewers want to see it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from kvtools.checks.commits import commit_mails, scratch
from kvtools.checks.program import Note, Request, Skip, run
from kvtools.git.command import git

FILE = "range-diff.txt"
_PAIR = re.compile(r"^ *(?:\d+|-): +\S+ (?P<mark>[=!<>]) ", re.MULTILINE)
_WORDS = {"=": "as before", "!": "changed", "<": "gone", ">": "new"}


def check(request: Request) -> Iterator[Note]:
    if not request.previous:
        raise Skip("no earlier revision is at hand")
    old = commit_mails(request, request.previous, request.base_commit)
    if old is None:
        raise Skip("the earlier revision does not apply to this base")
    text = git(request.repo, "range-diff", "--no-color", "--creation-factor=80",
               f"{request.base_commit}..{old[-1]}", f"{request.base_commit}..{request.commit}",
               env=scratch(request)).text
    (request.out / FILE).write_text(text, "utf-8")
    counted = Counter(match["mark"] for match in _PAIR.finditer(text))
    said = ", ".join(f"{counted[mark]} {word}" for mark, word in _WORDS.items() if counted[mark])
    yield Note(f"{FILE}: {said}")


if __name__ == "__main__":
    run(check)
