# SPDX-License-Identifier: GPL-2.0-or-later
"""A report as plain text: the matrix, what went wrong, what was skipped and why, the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kvtools.model import Outcome, Status, Step
from kvtools.report.layout import (
    NOT_ON_BASE,
    arrange,
    as_text,
    columns_of,
    entries,
    head_lines,
    heads,
    row_line,
    short_time,
    step_of,
)
from kvtools.report.model import BASE_ROW, Row, RunReport, log_path, row_label
from kvtools.report.printable import fold, printable
from kvtools.report.select import selector

EVIDENCE_LINES = 8
TO_SHOW = (Status.FAIL, Status.ERROR, Status.WARN)


def render(report: RunReport, columns: int = 80, *, ascii_only: bool = False) -> str:
    """The whole report for a terminal of ``columns``; ends in the line that says what it means."""
    blocks = [
        header(report, columns),
        matrix(report, columns, ascii_only=ascii_only),
        problems(report, columns),
        skips(report, columns),
        of_series(report, columns),
        verdict_line(report),
    ]
    text = "\n\n".join(block for block in blocks if block) + "\n"
    return text.encode("ascii", "backslashreplace").decode() if ascii_only else text


def header(report: RunReport, columns: int = 80) -> str:
    """Which series on which base, how it was run, and when."""
    series, base = report.series, report.base
    version = f" v{series.revision}" if series.revision > 1 else ""
    title = f": {series.title}" if series.title and series.title != series.name else ""
    tools = ", ".join(f"{name} {version}" for name, version in report.host.tools.items())
    reason = f" ({report.accel.reason})" if report.accel.reason else ""
    lines = [
        f"{series.name}{version}{title}",
        f"base   {base.name} {base.version}, commit {base.commit[:12]}, {base.origin}",
        f"host   {report.host.cores} cores, accel {report.accel.name}{reason}"
        + (f", {tools}" if tools else ""),
        f"run    {report.id}, started {report.started}, took {short_time(report.seconds)}"
        + _own_share(report),
    ]
    lines += [f"note   {notice}" for notice in report.notices]
    return "\n".join(piece for line in lines for piece in fold(printable(line), columns, " " * 7))


def _own_share(report: RunReport) -> str:
    """What of the time is ours; of a run that only read stored outcomes it says nothing."""
    own, total = report.own_seconds, report.seconds
    if own is None or total < 60 or own > total / 2:
        return ""
    return f", {100 * own / total:.1f}% of it outside make, checks and guests"


def matrix(report: RunReport, columns: int = 80, *, ascii_only: bool = False) -> str:
    """Rows base and patches, columns the cells; several bands when one is too wide."""
    subjects = [_subject(report, row) for row in report.rows]
    bands = []
    for layout in arrange(columns_of(report.cells), subjects, columns, ascii_only=ascii_only):
        lines = [as_text(line) for line in head_lines(layout)]
        for row, subject in zip(report.rows, subjects, strict=True):
            shown = entries(row.outcomes)
            lines.append(as_text(row_line(layout, row.number, subject, shown)))
        bands.append("\n".join(lines))
    if any(outcome.reused for _, outcome in report.outcomes()):
        bands.append("= result of an earlier run of the same tree")
    return "\n\n".join(bands)


def _subject(report: RunReport, row: Row) -> str:
    if row.number != BASE_ROW:
        return row.subject
    return row.subject or f"{report.base.name} {report.base.version}"


@dataclass(frozen=True, slots=True)
class Problem:
    """The same thing going wrong in the same cell of one or more rows."""

    first: Row
    outcome: Outcome
    numbers: tuple[int, ...]

    @property
    def where(self) -> str:
        """``base``, ``patch 3``, or ``series`` for a check of the whole."""
        number = self.first.number
        if self.outcome.details.get("scope") == "series":
            return "series"
        return "base" if number == BASE_ROW else f"patch {number}"

    @property
    def subject(self) -> str:
        """The patch's, empty where it is no patch's problem."""
        return self.first.subject if self.where.startswith("patch") else ""


def problems(report: RunReport, columns: int = 80) -> str:
    """Every FAIL, ERROR and WARN with its summary, owner, evidence, log and the way to more."""
    found = grouped_problems(report)
    return "\n\n".join(_describe(report, problem, columns) for problem in found)


def grouped_problems(report: RunReport) -> list[Problem]:
    """Every FAIL, ERROR and WARN in that order, the same on several rows once."""
    groups: dict[tuple[object, ...], list[tuple[Row, Outcome]]] = {}
    for row, outcome in report.outcomes():
        if outcome.status not in TO_SHOW:
            continue
        what = outcome.fingerprints or outcome.summary
        # The base answers for itself: the same splat there is no patch's.
        key = (outcome.status, outcome.cell, outcome.owner, what, row.number == BASE_ROW)
        groups.setdefault(key, []).append((row, outcome))
    found = [
        Problem(*members[0], tuple(row.number for row, _ in members))
        for members in groups.values()
    ]
    return [p for status in TO_SHOW for p in found if p.outcome.status is status]


def _describe(report: RunReport, problem: Problem, columns: int) -> str:
    row, outcome = problem.first, problem.outcome
    whose = f" ({fault(outcome)})" if fault(outcome) else ""
    head = f"{outcome.status:<5} {problem.where}, {heads([outcome.cell])[outcome.cell]}{whose}"
    subject = f": {problem.subject}" if problem.subject else ""
    lines = fold(printable(head + subject), columns, " " * 6)
    body = [f"      {piece}" for piece in fold(printable(outcome.summary), columns - 6)]
    body += [f"      | {printable(line)}" for line in outcome.evidence[:EVIDENCE_LINES]]
    more = len(outcome.evidence) - EVIDENCE_LINES
    if more > 0:
        body.append(f"      | ... {more} more")
    if problem.numbers[1:]:
        body.append(f"      the same on {rows(problem.numbers[1:])}")
    path = log_path(outcome)
    if path:
        body.append(f"      log:  {printable(str(path))}")
    hint = selector(report, row.number, outcome.cell)
    body.append(f"      more: kvtools report {printable(report.id)} --cell {printable(hint)}")
    return "\n".join([*lines, *body])


def fault(outcome: Outcome) -> str:
    """Whose fault it is, in words; empty when nobody is blamed."""
    return f"fault of the {outcome.owner}" if outcome.owner else ""


def skips(report: RunReport, columns: int = 80) -> str:
    """Why cells were skipped, one line per reason."""
    lines = [f"skip  {line}" for line in skip_lines(report)]
    return "\n".join(x for line in lines for x in fold(printable(line), columns, " " * 6))


def skip_lines(report: RunReport) -> list[str]:
    """``CELLS on ROWS: REASON`` for every reason."""
    groups: dict[str, dict[str, list[int]]] = {}
    for row, outcome in report.outcomes():
        if outcome.status is Status.SKIP:
            cells = groups.setdefault(_reason(report, outcome), {})
            cells.setdefault(outcome.cell, []).append(row.number)
    lines = []
    for reason, cells in groups.items():
        by_rows: dict[tuple[int, ...], list[str]] = {}
        for cell, numbers in cells.items():
            by_rows.setdefault(tuple(numbers), []).append(cell)
        for where, names in by_rows.items():
            lines.append(f"{_names(names, report.cells)} on {rows(where)}: {reason}")
    return lines


def of_series(report: RunReport, columns: int = 80) -> str:
    """Where every patch builds, and which levels of checks the author changed and why."""
    lines = series_lines(report)
    return "\n".join(piece for line in lines for piece in fold(printable(line), columns, " " * 6))


def series_lines(report: RunReport) -> list[str]:
    """:func:`of_series` before it is folded."""
    return [*_builds(report), *_overrides(report)]


def _builds(report: RunReport) -> list[str]:
    """That a series can be bisected follows from its build cells."""
    good: list[str] = []
    for cell in report.cells:
        found = [(r.number, o) for r in report.patches if (o := r.outcome(cell))]
        ran = [(n, o) for n, o in found if o.status is not Status.SKIP]
        if step_of(cell) is not Step.BUILD or len(ran) < 2 or len(ran) < len(found):
            continue
        if all(outcome.status in (Status.PASS, Status.WARN) for _, outcome in ran):
            which = "" if len(ran) == len(report.patches) else f" ({rows(n for n, _ in ran)})"
            good.append(cell.partition(":")[2] + which)
    return [f"build every patch builds in {', '.join(good)}"] if good else []


def _overrides(report: RunReport) -> list[str]:
    found: dict[tuple[str, str, str], list[int]] = {}
    for row, outcome in report.outcomes():
        for one in outcome.details.get("overrides", ()):
            key = (one["rule"], one["level"], one["reason"])
            found.setdefault(key, []).append(row.number)
    return [f"level {rule} is {level} on {rows(numbers)}: {reason}"
            for (rule, level, reason), numbers in found.items()]


def _reason(report: RunReport, outcome: Outcome) -> str:
    for expected in report.expectations:
        promised = f"({expected.reason})"
        if expected.cell == outcome.cell and expected.reason and outcome.summary.endswith(promised):
            return expected.reason
    return outcome.summary or "no reason given"


def _names(cells: Sequence[str], every: Sequence[str]) -> str:
    """``vmem.*`` for all the columns that begin so, else their names."""
    short = heads(every)
    names = [short[cell] for cell in cells]
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(name.partition(".")[0] if "." in name else name, []).append(name)
    shown = []
    for family, members in families.items():
        whole = [name for name in short.values() if name.startswith(f"{family}.")]
        shown += [f"{family}.*"] if len(members) > 1 and set(members) == set(whole) else members
    return ", ".join(shown)


def rows(numbers: Iterable[int]) -> str:
    """Row numbers in words: ``base``, ``patch 3``, ``patches 1..4, 7``, ``base..9``."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    words = [row_label(span[0]) + (f"..{span[-1]}" if len(span) > 1 else "") for span in spans]
    text = ", ".join(words)
    if text.startswith("base"):
        return text
    return f"patch {text}" if len(spans) == 1 and len(spans[0]) == 1 else f"patches {text}"


def verdict_line(report: RunReport) -> str:
    """The last line: the status and what it means for the patches."""
    skipped = sum(outcome.status is Status.SKIP for _, outcome in report.outcomes())
    columns = columns_of(report.cells)
    missing = sum(
        column not in there
        for row in report.rows
        for there in (entries(row.outcomes),)
        for column in columns
        if not (row.number == BASE_ROW and step_of(column) in NOT_ON_BASE)
    )
    tail = f"; {_count(skipped, 'cell')} skipped" if skipped else ""
    tail += f"; {_count(missing, 'cell')} not run" if missing else ""
    return printable(f"{report.status}: {_meaning(report)}{tail}")


def _meaning(report: RunReport) -> str:
    faulty = _having(report, Status.FAIL)
    total = _count(len(report.patches), "patch")
    if faulty:
        first = faulty[0]
        cells = ", ".join(_cells(report, first, Status.FAIL))
        numbers = rows(row.number for row in faulty)
        which = f"{numbers}, first " if len(faulty) > 1 else ""
        blame = f"{len(faulty)} of {total} at fault: {which}{rows([first.number])} ({cells})"
        return blame + _doubts(report)
    if report.status is Status.SKIP:
        return "nothing was run"
    counted = f"{total}, 0 at fault" if report.patches else "the base alone"
    return counted + _doubts(report)


def _doubts(report: RunReport) -> str:
    """What keeps a run without a patch at fault from being a plain PASS."""
    text = ""
    base = report.row(BASE_ROW)
    broken = _cells(report, base, Status.FAIL) if base else []
    if broken:
        text += f"; the base itself fails {', '.join(broken)}"
    unjudged = sum(outcome.status is Status.ERROR for _, outcome in report.outcomes())
    if unjudged:
        text += f"; {_count(unjudged, 'cell')} without a verdict, which no patch is to blame for"
    warned = _having(report, Status.WARN)
    if warned:
        text += f"; warnings on {rows(row.number for row in warned)}"
    return text


def _having(report: RunReport, status: Status) -> list[Row]:
    return [row for row in report.patches if any(o.status is status for o in row.outcomes)]


def _cells(report: RunReport, row: Row, status: Status) -> list[str]:
    short = heads(report.cells)
    return [short[outcome.cell] for outcome in row.outcomes if outcome.status is status]


def _count(number: int, noun: str) -> str:
    plural = "es" if noun.endswith("ch") else "s"
    return f"{number} {noun}{'' if number == 1 else plural}"
