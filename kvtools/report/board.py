# SPDX-License-Identifier: GPL-2.0-or-later
"""The matrix of a run under way: events in, the state of the cells and the time left out.

Nothing here reads a clock or draws: every call is told what time it is, in seconds of any
clock that does not jump.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median

from kvtools.events import (
    Event,
    Progress,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    Working,
)
from kvtools.model import Outcome, Status, Step
from kvtools.report.layout import NOT_ON_BASE, short_time, step_of
from kvtools.report.model import BASE_ROW

Key = tuple[int, str]
ENOUGH = 0.05
SETTLED = 10.0
"""Progress tells the rate once 5% are done and 10 s have passed; before, it is noise."""

FEW = 3
"""Builds of patches below which their lengths say little about the next."""
CLOSE = 1.5
"""The estimate is ``about`` right while its bounds are no further apart than this."""
IN_GUEST = (Step.BOOT, Step.SELFTEST, Step.DUMP)


@dataclass(frozen=True, slots=True)
class Running:
    """A cell that is being worked on. ``started`` is a time, ``expected`` a duration."""

    started: float
    expected: float | None = None
    done: int = 0
    total: int = 0
    what: str = ""

    def progress(self) -> str:
        """``812/1450 objects``; ``812 objects`` when the total is unknown; else empty."""
        if not self.done and not self.total:
            return self.what
        count = f"{self.done}/{self.total}" if self.total else str(self.done)
        return f"{count} {self.what}".rstrip()

    def left(self, now: float) -> float | None:
        """Seconds still to go, None when there is nothing to judge by."""
        elapsed = now - self.started
        if self.total and self.done >= ENOUGH * self.total and elapsed >= SETTLED:
            return elapsed * max(self.total - self.done, 0) / self.done
        if self.expected is not None and elapsed <= self.expected:
            return self.expected - elapsed
        return None


@dataclass
class Board:
    """What is known of the run so far. Not thread-safe: its owner locks."""

    run: RunStarted | None = None
    outcomes: dict[Key, Outcome] = field(default_factory=dict)
    running: dict[Key, Running] = field(default_factory=dict)
    working: dict[str, float] = field(default_factory=dict)
    _expected: dict[str, float] = field(default_factory=dict)

    def apply(self, event: Event, now: float) -> None:
        """Take one event into account."""
        match event:
            case RunStarted():
                self.run = event
            case StepStarted(patch, cell, expected):
                self.running[patch, cell] = Running(now, expected)
                if expected is not None:
                    self._expected[cell] = expected
            case Progress(patch, cell, done, total, what) if (patch, cell) not in self.outcomes:
                before = self.running.get((patch, cell), Running(now))
                self.running[patch, cell] = replace(before, done=done, total=total, what=what)
            case StepEnded(patch, outcome):
                self.running.pop((patch, outcome.cell), None)
                self.outcomes[patch, outcome.cell] = outcome
            case Working(what, done):
                self.working.pop(what, None)
                if not done:
                    self.working[what] = now
            case RunEnded():
                self.running.clear()
                self.working.clear()

    def planned(self) -> list[Key]:
        """Every cell of the matrix, row by row; the base has no apply and no check."""
        if self.run is None:
            return []
        return [
            (number, cell)
            for number, _ in self.run.rows
            for cell in self.run.cells
            if (number != BASE_ROW or step_of(cell) not in NOT_ON_BASE)
            and (number, cell) not in self.run.left_out
        ]

    def pending(self) -> list[Key]:
        """The planned cells that have neither begun nor ended."""
        return [k for k in self.planned() if k not in self.outcomes and k not in self.running]

    def current(self) -> Key | None:
        """The cell that has been running longest."""
        return min(self.running, key=lambda key: self.running[key].started, default=None)

    def time_left(self, now: float) -> str:
        """``about 12m left``, ``at most`` or ``at least`` where only a bound is known.

        Empty when there is nothing to judge by. What has not begun is reckoned to take as
        long as the same cell on other rows, see :meth:`_usual`.
        """
        low = high = 0.0
        for number, cell in self.pending():
            if self._is_to_be_skipped(number, cell):
                continue
            known = self._usual(cell)
            if known is None:
                return ""
            low, high = low + known[0], high + known[1]
        # What runs side by side now is taken to go on so.
        side_by_side = max(1, len(self.running))
        lefts = [self._left(key, state, now) for key, state in self.running.items()]
        longest = max((left for left in lefts if left is not None), default=0.0)
        low, high = low / side_by_side + longest, high / side_by_side + longest
        if None in lefts:
            return f"at least {short_time(low)} left" if low >= 1 else ""
        if high < 1:
            return ""
        if high <= CLOSE * low:
            return f"about {short_time((low + high) / 2)} left"
        return f"at most {short_time(high)} left"

    def _is_to_be_skipped(self, number: int, cell: str) -> bool:
        """Whether it was skipped so far and no promise says that this row is another."""
        since = self.run.since.get(cell) if self.run else None
        return since is not None and number < since and not any(
            c == cell and o.status is not Status.SKIP for (_, c), o in self.outcomes.items())

    def _left(self, key: Key, state: Running, now: float) -> float | None:
        """As :meth:`Running.left`, falling back on other rows; None when it has overrun."""
        left = state.left(now)
        if left is not None or state.expected is not None:
            return left
        known = self._usual(key[1])
        length = known[1] - (now - state.started) if known else -1.0
        return length if length > 0 else None

    def _usual(self, cell: str) -> tuple[float, float] | None:
        """The least and the most that ``cell`` can be reckoned to take on one more patch.

        A patch is built from where the one before left off, so a few builds say little, and
        the base's full one is the most it can be. A cell that was only ever skipped may
        take as long as the others in a guest do on average: twenty of them are not each the
        longest.
        """
        seen = [(n, o) for (n, c), o in self.outcomes.items() if c == cell]
        ran = [(n, o.seconds) for n, o in seen if o.status is not Status.SKIP]
        patches = [seconds for number, seconds in ran if number != BASE_ROW]
        if step_of(cell) is Step.BUILD and ran and len(patches) < FEW:
            return 0.0, max(seconds for _, seconds in ran)
        if ran:
            sample = patches or [seconds for _, seconds in ran]
            return min(median(sample), fmean(sample)), max(median(sample), fmean(sample))
        expected = self._expected.get(cell)
        if expected is not None:
            return expected, expected
        guests: dict[str, list[float]] = {}
        for (_, other), outcome in self.outcomes.items():
            if outcome.step in IN_GUEST and outcome.status is not Status.SKIP:
                guests.setdefault(other, []).append(outcome.seconds)
        return (0.0, fmean(map(median, guests.values()))) if seen and guests else None


def window(numbers: Sequence[int], around: int | None, height: int) -> tuple[int, int]:
    """Which rows to show when only ``height`` fit: ``[first, last)`` with ``around`` inside."""
    count = len(numbers)
    if count <= height:
        return 0, count
    at = numbers.index(around) if around in numbers else 0
    first = min(max(0, at - height // 2), count - height)
    return first, first + height
