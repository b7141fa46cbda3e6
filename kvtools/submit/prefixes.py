# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands beside PATCH in the subjects: ``RFC``, the tree it is meant for. Pure.

Commits do not carry it, and b4 makes the subjects from commits: it has to be told.
"""

from __future__ import annotations

import email
import email.header
import re

from kvtools.model import Series

RESEND = "RESEND"
_BRACKETS = re.compile(r"\s*\[([^]]*)\]")
_OF_B4 = re.compile(r"(?:PATCH)?(?:v\d{1,4})?|\d{1,4}/\d{1,4}", re.IGNORECASE)


def prefixes(series: Series, *, resend: bool) -> list[str]:
    """Those of the cover letter, else of the first patch, in order; b4 adds PATCH and numbers."""
    mail = series.cover.mail if series.cover else series.patches[0].mail
    if mail.startswith(b"From "):
        mail = mail.partition(b"\n")[2]
    raw = email.message_from_bytes(mail).get("Subject", "")
    kept = words(str(email.header.make_header(email.header.decode_header(raw))))
    return [*kept, RESEND] if resend else kept


def words(subject: str) -> list[str]:
    """``[RFC PATCH v2 net-next 1/3] title`` -> RFC, net-next; RESEND was of the last time."""
    found: list[str] = []
    at = 0
    while match := _BRACKETS.match(subject, at):
        at = match.end()
        found += match[1].split()
    return [word for word in dict.fromkeys(found)
            if not _OF_B4.fullmatch(word) and word != RESEND]
