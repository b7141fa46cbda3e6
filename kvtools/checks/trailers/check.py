# SPDX-License-Identifier: GPL-2.0-or-later
"""Tags as tools read them: git interpret-trailers takes the last paragraph only, and a
misspelt tag is none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from kvtools.checks.message import PEOPLE, TAGS, Trailer, trailers
from kvtools.checks.program import Finding, Request, run

_BEFORE_SIGNOFF = ("Fixes", "Reported-by", "Suggested-by", "Closes")
_NO_PERSON = ("Reported-by", "Suggested-by")  # syzbot, a robot, somebody on IRC
_NEAR = 0.85


def check(request: Request) -> Iterator[Finding]:
    yield from findings(request.mail.message)


def findings(message: str) -> Iterator[Finding]:
    found = trailers(message)
    for one in found:
        yield from _spelling(one)
        if one.name in PEOPLE and one.name not in _NO_PERSON and "@" not in one.address:
            yield Finding("NO_ADDRESS", f"'{one.key}: {one.value}' names no address")
    yield from _twice(found)
    yield from _block(message, found)
    yield from _order(found)


def _spelling(one: Trailer) -> Iterator[Finding]:
    if one.key in TAGS:
        return
    if one.name in TAGS:
        yield Finding("SPELLING", f"'{one.key}:' is usually written '{one.name}:'")
        return
    near = difflib.get_close_matches(one.key, TAGS, 1, _NEAR)
    if near:
        yield Finding("SPELLING", f"'{one.key}:' may be meant to be '{near[0]}:'")


def _twice(found: tuple[Trailer, ...]) -> Iterator[Finding]:
    seen: set[tuple[str, str]] = set()
    for one in found:
        mark = (one.name, one.value.casefold())
        if mark in seen and one.name != "Signed-off-by":  # signoff tells that
            yield Finding("TWICE", f"'{one.key}: {one.value}' is there twice")
        seen.add(mark)


def _block(message: str, found: tuple[Trailer, ...]) -> Iterator[Finding]:
    """Tags of people belong to the last paragraph."""
    people = [t for t in found if t.name in PEOPLE]
    if not people:
        return
    rows = message.split("\n")
    last = max(t.last for t in found)
    after = [row for row in rows[last:] if row.strip()]
    if after and not any(_is_note(row) for row in after):
        yield Finding("TEXT_BELOW", "there is text below the tags: tools take the last paragraph "
                      "only")
    first = min(t.line for t in people)
    taken = {n for t in found for n in range(t.line, t.last + 1)}
    between = [n for n in range(first, last) if n not in taken]
    if any(not rows[n - 1].strip() for n in between):
        yield Finding("BLANK_BETWEEN", "there is a blank line between the tags: tools take the "
                      "last paragraph only")


def _is_note(row: str) -> bool:
    return bool(re.match(r"\[|\(cherry picked|\(backported|-- $|conflicts:", row, re.IGNORECASE))


def _order(found: tuple[Trailer, ...]) -> Iterator[Finding]:
    """What the author knew stands above the author's Signed-off-by; others add below."""
    names = [t.name for t in found]
    if "Signed-off-by" not in names:
        return
    first = names.index("Signed-off-by")
    signed_after = "Signed-off-by" in names[first + 1:]
    for one in found[first + 1:]:
        if one.name in _BEFORE_SIGNOFF and not signed_after:
            yield Finding("ORDER", f"'{one.key}:' stands below the author's Signed-off-by")


if __name__ == "__main__":
    run(check)
