# SPDX-License-Identifier: GPL-2.0-or-later
"""The work of one cell: look its outcome up, or run a step in a fresh directory and store it."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from kvtools.errors import BaseError, Interrupted, KvtoolsError, MachineError, ToolMissing
from kvtools.events import Emit, Progress, StepStarted, Tick
from kvtools.model import Outcome, Owner, Status
from kvtools.plan import Cell
from kvtools.store import Store, key


class Work:
    """Looks up and runs the cells of one run."""

    def __init__(self, store: Store, run_id: str, emit: Emit, *, reuse: bool,
                 apart: str = "") -> None:
        """``apart``: outcomes are stored under keys that only those who give the same see."""
        self._apart = apart
        self._store, self._run_id, self._emit, self._reuse = store, run_id, emit, reuse
        self._timings = store.timings()

    def _key(self, outcome_key: str) -> str:
        return key(apart=self._apart, of=outcome_key) if self._apart else outcome_key

    def stored(self, cell: Cell, outcome_key: str) -> Outcome | None:
        """The stored outcome under the name that the cell has in this run."""
        found = self._store.get(self._key(outcome_key)) if self._reuse else None
        return replace(found, step=cell.step, name=cell.name) if found else None

    def first(self, cell: Cell, keys: Iterable[str]) -> Outcome | None:
        """The outcome stored under the first of ``keys`` that has one. The first key is that of
        the cell's own tree, the others those of its twins (see kvtools.twins), and it says so."""
        if not self._reuse:
            return None
        for number, one in enumerate(keys):
            if found := self.stored(cell, one):
                return replace(found, summary=f"{found.summary} [but for comments the same code]"
                               if number else found.summary)
        return None

    def perform(
        self, row: int, cell: Cell, outcome_key: str, work: Callable[[Path, Tick], Outcome]
    ) -> Outcome:
        """Run a step in a fresh directory and store what it found; faults become ERRORs."""

        def tick(done: int, total: int, what: str) -> None:
            self._emit(Progress(row, str(cell), done, total, what))

        self._emit(StepStarted(row, str(cell), self._timings.get(str(cell))))
        start = time.monotonic()
        try:
            out = self._store.begin()
        except MachineError as error:
            return fault_of(cell, error, None)
        try:
            outcome = work(out, tick)
        except (Interrupted, KeyboardInterrupt, BaseError):
            self._store.discard(out)  # BaseError: no worktree can be had, for any row
            raise
        except Exception as error:  # law: our own fault is an ERROR cell, never a lost run
            outcome = fault_of(cell, error, out)
        outcome = replace(
            outcome, name=cell.name, step=cell.step, seconds=time.monotonic() - start
        )
        try:
            if outcome.status is Status.ERROR:
                return self._store.put_error(self._run_id, row, outcome, out)
            return self._store.put(self._key(outcome_key), outcome, out)
        except MachineError as error:
            return replace(fault_of(cell, error, None), seconds=outcome.seconds)


def fault_of(cell: Cell, fault: Exception, out: Path | None) -> Outcome:
    """The ERROR of a cell; the traceback of a fault of ours goes to ``out``."""
    if isinstance(fault, KvtoolsError):
        owner = Owner.USER if isinstance(fault, ToolMissing) else Owner.MACHINE
        return Outcome(cell.step, cell.name, Status.ERROR, 0.0, str(fault), owner=owner)
    if out is not None:
        with contextlib.suppress(OSError):
            (out / "traceback.log").write_text(traceback.format_exc())
    return Outcome(
        cell.step,
        cell.name,
        Status.ERROR,
        0.0,
        f"a fault in kvtools itself: {type(fault).__name__}: {fault}",
        owner=Owner.MACHINE,
        log="traceback.log",
    )
