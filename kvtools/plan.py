# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run does: rows (the base and the chosen patches) by cells. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kvtools.errors import UserError
from kvtools.model import ConfigUse, Step, cell_of

GUEST_STEPS = (Step.BOOT, Step.SELFTEST, Step.DUMP)


PATCH, OBJECTS, SERIES = "patch", "objects", "series"
"""Scopes of a check, see :class:`kvtools.checks.Scope`."""


@dataclass(frozen=True, slots=True)
class CheckUse:
    """A check by name, and when it runs: a scope as above."""

    name: str
    scope: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A column of the matrix. ``config`` and ``scenario`` are empty where a step has none.

    ``scope`` is that of a check.
    """

    step: Step
    name: str = ""
    config: str = ""
    scenario: str = ""
    scope: str = ""

    def __str__(self) -> str:
        return cell_of(self.step, self.name)


APPLY = Cell(Step.APPLY)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """``rows`` are patch numbers in order, 0 (the base) first; ``last`` is the last patch applied.

    ``cells`` are in the order in which they run on a row. ``limits`` names the rows of a config
    that is not built on every one.
    """

    rows: tuple[int, ...]
    last: int
    cells: tuple[Cell, ...]
    limits: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def configs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c.config for c in self.cells if c.config))

    def has(self, row: int, cell: Cell) -> bool:
        """Whether a cell is wanted on a row; the base has nothing applied."""
        if cell.step is Step.APPLY:
            return row > 0
        if cell.step is Step.CHECK and (row == 0 or (cell.scope == SERIES and row != self.last)):
            return False
        return row in self.limits.get(cell.config, self.rows)

    def builds(self) -> Iterator[tuple[int, str]]:
        """(row, config) in the order of building: a config for few rows waits for the rest."""
        for late in (False, True):
            for row in self.rows:
                for config in self.configs:
                    limit = self.limits.get(config)
                    if (limit is not None) is late and (limit is None or row in limit):
                        yield row, config

    @property
    def boots(self) -> bool:
        """Whether the plan starts guests."""
        return any(c.step in GUEST_STEPS for c in self.cells)


def select(text: str, count: int) -> tuple[int, ...]:
    """The patch numbers that ``--patches`` names: ``all``, ``tip``, ``base``, ``3..5``, ``1,4``.

    Raises UserError for anything else and for numbers outside 1..count.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        numbers.update(_select_one(part.strip(), count))
    return tuple(sorted(numbers))


def _select_one(text: str, count: int) -> range:
    if text == "base" or (count == 0 and text in ("all", "tip")):
        return range(0)
    if text == "all":
        return range(1, count + 1)
    if text == "tip":
        return range(count, count + 1)
    match = re.fullmatch(r"(\d*)(\.\.)?(\d*)", text)
    if not match or not (match[1] or match[3]):
        raise UserError(
            f"--patches {text!r} is not a selection",
            fix="use all, tip, base, a number, or a range such as 3..5",
        )
    first = int(match[1] or 1)
    last = int(match[3] or count) if match[2] else first
    if not 1 <= first <= last <= count:
        raise UserError(
            f"--patches {text} is outside the series",
            fix=f"it has {count} patch{'' if count == 1 else 'es'}",
        )
    return range(first, last + 1)


def make(
    count: int,
    configs: Sequence[ConfigUse],
    scenarios: Sequence[str],
    *,
    checks: Sequence[CheckUse] = (),
    patches: str = "all",
    only: Sequence[str] = (),
) -> RunPlan:
    """The plan for a series of ``count`` patches.

    The first config gives the plain scenario names; the cells of another config ``c`` are
    called ``scenario@c``. ``only`` are ``STEP`` or ``STEP:NAME`` filters; what a chosen cell needs
    (apply, its build, its boot) stays; ``check:patch``, ``check:objects`` and ``check:series``
    choose all checks of a scope. ``checks`` of the series are made when its last patch is chosen,
    those of objects in the first config. A config for some patches only is built on the base and on
    those of them that are chosen. Raises UserError for a filter that matches nothing.
    """
    selected = select(patches, count)
    whole = bool(count) and count in selected
    cells = [APPLY, *_checks(checks, PATCH)] if count else []
    cells += _checks(checks, SERIES) if whole else []
    for use in configs:
        config = use.config
        suffix = "" if use is configs[0] else f"@{config}"
        cells.append(Cell(Step.BUILD, config, config))
        if use is configs[0] and count:
            cells += _checks(checks, OBJECTS, config)
        cells.append(Cell(Step.BOOT, config, config, "boot"))
        cells.extend(
            Cell(Step.DUMP if s.startswith("dump.") else Step.SELFTEST, s + suffix, config, s)
            for s in (scenarios if use.scenarios is None else use.scenarios)
        )
    limits = {
        use.config: _limit(select(use.patches, count), selected)
        for use in configs
        if count and use.patches != "all"
    }
    chosen = tuple(c for c in _filter(tuple(cells), only) if limits.get(c.config, (0,)))
    return RunPlan((0, *selected), selected[-1] if selected else 0, chosen, limits)


def _checks(checks: Sequence[CheckUse], scope: str, config: str = "") -> list[Cell]:
    return [Cell(Step.CHECK, c.name, config, scope=scope) for c in checks if c.scope == scope]


def _limit(wanted: Sequence[int], selected: Sequence[int]) -> tuple[int, ...]:
    """The base and the chosen rows of ``wanted``; nothing when none of them is chosen."""
    rows = tuple(row for row in selected if row in wanted)
    return (0, *rows) if rows else ()


def _filter(cells: tuple[Cell, ...], only: Sequence[str]) -> tuple[Cell, ...]:
    if not only:
        return cells
    wanted: set[Cell] = set()
    for text in only:
        hits = {c for c in cells if text in (c.step, str(c), cell_of(c.step, c.scope))}
        if not hits:
            known = ", ".join(str(c) for c in cells)
            raise UserError(f"--only {text} matches no cell", fix=f"the cells are: {known}")
        wanted |= hits
    return tuple(c for c in cells if c in wanted or any(needs(w, c) for w in wanted))


def needs(cell: Cell, other: Cell) -> bool:
    """Whether ``cell`` can only run when ``other`` has passed on the same row."""
    if other.step is Step.APPLY:
        return cell.step is not Step.APPLY
    if cell.config != other.config:
        return False
    if other.step is Step.BUILD:
        return cell.step in GUEST_STEPS or cell.scope == OBJECTS
    return other.step is Step.BOOT and cell.step in (Step.SELFTEST, Step.DUMP)
