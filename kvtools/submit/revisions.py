# SPDX-License-Identifier: GPL-2.0-or-later
"""What changed since the last revision: a draft for the author, from ``git range-diff``. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PAIR = re.compile(r"^ *(?P<old>\d+|-): +\S+ (?P<mark>[=!<>]) +(?P<new>\d+|-): +\S+ "
                   r"(?P<subject>.*)$")
_CODE = re.compile(r"^ {4}[-+][-+]")
_MESSAGE = re.compile(r"^ {4}[-+] {4}")


def draft(range_diff: str) -> list[str]:
    """One line for each patch that is not as it was."""
    return list(_lines(range_diff))


def _lines(range_diff: str) -> Iterator[str]:
    head: re.Match[str] | None = None
    body: list[str] = []
    for row in [*range_diff.splitlines(), ""]:
        match = _PAIR.match(row)
        if match or not row:
            if head:
                yield from _line(head, body)
            head, body = match, []
        else:
            body.append(row)


def _line(head: re.Match[str], body: list[str]) -> Iterator[str]:
    old, new, subject = head["old"], head["new"], head["subject"].strip()
    if head["mark"] == "<":
        yield f"patch {old} of the last revision is gone: {subject}"
    elif head["mark"] == ">":
        yield f"patch {new} is new: {subject}"
    elif head["mark"] == "!":
        what = [word for word, found in (("message", _MESSAGE), ("code", _CODE))
                if any(found.match(row) for row in body)]
        moved = f" (was {old})" if old != new else ""
        yield f"patch {new}{moved}: {' and '.join(what) or 'context'} changed: {subject}"
    elif old != new:
        yield f"patch {new} was {old}: {subject}"
