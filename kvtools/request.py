# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run is asked for, and what it gives back: records of plain data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from kvtools import bases
from kvtools.accel import Accel
from kvtools.checks import Check
from kvtools.events import Emit
from kvtools.model import Base, Config, Expectation, Outcome, Patch, Series, cell_of
from kvtools.plan import Cell, RunPlan
from kvtools.toolchain import Toolchain

GUEST_MEMORY = 4 << 30
"""Bytes to have for each guest: the largest machines have 2.5 GiB, and QEMU its own."""


def guest_slots(cores: int, memory: int) -> int:
    """How many guests may run at once: they boot on one CPU each and then mostly wait."""
    return max(1, min(max(2, cores // 2), memory // GUEST_MEMORY))


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Everything a run depends on.

    ``configs`` by name; ``jobs`` is make's -j, ``guests`` how many may run at once;
    ``emulator`` are the versions of what starts them; ``keep``: the crash dumps of cells that
    pass, too; ``expectations`` by cell; ``checks`` by name, ``cores`` of them at once;
    ``early``: scenarios run before the patch that the series promises them from, too;
    ``header_aware`` see :mod:`kvtools.headers`, ``verify`` compares it with a build from nothing;
    ``untrusted``: the steps run confined, see docs/untrusted.md. ``ccache`` is the directory of
    compiled files, None to compile every one.
    """

    run_id: str
    base: Base
    series: Series | None
    plan: RunPlan
    configs: Mapping[str, Config]
    toolchain: Toolchain
    accel: Accel
    jobs: int
    guests: int = 1
    emulator: Mapping[str, str] = field(default_factory=dict)
    reuse: bool = True
    keep: bool = False
    early: bool = False
    header_aware: bool = False
    verify: bool = False
    expectations: Mapping[str, Expectation] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    cores: int = 1
    untrusted: bool = False
    ccache: Path | None = None

    @property
    def compiled(self) -> Path | None:
        """Where ccache keeps files for the builds. An untrusted series has none: it could poison
        what others are given."""
        return None if self.untrusted else self.ccache

    @property
    def apart(self) -> str:
        """Names what an untrusted series shares with no other one: outcomes, objects.

        Its build can leave anything in an object directory, and with that say anything of any
        tree, the base's included. Empty for a trusted one.
        """
        if not self.untrusted or self.series is None:
            return ""
        mails = [patch.mail for patch in self.series.patches]
        return hashlib.sha256(b"".join(hashlib.sha256(m).digest() for m in mails)).hexdigest()

    def expectation(self, cell: Cell) -> Expectation | None:
        """What the series promises of a cell; of a scenario, whatever the config is."""
        plain = cell_of(cell.step, cell.scenario)
        return self.expectations.get(str(cell)) or self.expectations.get(plain)

    def patch(self, number: int) -> Patch:
        assert self.series is not None
        return self.series.patches[number - 1]


@dataclass(frozen=True, slots=True)
class Tree:
    """A row's kernel: commit, git tree, and the new-side line ranges its patch touched."""

    commit: str
    tree: str
    touched: Mapping[str, tuple[tuple[int, int], ...]]


@dataclass(frozen=True, slots=True)
class RowResult:
    """A row as judged. ``tree`` is None where the patch did not apply."""

    number: int
    tree: Tree | None
    outcomes: tuple[Outcome, ...]


def lease_of(request: RunRequest, emit: Emit) -> AbstractContextManager[bases.Lease]:
    """The worktree and objects that a run builds in: an untrusted series has its own."""
    if request.apart:
        return bases.lease_apart(request.base, request.apart, emit)
    return bases.lease(request.base, bases.run_key(request.base), emit)


def seconds_by_cell(rows: tuple[RowResult, ...]) -> dict[str, float]:
    """The seconds that the cells which ran took, the slowest of each."""
    found: dict[str, float] = {}
    for outcome in (o for row in rows for o in row.outcomes if not o.reused and o.seconds > 0):
        found[outcome.cell] = max(found.get(outcome.cell, 0.0), outcome.seconds)
    return found
