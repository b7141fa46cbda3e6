# SPDX-License-Identifier: GPL-2.0-or-later
"""A report for the programs beside a patch: patchwork's checks, GitHub's and GitLab's annotations.

Sources: patchwork's REST API (a check has state, context, target_url, description), GitHub's
workflow commands, GitLab's code quality report.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator

from kvtools.model import Json, Outcome, Status
from kvtools.report.findings import Found, Kind, findings
from kvtools.report.model import RunReport
from kvtools.report.printable import printable, shorten
from kvtools.report.text import Problem, grouped_problems, rows, verdict_line

CONTEXT = 255
"""The most characters of a context in patchwork, which is a slug."""

PER_KIND = 10
"""GitHub shows that many errors and that many warnings of a step, and drops the rest."""

_STATES = {
    Status.PASS: "success",
    Status.WARN: "warning",
    Status.FAIL: "fail",
    Status.ERROR: "warning",
}
_COMMANDS = {Status.FAIL: "error", Status.ERROR: "error", Status.WARN: "warning"}


def to_patchwork(report: RunReport) -> str:
    """A JSON list, one entry a patch: its number and subject, and the checks to POST for it.

    A skipped cell has nothing to say there and is left out; one without a verdict (ERROR) is a
    warning that says so, for patchwork has no such state and a failure would blame the patch.
    """
    patches: list[Json] = [
        {
            "number": row.number,
            "subject": printable(row.subject),
            "commit": row.commit,
            "checks": [_check(o) for o in row.outcomes if o.status in _STATES],
        }
        for row in report.patches
    ]
    return json.dumps(patches, ensure_ascii=False, indent=1) + "\n"


def _check(outcome: Outcome) -> dict[str, str]:
    said = printable(outcome.summary)
    if outcome.status is Status.ERROR:
        said = f"no verdict, the machine failed: {said}"
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", f"kvtools-{outcome.cell}").strip("-")
    return {
        "state": _STATES[outcome.status],
        "context": slug[:CONTEXT],
        "target_url": "",
        "description": said,
    }


def to_github(report: RunReport) -> str:
    """Workflow commands, one a line, the gravest first; the last line is the verdict."""
    lines = [*_of_findings(report), *_of_problems(report)]
    lines.sort(key=lambda line: line.startswith("::warning"))
    kept, told = [], Counter[str]()
    for line in lines:
        kind = line[2:].partition(" ")[0]
        told[kind] += 1
        if told[kind] <= PER_KIND:
            kept.append(line)
    left = sum(max(0, count - PER_KIND) for count in told.values())
    more = f" ({left} more than GitHub shows are in the report)" if left else ""
    kept.append(f"::notice title=kvtools::{_data(verdict_line(report) + more)}")
    return "\n".join(kept) + "\n"


def _of_findings(report: RunReport) -> Iterator[str]:
    """Those with a place in a file, which GitHub shows beside the line."""
    for one in findings(report):
        if one.kind is Kind.NEW and one.file:
            where = f"file={_property(one.file)},line={max(one.line, 1)},"
            title = _property(f"{rows(one.rows)}, {one.cell}")
            command = "error" if one.status is Status.FAIL else "warning"
            yield f"::{command} {where}title={title}::{_data(one.text)}"


def _of_problems(report: RunReport) -> Iterator[str]:
    """What has no place in a file: a kernel that does not boot, a machine that failed."""
    for problem in _unplaced(report):
        outcome = problem.outcome
        title = f"{rows(problem.numbers)}, {outcome.cell}: {outcome.status}"
        said = "\n".join([outcome.summary, *outcome.evidence[:PER_KIND]])
        yield f"::{_COMMANDS[outcome.status]} title={_property(title)}::{_data(said)}"


def _data(text: str) -> str:
    lines = (printable(line).replace("%", "%25") for line in text.split("\n"))
    return "%0A".join(lines)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def to_gitlab(report: RunReport) -> str:
    """A code quality report: new findings with their place, and problems that have none.

    GitLab compares fingerprints between the branches: they hold no line and no number.
    """
    entries: dict[str, Json] = {}
    for one in findings(report):
        if one.kind is Kind.NEW and one.file:
            entry = _entry(one.cell, f"{rows(one.rows)}: {one.text}", _severity(one), one.text)
            entry["location"] = {"path": printable(one.file), "lines": {"begin": max(one.line, 1)}}
            entries.setdefault(entry["fingerprint"], entry)
    for problem in _unplaced(report):
        outcome = problem.outcome
        said = f"{rows(problem.numbers)}, {outcome.status}: {outcome.summary}"
        severity = "minor" if outcome.status is Status.WARN else "critical"
        what = "\n".join(outcome.fingerprints) or outcome.summary
        entry = _entry(outcome.cell, said, severity, what)
        # A location is required; the series is the closest thing to a file of the repository.
        entry["location"] = {"path": printable(report.series.source), "lines": {"begin": 1}}
        entries.setdefault(entry["fingerprint"], entry)
    return json.dumps(list(entries.values()), ensure_ascii=False, indent=1) + "\n"


def _unplaced(report: RunReport) -> Iterator[Problem]:
    new = [one for one in findings(report) if one.kind is Kind.NEW and one.file]
    placed = {(number, one.cell) for one in new for number in one.rows}
    for problem in grouped_problems(report):
        if (problem.first.number, problem.outcome.cell) not in placed:
            yield problem


def _severity(one: Found) -> str:
    return "major" if one.status is Status.FAIL else "minor"


def _entry(cell: str, said: str, severity: str, what: str) -> dict[str, Json]:
    digest = hashlib.sha256(f"{cell}\0{what}".encode("utf-8", "backslashreplace")).hexdigest()
    return {
        "description": shorten(printable(said), 1000),
        "check_name": printable(f"kvtools/{cell}"),
        "fingerprint": digest[:40],
        "severity": severity,
    }
