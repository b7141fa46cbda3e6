# SPDX-License-Identifier: GPL-2.0-or-later
"""A report as KTAP version 1 (the kernel's Documentation/dev-tools/ktap.rst).

One test per row, its cells below it and their subtests below those. WARN passes and says so
in a diagnostic line, ERROR is ``not ok`` with the directive ERROR.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kvtools.model import Outcome, Status
from kvtools.report.model import BASE_ROW, Row, RunReport, subtests
from kvtools.report.printable import printable

INDENT = "  "
EVIDENCE_LINES = 20
_RANK = (Status.FAIL, Status.ERROR, Status.PASS, Status.WARN, Status.SKIP)


def to_ktap(report: RunReport) -> str:
    """The document; ends in a newline."""
    lines = ["KTAP version 1", f"1..{len(report.rows)}"]
    for number, row in enumerate(report.rows, start=1):
        lines += _below(_row(report, row))
        lines.append(_result(number, _name(report, row), _status(row.outcomes), ""))
    return "\n".join(lines) + "\n"


def _name(report: RunReport, row: Row) -> str:
    if row.number == BASE_ROW:
        return f"base {report.base.name}"
    return f"{row.number:04d} {row.subject}"


def _row(report: RunReport, row: Row) -> Iterator[str]:
    if not row.outcomes:
        return
    yield "KTAP version 1"
    yield f"# Subtest: {_text(_name(report, row))}"
    yield f"1..{len(row.outcomes)}"
    for number, outcome in enumerate(row.outcomes, start=1):
        parts = subtests(outcome)
        if parts:
            yield from _below(_parts(outcome, parts))
        yield from _diagnostics(outcome)
        yield _result(number, outcome.cell, outcome.status, outcome.summary)


def _parts(outcome: Outcome, parts: Sequence[Outcome]) -> Iterator[str]:
    yield "KTAP version 1"
    yield f"# Subtest: {_text(outcome.cell)}"
    yield f"1..{len(parts)}"
    for number, part in enumerate(parts, start=1):
        if part.status not in (Status.SKIP, Status.ERROR) and part.summary:
            yield f"# {_text(part.summary)}"
        name = part.name.removeprefix(f"{outcome.name}.")
        # The verdict has forgiven what the base fails too: a reader that adds up must as well.
        known = part.status is Status.FAIL and outcome.status is Status.WARN
        yield _result(number, name, part.status, part.summary, expected=known)


def _diagnostics(outcome: Outcome) -> Iterator[str]:
    if outcome.status in (Status.WARN, Status.FAIL):
        yield f"# {outcome.status}: {_text(outcome.summary)}"
    if outcome.status in (Status.WARN, Status.FAIL, Status.ERROR):
        yield from (f"# {_text(line)}" for line in outcome.evidence[:EVIDENCE_LINES])


def _status(outcomes: Sequence[Outcome]) -> Status:
    statuses = {outcome.status for outcome in outcomes}
    return next((status for status in _RANK if status in statuses), Status.SKIP)


def _result(
    number: int, name: str, status: Status, reason: str, *, expected: bool = False
) -> str:
    # A '#' in a description would begin a directive.
    shown = _text(name).replace("#", "\\x23")
    word = "not ok" if status in (Status.FAIL, Status.ERROR) and not expected else "ok"
    directive = ""
    if expected:
        directive = " # XFAIL pre-existing on the base"
    elif status in (Status.SKIP, Status.ERROR):
        directive = f" # {status} {_text(reason)}"
    return f"{word} {number} {shown}{directive}".rstrip()


def _text(text: str) -> str:
    return " ".join(printable(text).split())


def _below(lines: Iterator[str]) -> Iterator[str]:
    return (INDENT + line for line in lines)
