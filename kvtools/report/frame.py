# SPDX-License-Identifier: GPL-2.0-or-later
"""One picture of a run under way: the matrix filling in, the work at hand, the time left.

Pure: a :class:`kvtools.report.board.Board` and a time in, lines of styled segments out. The
console puts them on the terminal.
"""

from __future__ import annotations

from kvtools.events import RunStarted
from kvtools.report.board import Board, Running, window
from kvtools.report.layout import (
    Entry,
    Layout,
    Line,
    arrange,
    column_of,
    columns_of,
    entries,
    head_lines,
    row_line,
    short_time,
)
from kvtools.report.model import BASE_ROW
from kvtools.report.printable import printable, shorten

LINES_OF_WORK = 3
TURNS = 5.0
"""Steps of the spinner per second."""
SPINNER = "\u280b\u2819\u2839\u2838\u283c\u2834\u2826\u2827\u2807\u280f"
ASCII_SPINNER = "|/-\\"


class Frame:
    """One picture of the board at one moment."""

    def __init__(self, board: Board, now: float, began: float, *, ascii_only: bool = False) -> None:
        self._board, self._now, self._began = board, now, began
        self._ascii = ascii_only
        spinner = ASCII_SPINNER if ascii_only else SPINNER
        self._spin = spinner[int(now * TURNS) % len(spinner)]

    def lines(self, columns: int, height: int) -> list[Line]:
        """The picture for a terminal with room for ``columns`` and ``height``."""
        below = [*self._work(columns), *self._total(columns)]
        run = self._board.run
        above = self._matrix(run, columns, height - len(below)) if run else []
        return [*above, *below]

    def _matrix(self, run: RunStarted, columns: int, height: int) -> list[Line]:
        subjects = (subject for _, subject in run.rows)
        bands = arrange(columns_of(run.cells), subjects, columns, ascii_only=self._ascii)
        key = self._board.current()
        at = column_of(key[1]) if key else ""
        layout = next((b for b in bands if at in [c.cell for c in b.columns]), bands[0])
        shown = head_lines(layout)
        numbers = [number for number, _ in run.rows]
        room = max(1, height - len(shown) - 1)
        first, last = window(numbers, self._around(numbers), room)
        shown += [self._row(layout, *row) for row in run.rows[first:last]]
        heading = title(run)
        if last - first < len(numbers):
            heading += f" (rows {first + 1} to {last} of {len(numbers)})"
        return [self._plain(heading, columns, "head"), *shown]

    def _around(self, numbers: list[int]) -> int | None:
        """The row to keep in sight: the running one, else the last that has ended."""
        key = self._board.current()
        ended = {number for number, _ in self._board.outcomes}
        return key[0] if key else max((n for n in numbers if n in ended), default=None)

    def _row(self, layout: Layout, number: int, subject: str) -> Line:
        shown = {column.cell: Entry("") for column in layout.columns}
        shown |= entries(o for (row, _), o in self._board.outcomes.items() if row == number)
        running = [(c, s) for (row, c), s in self._board.running.items() if row == number]
        shown |= {column_of(cell): self._running(state) for cell, state in running}
        return row_line(layout, number, subject, shown)

    def _running(self, state: Running) -> Entry:
        share = f" {min(99, 100 * state.done // state.total)}%" if state.total else ""
        return Entry(self._spin + share, short_time(self._now - state.started), "running")

    def _work(self, columns: int) -> list[Line]:
        lines = [
            f"{self._spin} {what}  {short_time(self._now - started)}"
            for what, started in self._board.working.items()
        ]
        for key, state in self._board.running.items():
            facts = [state.progress(), short_time(self._now - state.started)]
            left = state.left(self._now)
            if left is not None:
                facts.append(f"about {short_time(left)} left")
            where = f"{self._spin} {row_name(self._board, key[0]).strip()} {key[1]}"
            lines.append(f"{where}  {', '.join(filter(None, facts))}")
        return [self._plain(line, columns, "running") for line in lines[:LINES_OF_WORK]]

    def _total(self, columns: int) -> list[Line]:
        planned = self._board.planned()
        if not planned:
            return []
        ended = sum(key in self._board.outcomes for key in planned)
        facts = [
            f"{ended} of {len(planned)} cells",
            f"{short_time(self._now - self._began)} so far",
        ]
        left = self._board.time_left(self._now)
        if left and ended < len(planned):
            facts.append(left)
        return [self._plain(", ".join(facts), columns, "time")]

    def _plain(self, text: str, columns: int, style: str) -> Line:
        clean = printable(text, ascii_only=self._ascii)
        return ((shorten(clean, columns, ascii_only=self._ascii), style),)


def title(run: RunStarted) -> str:
    """What runs on what, in one line."""
    return f"{run.title} on {run.base}, accel {run.accel}"


def row_name(board: Board, number: int) -> str:
    """``3/12`` with the numbers right-aligned; ``base`` in the same width.

    Where nothing says how many there are (a bisection), the number alone.
    """
    if board.run is None:
        return ("base" if number == BASE_ROW else str(number)).rjust(4)
    last = max((row for row, _ in board.run.rows), default=0)
    room = len(str(last))
    name = "base" if number == BASE_ROW else f"{number:>{room}}/{last}"
    return name.rjust(max(4, 2 * room + 1))
