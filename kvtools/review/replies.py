# SPDX-License-Identifier: GPL-2.0-or-later
"""The replies to a series, as mails: one to the cover letter, one to each patch at fault. Pure.

Threading after RFC 5322, 3.6.4. Everything that comes from the series goes through the header
policy of :mod:`email`, which takes no line break, or through :func:`printable`.
"""

from __future__ import annotations

import email
import email.policy
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, getaddresses

from kvtools import mail
from kvtools.model import Patch, Person, Series, Status
from kvtools.report import RunReport
from kvtools.report.findings import Found, Kind, findings
from kvtools.report.mail import to_mail, wrap
from kvtools.report.printable import printable
from kvtools.review.quoting import Comment, quoted

EVIDENCE = 12


@dataclass(frozen=True, slots=True)
class Reply:
    """``number`` of the patch, 0 for the summary; ``threaded`` when the original has an id."""

    number: int
    message: EmailMessage
    threaded: bool


def replies(series: Series, report: RunReport, reviewer: Person, *, tag: bool,
            now: float) -> tuple[Reply, ...]:
    """The summary first. ``tag``: offer a Tested-by where all that it names passed."""
    head = series.cover.mail if series.cover else series.patches[0].mail
    made = [_reply(head, 0, _summary(series, report, reviewer, tag), reviewer, now)]
    for patch in series.patches:
        comments = list(_comments(report, patch.number))
        if comments:
            body = quoted(mail.parse(patch.mail).text, comments, _attribution(patch))
            made.append(_reply(patch.mail, patch.number, body, reviewer, now))
    return tuple(made)


def _summary(series: Series, report: RunReport, reviewer: Person, tag: bool) -> str:
    text = to_mail(report)
    reason = untested(series, report)
    if reason:
        return f"{text}\nNo Tested-by: {reason}\n"
    if not tag:
        return text
    return f"{text}\nTested-by: {reviewer}\n"


def untested(series: Series, report: RunReport) -> str:
    """Why no Tested-by can be given, "" when every patch passed in a guest."""
    rows = {row.number: row for row in report.patches}
    for patch in series.patches:
        row = rows.get(patch.number)
        if row is None:
            return f"patch {patch.number} was not tested"
        for outcome in row.outcomes:
            if outcome.status in (Status.FAIL, Status.ERROR):
                return f"patch {patch.number}: {outcome.cell} {outcome.status}"
    last = rows[series.patches[-1].number]
    guests = [o for o in last.outcomes if o.step in ("boot", "selftest", "dump")]
    if not any(o.status is Status.PASS for o in guests):
        return "no kernel with the whole series was booted"
    return ""


def _comments(report: RunReport, number: int) -> Iterator[Comment]:
    """What the patch brought; neither what was there before nor what the machine did."""
    row = report.row(number)
    outcomes = row.outcomes if row else ()
    of_series = {o.cell for o in outcomes if o.details.get("scope") == "series"}
    told = set()
    for one in findings(report):
        if one.kind is Kind.NEW and one.rows[0] == number and one.cell not in of_series:
            told.add(one.cell)
            yield Comment(_said(one), one.file, one.line)
    for outcome in outcomes:
        if outcome.cell in of_series or "subtest_of" in outcome.details:
            continue
        failed = outcome.status is Status.FAIL
        if failed and outcome.cell not in told:
            yield Comment("\n".join(wrap(f"{outcome.cell}: {outcome.summary}")))
        if failed and outcome.evidence:
            yield Comment("\n".join(f"  | {printable(row)}" for row in outcome.evidence[:EVIDENCE]))


def _said(one: Found) -> str:
    return "\n".join(wrap(f"{one.cell}: {one.text}"))


def _reply(raw: bytes, number: int, body: str, reviewer: Person, now: float) -> Reply:
    original = email.message_from_bytes(raw, policy=email.policy.default)
    made = EmailMessage(policy=email.policy.default)
    made["From"] = str(reviewer)
    author = mail.parse(raw).author
    made["To"] = str(author) if author else str(reviewer)
    others = _others(original, {reviewer.email.lower(), author.email.lower() if author else ""})
    if others:
        made["Cc"] = ", ".join(others)
    made["Subject"] = "Re: " + _line(str(original.get("Subject", "")))
    made["Date"] = formatdate(now, localtime=False)
    identity = _line(str(original.get("Message-Id", ""))).strip()
    threaded = bool(re.fullmatch(r"<[^<>\s]+>", identity))
    digest = hashlib.sha256(f"{identity}{number}{body}".encode()).hexdigest()[:24]
    made["Message-ID"] = f"<kvtools-{digest}@{reviewer.email.rpartition('@')[2]}>"
    if threaded:
        made["In-Reply-To"] = identity
        known = re.findall(r"<[^<>\s]+>", str(original.get("References", "")))
        made["References"] = " ".join([*known, identity])
    made.set_content(body, cte="8bit")
    return Reply(number, made, threaded)


def _attribution(patch: Patch) -> str:
    return f"On {_line(patch.date)}, {_line(patch.author.name)} wrote:"


def _others(original: EmailMessage, known: set[str]) -> list[str]:
    fields = [str(value) for name in ("From", "To", "Cc") for value in original.get_all(name, [])]
    found: dict[str, str] = {}
    for name, address in getaddresses(fields):
        if "@" in address and address.lower() not in known:
            who = _line(f"{name} <{address}>" if name else address)
            found.setdefault(address.lower(), who)
    return list(found.values())


def _line(text: str) -> str:
    return printable(" ".join(text.split()))


def numbers(made: Sequence[Reply]) -> str:
    """Which patches were answered."""
    return ", ".join(str(one.number) for one in made if one.number) or "none"
