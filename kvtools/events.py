# SPDX-License-Identifier: GPL-2.0-or-later
"""The vocabulary in which the core tells what it is doing. Only the console draws it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kvtools.model import Outcome, Status


@dataclass(frozen=True, slots=True)
class RunStarted:
    """``cells`` are the columns of the matrix in order, ``rows`` (number, subject), 0 the base.

    ``left_out`` are the (row, cell) that are not part of the plan; ``since`` the row from which
    on a cell is promised to pass.
    """

    run_id: str
    title: str
    base: str
    accel: str
    rows: tuple[tuple[int, str], ...]
    cells: tuple[str, ...]
    left_out: frozenset[tuple[int, str]] = frozenset()
    since: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepStarted:
    """``expected`` is how long it took last time, in seconds, None if unknown."""

    patch: int
    cell: str
    expected: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` (objects, tests, files); ``total`` 0 when unknown."""

    patch: int
    cell: str
    done: int
    total: int
    what: str = ""


@dataclass(frozen=True, slots=True)
class StepEnded:
    patch: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Working:
    """Preparation outside the matrix (unpacking, fetching, probing), and its end."""

    what: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """A line for the user: ``level`` is ``info`` or ``warning``."""

    text: str
    level: str = "info"


@dataclass(frozen=True, slots=True)
class RunEnded:
    run_id: str
    status: Status
    seconds: float


Event = RunStarted | StepStarted | Progress | StepEnded | Working | Notice | RunEnded
Emit = Callable[[Event], None]


def discard(event: Event) -> None:
    """An :data:`Emit` for callers that do not watch."""



Tick = Callable[[int, int, str], None]
"""How a step tells its progress: (done, total, what), see :class:`Progress`."""


def no_tick(done: int, total: int, what: str) -> None:
    """A :data:`Tick` for callers that do not watch."""
