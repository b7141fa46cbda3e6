# SPDX-License-Identifier: GPL-2.0-or-later
"""A report as Markdown for a merge request, in the dialect GitHub and GitLab share (GFM).

Text of patches and logs is never markup: what Markdown or HTML would read is escaped, nobody
is mentioned and no issue is linked by a subject that says ``@name`` or ``#1``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator

from kvtools.model import Outcome, Status
from kvtools.report.findings import Kind, findings
from kvtools.report.layout import (
    NOT_ON_BASE,
    SIGNS,
    by_column,
    columns_of,
    heads,
    short_time,
    step_of,
)
from kvtools.report.model import BASE_ROW, Row, RunReport, row_label
from kvtools.report.printable import abroad, printable
from kvtools.report.text import (
    Problem,
    fault,
    grouped_problems,
    rows,
    series_lines,
    skip_lines,
    verdict_line,
)

EVIDENCE_LINES = 40
MOST_FINDINGS = 50
MOST_CHARACTERS = 60_000
"""GitHub takes 65,536 characters in a comment, GitLab more."""

_SPECIAL = re.compile(
    r"[\\`*\[\]|~$]"
    r"|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"  # within a word it is none
    r"|:(?=\w)"  # :emoji:
)
_LINKED = re.compile(r"@|(?<!&)#(?=\d)|(?i:https?|ftp|www)(?=[:.])")
_NO_BREAK = "&#8203;"
_TICKS = re.compile("`+")


def to_markdown(report: RunReport) -> str:
    """The whole report; what is beyond the length a comment may have is left out, and said so."""
    parts = list(_parts(report))
    text = ""
    for number, part in enumerate(parts):
        if len(text) + len(part) > MOST_CHARACTERS:
            return f"{text}{len(parts) - number} more sections are in the full report.\n"
        text += part + "\n\n"
    return text.rstrip("\n") + "\n"


def _parts(report: RunReport) -> Iterator[str]:
    series = report.series
    revision = f" v{series.revision}" if series.revision > 1 else ""
    yield f"### {SIGNS[report.status]} {escape(series.title or series.name)}{escape(revision)}"
    yield escape(verdict_line(report))
    if report.cells:
        yield "\n".join(_matrix(report))
    names = heads(report.cells)
    for problem in grouped_problems(report):
        yield "\n".join(_problem(problem, names))
    yield from _findings(report)
    skipped = [f"- {escape(line)}" for line in skip_lines(report)]
    if skipped:
        yield "\n".join(["Skipped:", "", *skipped])
    whole = [f"- {escape(line)}" for line in series_lines(report)]
    if whole:
        yield "\n".join(["Of the series:", "", *whole])
    yield "\n".join(_tested(report))


def _matrix(report: RunReport) -> Iterator[str]:
    columns = columns_of(report.cells)
    yield "| | patch | " + " | ".join(map(escape, heads(columns).values())) + " |"
    yield "|---:|---|" + "---|" * len(columns)
    for row in report.rows:
        subject = row.subject or (report.base.name if row.number == BASE_ROW else "")
        found = by_column(row.outcomes)
        words = [_word(row, column, found.get(column)) for column in columns]
        yield f"| {row_label(row.number)} | {escape(subject)} | " + " | ".join(words) + " |"


def _word(row: Row, cell: str, outcome: Outcome | None) -> str:
    if outcome is None:
        return "" if row.number == BASE_ROW and step_of(cell) in NOT_ON_BASE else "not run"
    word = f"{SIGNS[outcome.status]} {outcome.status}"
    if outcome.status in (Status.FAIL, Status.ERROR):
        word = f"**{word}**"
    return f"{word} {_time(outcome)}".rstrip()


def _time(outcome: Outcome) -> str:
    if outcome.status is Status.SKIP or outcome.reused:
        return ""
    return short_time(outcome.seconds)


def _problem(problem: Problem, names: dict[str, str]) -> Iterator[str]:
    outcome = problem.outcome
    whose = f" ({fault(outcome)})" if fault(outcome) else ""
    others = problem.numbers[1:]
    yield "<details><summary>" + html(
        f"{SIGNS[outcome.status]} {outcome.status} {problem.where}, {names[outcome.cell]}{whose}: "
        f"{outcome.summary}"
    ) + "</summary>"
    yield ""
    if problem.subject:
        yield f"{escape(problem.subject)}\n"
    if others:
        yield f"The same on {rows(others)}.\n"
    if outcome.evidence:
        left = len(outcome.evidence) - EVIDENCE_LINES
        more = [f"... {left} more"] if left > 0 else []
        yield fence([*map(abroad, outcome.evidence[:EVIDENCE_LINES]), *more])
    if outcome.reproduce:
        yield "\nReproduce without kvtools:\n"
        yield fence([x for one in outcome.reproduce for x in one.split("\n")], "sh")
    yield ""
    yield "</details>"


def _findings(report: RunReport) -> Iterator[str]:
    every = findings(report)
    for kind in Kind:
        found = [one for one in every if one.kind is kind]
        if not found:
            continue
        lines = [f"<details><summary>{len(found)} {kind} findings</summary>", ""]
        for one in found[:MOST_FINDINGS]:
            place = f" {one.file}:{one.line}:" if one.file and one.line else ""
            lines.append(f"- {escape(f'{rows(one.rows)}, {one.cell}:{place} {one.text}')}")
        left = len(found) - MOST_FINDINGS
        lines += [f"- {left} more"] if left > 0 else []
        yield "\n".join([*lines, "", "</details>"])


def _tested(report: RunReport) -> Iterator[str]:
    base, host = report.base, report.host
    public = "" if base.public else ", which is not public"
    tools = "".join(f", {name} {version}" for name, version in host.tools.items())
    yield escape(
        f"Tested on {base.name} {base.version} ({base.origin}), commit {base.commit}{public}; "
        f"accel {report.accel.name}, {host.cores} cores, kvtools {host.kvtools}{tools}; "
        f"run {report.id}, {short_time(report.seconds)}."
    )
    if report.command:
        yield ""
        yield fence([shlex.join(report.command)], "sh")


def escape(text: str) -> str:
    """``text`` on one line with nothing in it that Markdown, HTML or a forge acts on."""
    shown = _SPECIAL.sub(r"\\\g<0>", printable(text).strip()).replace("&", "&amp;")
    shown = shown.replace("<", "&lt;").replace(">", "&gt;")
    # At the beginning of a line these make a heading, a list or a rule.
    shown = re.sub(r"^([-+=#]|\d+(?=[.)]))", _first, shown)
    # Renovate and others do the same: a character without width keeps the forge from linking.
    return _LINKED.sub(lambda found: found[0] + _NO_BREAK, shown)


def _first(found: re.Match[str]) -> str:
    return f"{found[0]}{_NO_BREAK}" if found[0].isdigit() else f"\\{found[0]}"


def html(text: str) -> str:
    """``text`` for the inside of an HTML element within Markdown."""
    safe = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    safe = re.sub(r"[`*_\[\]~$|]", lambda found: f"&#{ord(found[0])};", safe)
    # Not the '#' of an entity: those stand behind '&'.
    return re.sub(r"@|(?<!&)#", lambda found: found[0] + _NO_BREAK, safe)


def fence(lines: Iterable[str], language: str = "") -> str:
    """A fenced block that no line of it can close."""
    shown = [printable(line) for line in lines]
    longest = max((len(run) for line in shown for run in _TICKS.findall(line)), default=0)
    ticks = "`" * max(3, longest + 1)
    return "\n".join([f"{ticks}{language}", *shown, ticks])
