# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands on the page, as plain data for the template: no HTML but that of the logs. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from kvtools.model import Json, Outcome, Status, Step
from kvtools.report.findings import Found, Kind, findings
from kvtools.report.html import log as log_html
from kvtools.report.html.blocks import Lines, Table, blocks, figures_table, pairs
from kvtools.report.html.plots import Plot, plots
from kvtools.report.jsonreport import plain
from kvtools.report.layout import (
    NOT_ON_BASE,
    SIGNS,
    WORST_FIRST,
    by_column,
    columns_of,
    heads,
    short_time,
    step_of,
)
from kvtools.report.model import BASE_ROW, Row, RunReport, log_path, subtests
from kvtools.report.text import (
    Problem,
    fault,
    grouped_problems,
    rows,
    series_lines,
    skip_lines,
    verdict_line,
)

LogOf = Callable[[Outcome], str | None]

IN_GUEST = (Step.BOOT, Step.SELFTEST, Step.DUMP)
_SHOWN_APART = frozenset(
    {"subtests", "new", "preexisting", "fixed", "findings", "range_diff", "range-diff"}
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the matrix and all there is to read about it."""

    anchor: str
    head: str
    outcome: Outcome
    time: str
    facts: tuple[tuple[str, str], ...]
    subtests: tuple[Table, ...]
    details: tuple[Table | Lines, ...]
    log: Markup | None
    log_note: str
    log_name: str
    log_url: str

    @property
    def sign(self) -> str:
        return SIGNS[self.outcome.status]

    @property
    def reproduce(self) -> tuple[str, ...]:
        return tuple(line for command in self.outcome.reproduce for line in command.split("\n"))


@dataclass(frozen=True, slots=True)
class Square:
    """A place in the matrix: one cell, or the worst of the checks, which share a column."""

    head: str
    status: Status
    sign: str
    time: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Line:
    """A row; of ``squares`` None was not run, "" is what the base has none of.

    ``folded`` are the checks that found nothing, of which there are many.
    """

    row: Row
    name: str
    subject: str
    rank: int
    seconds: float
    squares: tuple[Square | str | None, ...]
    cells: tuple[Cell, ...]
    folded: tuple[Cell, ...]
    fold_anchor: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """A thing that went wrong, on one or more rows, with a link to its first cell."""

    problem: Problem
    anchor: str
    where: str
    also: str
    fault: str
    sign: str


@dataclass(frozen=True, slots=True)
class RangeDiff:
    """Lines of git range-diff with the class each is shown in."""

    title: str
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """The whole page."""

    report: RunReport
    title: str
    verdict: str
    sign: str
    heads: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]
    counts: tuple[tuple[Status, str, int], ...]
    troubles: tuple[Trouble, ...]
    found: tuple[tuple[Kind, tuple[tuple[Found, str, str], ...]], ...]
    skipped: tuple[str, ...]
    of_series: tuple[str, ...]
    plots: tuple[Plot, ...]
    range_diffs: tuple[RangeDiff, ...]
    environment: tuple[tuple[str, str], ...]
    command: str


def page(report: RunReport, log_of: LogOf) -> Page:
    """``log_of`` gives the text of a log, None when it is gone."""
    names = heads(report.cells)
    lines = tuple(_line(report, row, names, log_of) for row in report.rows)
    statuses = [outcome.status for _, outcome in report.outcomes()]
    series = report.series
    revision = f" v{series.revision}" if series.revision > 1 else ""
    return Page(
        report=report,
        # Without a series there is no name, and the title says so.
        title=": ".join(filter(None, (f"{series.name}{revision}", series.title))),
        verdict=verdict_line(report),
        sign=SIGNS[report.status],
        heads=tuple(heads(columns_of(report.cells)).items()),
        lines=lines,
        counts=tuple((s, SIGNS[s], statuses.count(s)) for s in WORST_FIRST if s in statuses),
        troubles=tuple(_trouble(problem, names) for problem in grouped_problems(report)),
        found=_found(report, names),
        skipped=tuple(skip_lines(report)),
        of_series=tuple(series_lines(report)),
        plots=plots(report),
        range_diffs=tuple(_range_diffs(report, log_of)),
        environment=tuple(_environment(report)),
        command=shlex.join(report.command),
    )


def anchor(number: int, cell: str, names: Mapping[str, str]) -> str:
    """The id of a cell's text: by column number, for a cell's name may hold anything."""
    return f"c{number}-{list(names).index(cell)}"


def _line(report: RunReport, row: Row, names: Mapping[str, str], log_of: LogOf) -> Line:
    cells = [_cell(report, row, outcome, names, log_of) for outcome in row.outcomes]
    worst = min((WORST_FIRST.index(o.status) for o in row.outcomes), default=len(WORST_FIRST))
    base = f"{report.base.name} {report.base.version}" if row.number == BASE_ROW else ""
    return Line(
        row=row,
        name="base" if row.number == BASE_ROW else f"patch {row.number}",
        subject=row.subject or base,
        rank=worst,
        seconds=sum(o.seconds for o in row.outcomes if not o.reused),
        squares=tuple(_squares(report, row, names)),
        cells=tuple(cell for cell in cells if not _is_folded(cell.outcome)),
        folded=tuple(cell for cell in cells if _is_folded(cell.outcome)),
        fold_anchor=f"k{row.number}",
    )


def _is_folded(outcome: Outcome) -> bool:
    return outcome.step is Step.CHECK and outcome.status in (Status.PASS, Status.SKIP)


def _squares(
    report: RunReport, row: Row, names: Mapping[str, str]
) -> Iterator[Square | str | None]:
    found = by_column(row.outcomes)
    for column, head in heads(columns_of(report.cells)).items():
        outcome = found.get(column)
        if outcome is None:
            yield "" if row.number == BASE_ROW and step_of(column) in NOT_ON_BASE else None
            continue
        place = f"k{row.number}" if _is_folded(outcome) else anchor(row.number, outcome.cell, names)
        yield Square(head, outcome.status, SIGNS[outcome.status], _time(outcome), place)


def _cell(
    report: RunReport, row: Row, outcome: Outcome, names: Mapping[str, str], log_of: LogOf
) -> Cell:
    details = plain(outcome.details)
    apart = {key: value for key, value in details.items() if key not in _SHOWN_APART}
    marks = {"fingerprints": list(outcome.fingerprints)} if outcome.fingerprints else {}
    log, note = _log(outcome, log_of)
    path = log_path(outcome)
    return Cell(
        anchor=anchor(row.number, outcome.cell, names),
        head=names[outcome.cell],
        outcome=outcome,
        time=_time(outcome),
        facts=tuple(_facts(report, row, outcome)),
        subtests=tuple(_subtests(outcome)),
        details=tuple(blocks({**_findings_of(details), **apart, **marks})),
        log=log,
        log_note=note,
        log_name=str(path) if path else "",
        log_url=_url(path),
    )


def _time(outcome: Outcome) -> str:
    if outcome.status is Status.SKIP:
        return ""
    return "stored" if outcome.reused else short_time(outcome.seconds)


def _facts(report: RunReport, row: Row, outcome: Outcome) -> Iterator[tuple[str, str]]:
    if outcome.owner:
        yield "fault of", f"the {outcome.owner}"
    if outcome.status is not Status.SKIP:
        stored = ", stored by an earlier run of the same tree" if outcome.reused else ""
        yield "time", f"{outcome.seconds:.1f} s{stored}"
    if outcome.step in IN_GUEST and outcome.status is not Status.SKIP:
        yield "accel", report.accel.name
    if row.commit:
        yield "commit", row.commit


def _subtests(outcome: Outcome) -> Iterator[Table]:
    """The subtests, and their figures: in a table of their own where they are alike."""
    parts = subtests(outcome)
    if not parts:
        return
    names = [part.name.removeprefix(f"{outcome.name}.") for part in parts]
    plain_figures = [plain(part.details.get("figures", {})) for part in parts]
    figures = [item if isinstance(item, Mapping) else {} for item in plain_figures]
    apart = figures_table({n: f for n, f in zip(names, figures, strict=True) if f})
    body = [
        (
            name,
            f"{SIGNS[part.status]} {part.status}",
            short_time(part.seconds) if part.seconds else "",
            part.summary,
            "" if apart else pairs(measured),
        )
        for name, part, measured in zip(names, parts, figures, strict=True)
    ]
    titles = ("subtest", "status", "time", "message", "figures")
    kept = [i for i in range(len(titles)) if i < 2 or any(line[i] for line in body)]
    columns = tuple(titles[i] for i in kept)
    lines = tuple(tuple(line[i] for i in kept) for line in body)
    yield Table("Subtests", columns, lines, named=True)
    if apart:
        yield apart


def _findings_of(details: Mapping[str, Json]) -> dict[str, Json]:
    """What the verdict and the checks compared, under names that say so."""
    named = {
        "new": "new, not on the base",
        "preexisting": "pre-existing on the base",
        "fixed": "on the base and fixed here",
        "findings": "findings",
    }
    return {label: details[key] for key, label in named.items() if details.get(key)}


def _log(outcome: Outcome, log_of: LogOf) -> tuple[Markup | None, str]:
    text = log_of(outcome) if outcome.log else None
    if text is not None and text.strip():
        made = log_html.excerpt(text, outcome.evidence)
        part = f"{made.shown:,} of {made.lines:,} lines"
        return made.html, "all of it" if made.shown >= made.lines else part
    if not outcome.evidence:
        return None, "empty" if text is not None else "not there any more" if outcome.log else ""
    gone = "; the log is not there any more" if outcome.log else ""
    return log_html.told(outcome.evidence), f"the telling lines{gone}"


def _url(path: Path | None) -> str:
    if path is None or not path.is_absolute():
        return ""
    return path.as_uri()


def _trouble(problem: Problem, names: Mapping[str, str]) -> Trouble:
    outcome = problem.outcome
    others = problem.numbers[1:]
    return Trouble(
        problem,
        anchor(problem.first.number, outcome.cell, names),
        f"{problem.where}, {names[outcome.cell]}",
        f"The same on {rows(others)}." if others else "",
        fault(outcome),
        SIGNS[outcome.status],
    )


def _found(
    report: RunReport, names: Mapping[str, str]
) -> tuple[tuple[Kind, tuple[tuple[Found, str, str], ...]], ...]:
    every = [(f, anchor(f.rows[0], f.cell, names), rows(f.rows)) for f in findings(report)]
    of_kind = ((kind, tuple(one for one in every if one[0].kind is kind)) for kind in Kind)
    return tuple((kind, members) for kind, members in of_kind if members)


def _range_diffs(report: RunReport, log_of: LogOf) -> Iterator[RangeDiff]:
    """What a step kept under ``range_diff``, or the log of a check called range-diff."""
    for row, outcome in report.outcomes():
        kept = outcome.details.get("range_diff") or outcome.details.get("range-diff")
        text = "\n".join(map(str, kept)) if isinstance(kept, (list, tuple)) else kept
        if not isinstance(text, str) and "range-diff" in outcome.name:
            text = log_of(outcome)
        if isinstance(text, str) and text.strip():
            where = "" if row.number == BASE_ROW else f" (patch {row.number})"
            yield RangeDiff(f"{outcome.cell}{where}", tuple(_styled(text.splitlines())))


def _styled(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """``1:  abc = 1:  def`` begins a patch; below it the outer sign is in column 5."""
    for line in lines[:4000]:
        sign = line[4:5] if line.startswith("    ") else "h"
        yield {"+": "add", "-": "del", "h": "head", "@": "at"}.get(sign, ""), line


def _environment(report: RunReport) -> Iterator[tuple[str, str]]:
    series, base, host = report.series, report.base, report.host
    if series.name:
        yield "series", f"{series.name}, revision {series.revision}, from {series.source}"
    if series.base_commit:
        yield "base-commit", series.base_commit
    if series.change_id:
        yield "change-id", series.change_id
    yield "base", f"{base.name} {base.version}, {base.origin}"
    public = "" if base.public else " (not public: others cannot get it)"
    yield "commit", base.commit + public
    yield "tree", base.tree
    for one in report.tried:
        why = f"; {one.why}" if one.why else ""
        yield f"tried {one.base} {one.version}".rstrip(), f"{one.applied} of {one.of} patches{why}"
    reason = f" ({report.accel.reason})" if report.accel.reason else ""
    yield "accelerator", report.accel.name + reason
    yield "machine", f"{host.cores} cores, {host.memory / (1 << 30):.1f} GiB"
    yield "kvtools", host.kvtools
    yield from host.tools.items()
    yield "run", f"{report.id}, started {report.started}, took {short_time(report.seconds)}"
