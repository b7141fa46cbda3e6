# SPDX-License-Identifier: GPL-2.0-or-later
"""The replies to a series, as mails: one to the cover letter, one to each patch at fault. Pure.

What the mails say; :mod:`.envelope` is whom they go to, :mod:`.quoting` how a patch is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from email.message import EmailMessage

from kvtools import mail
from kvtools.model import Outcome, Owner, Patch, Person, Series, Status, Step
from kvtools.report import RunReport
from kvtools.report.findings import Found, Kind, findings
from kvtools.report.mail import to_mail, wrap
from kvtools.report.model import BASE_ROW
from kvtools.report.printable import abroad
from kvtools.review.envelope import answer, line
from kvtools.review.quoting import Comment, files_of, quoted

EVIDENCE = 12
GUESTS = (Step.BOOT, Step.SELFTEST, Step.DUMP)
TRAILER = re.compile(r"\s*(?:[\w:-]+:\s.*@|[\w-]+-by:|(?:cc|fixes|link|closes):\s)", re.IGNORECASE)
GOOD = (Status.PASS, Status.WARN)


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
        text = mail.parse(patch.mail).text
        if comments := list(_comments(report, patch.number, text)):
            body = _no_trailers(quoted(text, comments, _attribution(patch)))
            made.append(_reply(patch.mail, patch.number, body, reviewer, now))
    return tuple(made)


def _summary(series: Series, report: RunReport, reviewer: Person, tag: bool) -> str:
    # The command line has paths of this machine, and names for files that nobody else has.
    text = _no_trailers(to_mail(replace(report, command=())))
    if not tag:
        return text
    if reason := untested(series, report):
        return text + "\n" + "\n".join(wrap(f"No Tested-by: {reason}")) + "\n"
    said = "\n".join(wrap(f"What was tested: {stands_for(report)}", "  "))
    return f"{text}\n{said}\n\nTested-by: {line(str(reviewer))}\n"


def _no_trailers(body: str) -> str:
    """The same with a bar before what b4 takes for a trailer: subjects and findings are the
    series' own words, and a Reviewed-by in them would count as given by who sends this."""
    return "\n".join(f"| {row}" if TRAILER.match(row) else row for row in body.split("\n"))


def same(series: Series, report: RunReport) -> str:
    """Why the run is not one of this series, "" when it is."""
    for row in report.patches:
        patch = next((one for one in series.patches if one.number == row.number), None)
        if patch is None or patch.subject != row.subject:
            return f"its patch {row.number} is \"{line(row.subject)}\""
    return "" if report.patches else "it tested no patch"


def untested(series: Series, report: RunReport) -> str:
    """Why no Tested-by can be given, "" when every patch was built and the series passed in a
    guest. A base that the machine failed on judges nothing."""
    rows = {row.number: row for row in report.patches}
    for patch in series.patches:
        row = rows.get(patch.number)
        if row is None or not row.outcomes:
            return f"patch {patch.number} was not tested"
        for outcome in row.outcomes:
            if outcome.status in (Status.FAIL, Status.ERROR):
                return f"patch {patch.number}: {outcome.cell} {outcome.status}"
        if not any(o.step is Step.BUILD and o.status in GOOD for o in row.outcomes):
            return f"patch {patch.number} was not built"
    base = report.row(BASE_ROW)
    for outcome in base.outcomes if base else ():
        if outcome.status is Status.ERROR:
            return f"the base: {outcome.cell} {outcome.status}"
    return "" if _passed(report) else "no kernel with the whole series was booted"


def stands_for(report: RunReport) -> str:
    """What a Tested-by names: base, configs, scenarios; nothing that did not pass."""
    base = report.base
    configs = dict.fromkeys(o.name for row in report.patches for o in row.outcomes
                            if o.step is Step.BUILD)
    return (f"{base.name} {base.version} (commit {base.commit[:12]}); built as "
            f"{', '.join(configs)}; passed: {', '.join(_passed(report))}")


def _passed(report: RunReport) -> list[str]:
    """The cells of guests that passed with the whole series and on every patch they ran on."""
    last = report.patches[-1].outcomes if report.patches else ()
    bad = {o.cell for row in report.patches for o in row.outcomes
           if o.status not in (Status.PASS, Status.SKIP)}
    return [o.cell for o in last
            if o.step in GUESTS and o.status is Status.PASS and o.cell not in bad]


def _comments(report: RunReport, number: int, body: str) -> Iterator[Comment]:
    """What the patch brought; neither what was there before nor what the machine did.

    What an earlier patch brought and this one still has is told there.
    """
    row = report.row(number)
    outcomes = {o.cell: o for o in row.outcomes if not _elsewhere(o)} if row else {}
    mine = [one for one in findings(report)
            if one.kind is Kind.NEW and one.rows[0] == number and one.cell in outcomes]
    files = files_of(body)
    for one in mine:
        yield Comment(_said(one), one.file, one.line)
    for cell in dict.fromkeys(one.cell for one in mine):
        outcome = outcomes[cell]
        placed = any(one.file in files for one in mine if one.cell == cell)
        if outcome.status is Status.FAIL and not placed and outcome.evidence:
            rows = [piece for text in outcome.evidence[:EVIDENCE]
                    for piece in wrap(f"  | {abroad(text)}", "  |   ")]
            yield Comment("\n".join(rows))


def _elsewhere(outcome: Outcome) -> bool:
    """About the series (the summary tells it), a part of another outcome, or the machine's."""
    return (outcome.details.get("scope") == "series" or "subtest_of" in outcome.details
            or outcome.owner is Owner.MACHINE or outcome.status is Status.ERROR)


def _said(one: Found) -> str:
    return "\n".join(wrap(f"{one.cell}: {one.text}"))


def _reply(raw: bytes, number: int, body: str, reviewer: Person, now: float) -> Reply:
    return Reply(number, *answer(raw, body, reviewer, number=number, now=now))


def _attribution(patch: Patch) -> str:
    return "\n".join(wrap(f"On {line(patch.date)}, {line(patch.author.name)} wrote:"))


def numbers(made: Sequence[Reply]) -> str:
    """Which patches were answered."""
    return ", ".join(str(one.number) for one in made if one.number) or "none"
