# SPDX-License-Identifier: GPL-2.0-or-later
"""``subsystem: what``, with a prefix that commits to these files had before."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from kvtools.checks.program import Finding, Note, Request, run
from kvtools.git.command import git

_PREFIX = re.compile(r"(?P<prefix>(?:\w[\w./,+*{}()&<>-]*(?: [\w./,+*{}()&<>-]+){0,3}: ?)+)")
_FREE = re.compile(r"(?:Revert|Reapply) \"|Merge |Linux \d")


def check(request: Request) -> Iterator[Finding | Note]:
    title = request.mail.subject.title
    if _FREE.match(title):
        return
    own = parts(title)
    if not own:
        yield Finding("NO_PREFIX", "the subject has no 'subsystem:' before what it does")
        return
    history = _subjects(request)
    if not history:
        yield Note("the files have no history here: the prefix was not compared")
        return
    counted = Counter(prefix for one in history for prefix in {"".join(p + ":" for p in parts(one))}
                      if prefix)
    words = {part.casefold() for one in history for part in parts(one)}
    words |= {word for part in words for word in re.split(r"[/, ]+", part)}
    if not any(w.casefold() in words for part in own for w in (part, *re.split(r"[/, ]+", part))):
        usual = ", ".join(f"'{prefix}'" for prefix, _ in counted.most_common(3))
        text = f"no commit to these files begins with '{own[0]}:'"
        yield Finding("UNUSUAL_PREFIX", text, message=f"{text}; usual are {usual}")


def parts(title: str) -> list[str]:
    """``net: mana`` of "net: mana: Add X"."""
    match = _PREFIX.match(title)
    return [p.strip() for p in match["prefix"].split(":") if p.strip()] if match else []


def _subjects(request: Request) -> list[str]:
    """The subjects of the last commits to the touched files before the series, newest first."""
    needed = int(request.options.get("history", 1000))
    count = git(request.repo, "rev-list", "--count", f"--max-count={needed}",
                request.base_commit).text
    if int(count) < needed:
        return []
    paths = [t.old for t in request.touched if t.old] or sorted(
        {t.path.rpartition("/")[0] or "." for t in request.touched if t.path})
    limit = request.options.get("commits", 40)
    return git(request.repo, "log", f"--max-count={limit}", "--no-merges", "--format=%s",
               "--end-of-options", request.base_commit, "--", *paths).text.splitlines()


if __name__ == "__main__":
    run(check)
