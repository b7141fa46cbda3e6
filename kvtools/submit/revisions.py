# SPDX-License-Identifier: GPL-2.0-or-later
"""What changed since the last revision: a draft for the author, from ``git range-diff``. Pure."""

from __future__ import annotations

import email
import re
from collections.abc import Iterable, Iterator, Sequence
from email.message import Message

from kvtools import mail

ARCHIVE = "https://lore.kernel.org/r/"
_GIVEN = re.compile(r"^((?:Reviewed|Acked|Tested)-by: .*\S)\s*$", re.MULTILINE)
_PAIR = re.compile(r"^ *(?P<old>\d+|-): +\S+ (?P<mark>[=!<>]) +(?P<new>\d+|-): +\S+ "
                   r"(?P<subject>.*)$")
_CODE = re.compile(r"^ {4}[-+][-+]")
_MESSAGE = re.compile(r"^ {4}[-+] {4}")


def draft(range_diff: str) -> list[str]:
    """One line for each patch that is not as it was."""
    return list(_lines(range_diff))


def link(cover: bytes, revision: int) -> list[str]:
    """Where the last revision is read, as b4 writes it; nothing for one without a Message-Id."""
    found = email.message_from_bytes(cover).get("Message-Id", "").strip().strip("<>")
    return [f"Link to v{revision}: {ARCHIVE}{found}"] if found else []


def taken(said: str) -> list[str]:
    """``subject: trailer`` for each that ``b4 trailers`` says it added."""
    found, subject = [], ""
    for row in said.splitlines():
        if row.startswith("    + "):
            found.append(f"{subject}: {row.strip()[2:]}")
        elif row.startswith("  "):
            subject = row.strip()
    return found


def left(replies: Iterable[Message], took: Sequence[str]) -> list[str]:
    """Trailers that were given in reply and are not among ``took``, with what was replied to."""
    missing = []
    for reply in replies:
        if not reply.get("In-Reply-To"):
            continue
        subject = mail.parse_subject(" ".join(str(reply.get("Subject", "")).split()))
        if not subject.reply:
            continue
        payload = reply.get_payload(decode=True)
        text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
        missing += [f"{subject.title}: {given}" for given in _GIVEN.findall(text)
                    if f"{subject.title}: {given}" not in took]
    return list(dict.fromkeys(missing))


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
