# SPDX-License-Identifier: GPL-2.0-or-later
"""How the matrix is laid out in columns of characters; used by the text report and the console.

A line is a tuple of segments ``(text, style)``. The style is the status in lower case,
``head``, ``running`` or empty: the text report drops it, the console gives it a colour.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kvtools.model import Outcome, Status, Step
from kvtools.report.model import BASE_ROW, row_label
from kvtools.report.printable import pad, printable, shorten, width

Segment = tuple[str, str]
Line = tuple[Segment, ...]

GAP = 2
LABEL = 4  # "base"
WORD = 5  # "ERROR"
TIME = 4  # "4m01", "59s", "1h40"
TIMED = WORD + 1 + TIME
LEAST_SUBJECT = 20
_TOKEN = re.compile(r"[^:._/-]*[:._/-]?")
_NAMED_BY_STEP = (f"{Step.APPLY}:", f"{Step.BUILD}:", f"{Step.BOOT}:")
_SLOWEST = (Step.BUILD, Step.DUMP, Step.SELFTEST, Step.BOOT, Step.CHECK, Step.APPLY)


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands in one cell: a word, and a time where the column has room for it."""

    word: str
    time: str = ""
    style: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    cell: str
    head: tuple[str, ...]
    width: int
    timed: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """One band: some columns beside the numbers and subjects of the rows."""

    columns: tuple[Column, ...]
    subject: int
    ascii_only: bool


NOT_RUN = Entry("-")
NO_CELL = Entry("")
NOT_ON_BASE = (Step.APPLY, Step.CHECK)
"""The base has no such cells: an empty place in its row is no hole."""
SIGNS = {
    Status.PASS: "\u2713",
    Status.WARN: "\u25b2",
    Status.FAIL: "\u2717",
    Status.ERROR: "!",
    Status.SKIP: "\u2013",
}
"""In HTML and Markdown beside the word, never instead of it."""
WORST_FIRST = (Status.FAIL, Status.ERROR, Status.WARN, Status.PASS, Status.SKIP)


def entry(outcome: Outcome) -> Entry:
    """The entry of a finished cell; ``=`` for a time marks a stored outcome."""
    word = str(outcome.status)
    if outcome.status is Status.SKIP:
        return Entry(word.lower(), style="skip")
    return Entry(word, "=" if outcome.reused else short_time(outcome.seconds), word.lower())


def column_of(cell: str) -> str:
    """The column that a cell stands in: all checks share one."""
    return str(Step.CHECK) if step_of(cell) is Step.CHECK else cell


def columns_of(cells: Iterable[str]) -> tuple[str, ...]:
    """The columns of the matrix for cells in their order."""
    return tuple(dict.fromkeys(map(column_of, cells)))


def entries(outcomes: Iterable[Outcome]) -> dict[str, Entry]:
    """What stands in the columns of one row."""
    return {column: entry(outcome) for column, outcome in by_column(outcomes).items()}


def by_column(outcomes: Iterable[Outcome]) -> dict[str, Outcome]:
    """The outcome that stands for each column of one row."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(column_of(outcome.cell), []).append(outcome)
    return {column: _merged(group) for column, group in groups.items()}


def _merged(group: Sequence[Outcome]) -> Outcome:
    """The worst of several, in the time of all: a skipped check hides none that passed."""
    if len(group) == 1:
        return group[0]
    worst = min(group, key=lambda outcome: WORST_FIRST.index(outcome.status))
    seconds = sum(outcome.seconds for outcome in group if not outcome.reused)
    return replace(worst, seconds=seconds, reused=all(o.reused for o in group))


def short_time(seconds: float) -> str:
    """Seconds in at most four characters: ``4.1s``, ``41s``, ``4m01``, ``41m``, ``1h40``."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 600:
        return f"{whole // 60}m{whole % 60:02d}"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes}m"
    return f"{minutes // 60}h{minutes % 60:02d}" if minutes < 600 else f"{minutes // 60}h"


def heads(cells: Sequence[str]) -> dict[str, str]:
    """Column heads: a scenario or check goes by its name alone where that is unique."""
    short = {c: c if c.startswith(_NAMED_BY_STEP) else c.partition(":")[2] or c for c in cells}
    names = list(short.values())
    return {c: head if names.count(head) == 1 else c for c, head in short.items()}


def arrange(
    cells: Sequence[str], subjects: Iterable[str], columns: int, *, ascii_only: bool = False
) -> tuple[Layout, ...]:
    """The bands in which the matrix fits into ``columns`` characters.

    Gives up, in this order: heads on one line, the times of the quick columns, the
    single band. Subjects get what is left, and are cut.
    """
    longest = max((width(printable(s, ascii_only=ascii_only)) for s in subjects), default=0)
    room = columns - LABEL
    least = GAP + min(longest, LEAST_SUBJECT)
    for plan, wanted in _plans(cells, longest):
        left = room - sum(GAP + column.width for column in plan)
        if left >= GAP + min(wanted, longest):
            return (Layout(plan, min(longest, left - GAP), ascii_only),)
    narrow = _columns(cells, stacked=True, timed=frozenset())
    bands: list[list[Column]] = [[]]
    for column in narrow:
        used = sum(GAP + c.width for c in (*bands[-1], column))
        if bands[-1] and used > room - least:
            bands.append([])
        bands[-1].append(column)
    return tuple(_banded(tuple(band), room, longest, ascii_only) for band in bands)


def _banded(band: tuple[Column, ...], room: int, longest: int, ascii_only: bool) -> Layout:
    left = room - GAP - sum(GAP + column.width for column in band)
    return Layout(band, max(0, min(longest, left)), ascii_only)


def _plans(cells: Sequence[str], longest: int) -> Iterator[tuple[tuple[Column, ...], int]]:
    """Columns from roomy to narrow, with the width of subject that makes each acceptable."""
    slowest_first = sorted(
        (c for c in cells if step_of(c) is not Step.APPLY), key=lambda c: _SLOWEST.index(step_of(c))
    )
    yield _columns(cells, stacked=False, timed=frozenset(slowest_first)), longest
    for kept in range(len(slowest_first), -1, -1):
        yield _columns(cells, stacked=True, timed=frozenset(slowest_first[:kept])), LEAST_SUBJECT


def step_of(cell: str) -> Step:
    return Step(cell.partition(":")[0])


def _columns(cells: Sequence[str], *, stacked: bool, timed: frozenset[str]) -> tuple[Column, ...]:
    made = []
    for cell, head in heads(cells).items():
        body = TIMED if cell in timed else WORD
        lines = _stack(printable(head), body) if stacked else (printable(head),)
        room = max(body, *map(width, lines))
        fits = room >= TIMED and step_of(cell) is not Step.APPLY
        made.append(Column(cell, lines, room, cell in timed or fits))
    return tuple(made)


def _stack(head: str, columns: int) -> tuple[str, ...]:
    """A head broken behind ``:``, ``.``, ``_``, ``/`` and ``-`` into lines of ``columns``."""
    lines = [""]
    for token in filter(None, _TOKEN.findall(head)):
        if lines[-1] and width(lines[-1]) + width(token) > columns:
            lines.append("")
        lines[-1] += token
    return tuple(lines)


def head_lines(layout: Layout) -> list[Line]:
    """The heads over the columns, standing on their last line."""
    height = max((len(column.head) for column in layout.columns), default=1)
    lines: list[Line] = []
    for level in range(height):
        parts: list[Segment] = [(" " * (LABEL + GAP + layout.subject), "")]
        for column in layout.columns:
            above = height - len(column.head)
            text = column.head[level - above] if level >= above else ""
            parts.append((" " * GAP + pad(text, column.width), "head"))
        lines.append(tuple(parts))
    return lines


def row_line(layout: Layout, number: int, subject: str, entries: Mapping[str, Entry]) -> Line:
    """One row of a band; a cell without an entry was not run."""
    text = printable(subject, ascii_only=layout.ascii_only)
    text = shorten(text, layout.subject, ascii_only=layout.ascii_only)
    label = row_label(number).rjust(LABEL)
    parts: list[Segment] = [(label + " " * GAP + pad(text, layout.subject), "")]
    for column in layout.columns:
        absent = NO_CELL if number == BASE_ROW and step_of(column.cell) in NOT_ON_BASE else NOT_RUN
        shown = entries.get(column.cell, absent)
        time = shown.time.rjust(TIME) if column.timed and shown.time else ""
        parts.append((" " * GAP, ""))
        parts.append((shown.word, shown.style))
        rest = " " * (WORD + 1 - width(shown.word)) + time if time else ""
        parts.append((rest + " " * (column.width - width(shown.word + rest)), "time"))
    return tuple(parts)


def as_text(line: Line) -> str:
    return "".join(text for text, _ in line).rstrip()
