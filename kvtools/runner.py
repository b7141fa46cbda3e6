# SPDX-License-Identifier: GPL-2.0-or-later
"""Walk a plan on an executor: reuse stored outcomes, run the rest, judge, journal.

One lane builds, in the worktree of the base, in the order of the rows; the guests of a
row run on the executor while the next row is built. Every outcome is stored as it ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
import traceback
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path

from kvtools import bases, git, pending, verdict
from kvtools.errors import BaseError, Interrupted, KvtoolsError, MachineError, ToolMissing
from kvtools.events import Emit, Progress, StepEnded, StepStarted, Tick
from kvtools.model import (
    Outcome,
    Owner,
    Status,
    Step,
)
from kvtools.plan import APPLY, GUEST_STEPS, Cell
from kvtools.request import RowResult, RunRequest, Tree
from kvtools.sources import code_digest
from kvtools.steps import apply, build, guest
from kvtools.store import Store, encode, key

BUILD_CODE = ("make", "kconfig", "warnings.py", "configs.py", "steps/build.py")
"""Our sources that decide what the outcome of a build is."""

IMAGE = "bzImage"
"""What a build leaves for the guests, see :mod:`kvtools.steps.build`."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The step functions, so that a test can put others in their place."""

    apply: Callable[[apply.ApplyRequest, Tick], Outcome] = apply.run
    build: Callable[[build.BuildRequest, Tick], Outcome] = build.run
    guest: Callable[[guest.GuestRequest, Tick], Outcome] = guest.run


def run(
    request: RunRequest, store: Store, executor: Executor, emit: Emit, steps: Steps | None = None
) -> tuple[RowResult, ...]:
    """Run the plan; returns the judged rows in order.

    Raises Interrupted on Ctrl-C (what has ended is stored and journalled) and MachineError when
    the worktree cannot be had.
    """
    with contextlib.ExitStack() as stack:
        return _Run(request, store, executor, emit, steps or Steps(), stack).walk()


class _Run:
    """One walk: the futures of the cells started so far and the lease of the worktree."""

    def __init__(
        self,
        request: RunRequest,
        store: Store,
        executor: Executor,
        emit: Emit,
        steps: Steps,
        stack: contextlib.ExitStack,
    ) -> None:
        self.request, self.store, self.executor = request, store, executor
        self.emit, self.steps, self._stack = emit, steps, stack
        self._lease: bases.Lease | None = None
        self._timings = store.timings()
        self._raw: dict[tuple[int, Cell], Future[Outcome]] = {}
        self._by_key: dict[str, tuple[int, Future[Outcome]]] = {}
        self._judged: dict[tuple[int, Cell], Future[Outcome]] = {}

    def walk(self) -> tuple[RowResult, ...]:
        trees = self._apply_all()
        for row, config in self.request.plan.builds():
            self._build_and_test(row, config, trees.get(row))
        # A patch that does not apply is told even when only a later row was chosen.
        rows = sorted({*self.request.plan.rows, *(number for number, _ in self._judged)})
        return tuple(self._row(row, trees.get(row)) for row in rows)

    def _row(self, row: int, tree: Tree | None) -> RowResult:
        cells = [c for c in self.request.plan.cells if (row, c) in self._judged]
        return RowResult(row, tree, tuple(self._judged[row, c].result() for c in cells))

    # Apply

    def _apply_all(self) -> dict[int, Tree]:
        """Apply every patch up to the last one wanted: conflicts show before any build."""
        base = self.request.base
        trees = {0: Tree(base.commit, base.tree, {})}
        failed: tuple[int, Outcome] | None = None
        for number in range(1, self.request.plan.last + 1):
            if failed:
                outcome = verdict.blocked(Step.APPLY, "", failed[1], failed[0])
            else:
                outcome = self._apply(number, trees[number - 1])
            if outcome.status is Status.PASS:
                commit, tree = outcome.details["commit"], outcome.details["tree"]
                trees[number] = Tree(commit, tree, git.touched_lines(base.repo, commit))
            elif not failed:
                failed = (number, outcome)
            if number in self.request.plan.rows or failed == (number, outcome):
                self._finish(number, APPLY, outcome)
        return trees

    def _apply(self, number: int, parent: Tree) -> Outcome:
        patch = self.request.patch(number)
        outcome_key = key(
            step="apply",
            version=apply.VERSION,
            parent=parent.commit,
            mail=hashlib.sha256(patch.mail).hexdigest(),
        )

        def work(out: Path, tick: Tick) -> Outcome:
            worktree = self._leased().source
            return self.steps.apply(apply.ApplyRequest(worktree, parent.commit, patch, out), tick)

        found = self._stored(APPLY, outcome_key)
        # The repository may have been made anew since; and whether a conflict can be solved
        # by a three-way merge depends on the objects there, which is not in the key.
        if found and (found.status is not Status.PASS or not self._has(found.details["commit"])):
            found = None
        return found or self._perform(number, APPLY, outcome_key, work)

    def _has(self, commit: str) -> bool:
        try:
            return git.rev_parse(self.request.base.repo, commit) == commit
        except KvtoolsError:
            return False

    def _leased(self) -> bases.Lease:
        if self._lease is None:
            name = re.sub(r"[^A-Za-z0-9.]", "-", self.request.base.name).lstrip(".-")
            lease = bases.lease(self.request.base, f"run-{name}", self.emit)
            self._lease = self._stack.enter_context(lease)
        return self._lease

    # Build

    def _build_and_test(self, row: int, config: str, tree: Tree | None) -> None:
        cells = [c for c in self.request.plan.cells if c.config == config]
        cell = next(c for c in cells if c.step is Step.BUILD)
        guests = [c for c in cells if c.step in GUEST_STEPS]
        if tree is None:
            by = self._first_failure(row)
            for blocked in cells:
                outcome = verdict.blocked(blocked.step, blocked.name, by[1], by[0])
                self._finish(row, blocked, outcome)
            return
        built = self._build(row, cell, tree)
        self._finish(row, cell, built)
        if built.status not in (Status.PASS, Status.WARN):
            for one in guests:
                self._finish(row, one, verdict.blocked(one.step, one.name, built, row))
            return
        for one in guests:
            self._start_guest(row, one, tree, built)

    def _first_failure(self, row: int) -> tuple[int, Outcome]:
        for number in range(1, row + 1):
            future = self._raw.get((number, APPLY))
            if future and future.result().status is not Status.PASS:
                return number, future.result()
        raise AssertionError("a row without a tree has a patch that did not apply")

    def _build(self, row: int, cell: Cell, tree: Tree) -> Outcome:
        request = self.request
        config = request.configs[cell.config]
        touched = {f: list(map(list, r)) for f, r in sorted(tree.touched.items())}
        outcome_key = key(
            step="build",
            version=build.VERSION,
            tree=tree.tree,
            config=config.digest,
            toolchain=request.toolchain.digest,
            touched=touched,
            code=code_digest(*BUILD_CODE),
        )

        def work(out: Path, tick: Tick) -> Outcome:
            lease = self._leased()
            git.checkout(lease.source, tree.commit)
            objects = lease.objects / f"{config.name}-{request.toolchain.digest[:12]}"
            return self.steps.build(
                build.BuildRequest(
                    source=lease.source,
                    objects=objects,
                    config=config,
                    toolchain=request.toolchain,
                    jobs=request.jobs,
                    touched=tree.touched,
                    deadline=build.DEADLINE,
                    out=out,
                ),
                tick,
            )

        found = self._stored(cell, outcome_key)
        if found and found.directory and not (found.directory / IMAGE).is_file():
            found = None  # somebody made room
        return found or self._perform(row, cell, outcome_key, work)

    # Guests

    def _start_guest(self, row: int, cell: Cell, tree: Tree, built: Outcome) -> None:
        try:
            outcome_key = self._guest_key(cell, tree, built)
        except KvtoolsError as error:
            self._finish(row, cell, _error(cell, error, None))
            return
        known = self._by_key.get(outcome_key)
        if known:
            self._follow(row, cell, known)
            return
        found = self._stored(cell, outcome_key)
        if found:
            self._by_key[outcome_key] = (row, self._finish(row, cell, found))
            return
        future = self._once_booted(row, cell, tree, built, outcome_key)
        self._by_key[outcome_key] = (row, future)
        self._judge_when_done(row, cell, future)

    def _follow(self, row: int, cell: Cell, known: tuple[int, Future[Outcome]]) -> None:
        """Take the outcome of an earlier row whose image is identical."""
        number, future = known
        same: Future[Outcome] = Future()

        def copy() -> Outcome:
            of = "the base" if number == 0 else f"patch {number}"
            outcome = future.result()
            return replace(
                outcome,
                step=cell.step,
                name=cell.name,
                reused=True,
                summary=f"{outcome.summary} [same image as {of}]",
            )

        pending.after([future], lambda: pending.settle(same, copy))
        self._judge_when_done(row, cell, same)

    def _once_booted(
        self, row: int, cell: Cell, tree: Tree, built: Outcome, outcome_key: str
    ) -> Future[Outcome]:
        """The outcome of a guest that is started as soon as this row's kernel has booted."""
        found: Future[Outcome] = Future()
        needed = []
        if cell.step is not Step.BOOT:
            boots = next(c for c in self.request.plan.cells if _boots(c, cell.config))
            needed.append(self._raw[row, boots])

        def start() -> None:
            try:
                for booted in (future.result() for future in needed):
                    if booted.status not in (Status.PASS, Status.WARN):
                        found.set_result(verdict.blocked(cell.step, cell.name, booted, row))
                        return
                running = self.executor.submit(self._guest, row, cell, tree, built, outcome_key)
            except (Exception, CancelledError, KeyboardInterrupt) as error:
                found.set_exception(error)  # the run is being stopped
                return
            pending.after([running], lambda: pending.settle(found, running.result))

        pending.after(needed, start)
        return found

    def _guest_key(self, cell: Cell, tree: Tree, built: Outcome) -> str:
        request = self._guest_request(cell, tree, built, Path())
        return key(
            step=str(cell.step),
            image=built.details["image_sha256"],
            modules=built.details.get("modules_sha256", ""),
            config=self.request.configs[cell.config].digest,
            emulator=dict(self.request.emulator),
            inputs=guest.inputs(request),
        )

    def _guest_request(
        self, cell: Cell, tree: Tree, built: Outcome, out: Path
    ) -> guest.GuestRequest:
        assert built.directory is not None
        return guest.GuestRequest(
            step=cell.step,
            image=built.directory,
            scenario=cell.scenario,
            accel=self.request.accel.name,
            repo=self.request.base.repo,
            commit=tree.commit,
            out=out,
            deadline=None,
        )

    def _guest(
        self, row: int, cell: Cell, tree: Tree, built: Outcome, outcome_key: str
    ) -> Outcome:
        def work(out: Path, tick: Tick) -> Outcome:
            return self.steps.guest(self._guest_request(cell, tree, built, out), tick)

        return self._perform(row, cell, outcome_key, work)

    # One cell

    def _stored(self, cell: Cell, outcome_key: str) -> Outcome | None:
        """The stored outcome under the name that the cell has in this run."""
        found = self.store.get(outcome_key) if self.request.reuse else None
        return replace(found, step=cell.step, name=cell.name) if found else None

    def _perform(
        self, row: int, cell: Cell, outcome_key: str, work: Callable[[Path, Tick], Outcome]
    ) -> Outcome:
        """Run a step in a fresh directory and store what it found; faults become ERRORs."""

        def tick(done: int, total: int, what: str) -> None:
            self.emit(Progress(row, str(cell), done, total, what))

        self.emit(StepStarted(row, str(cell), self._timings.get(str(cell))))
        start = time.monotonic()
        try:
            out = self.store.begin()
        except MachineError as error:
            return _error(cell, error, None)
        try:
            outcome = work(out, tick)
        except (Interrupted, KeyboardInterrupt, BaseError):
            self.store.discard(out)  # BaseError: no worktree can be had, for any row
            raise
        except Exception as error:  # law: our own fault is an ERROR cell, never a lost run
            outcome = _error(cell, error, out)
        outcome = replace(
            outcome, name=cell.name, step=cell.step, seconds=time.monotonic() - start
        )
        try:
            if outcome.status is Status.ERROR:
                return self.store.put_error(self.request.run_id, row, outcome, out)
            return self.store.put(outcome_key, outcome, out)
        except MachineError as error:
            return replace(_error(cell, error, None), seconds=outcome.seconds)

    def _finish(self, row: int, cell: Cell, outcome: Outcome) -> Future[Outcome]:
        """Record the raw outcome of a cell that has ended, and its verdict."""
        raw = pending.ready(outcome)
        self._judge_when_done(row, cell, raw)
        return raw

    def _judge_when_done(self, row: int, cell: Cell, raw: Future[Outcome]) -> None:
        """Judge a cell once it and the same cell of the base have ended; nobody waits for it."""
        self._raw[row, cell] = raw
        judged: Future[Outcome] = Future()
        self._judged[row, cell] = judged
        needed = [raw]
        if row and (0, cell) in self._raw:
            needed.append(self._raw[0, cell])
        pending.after(
            needed,
            lambda: pending.settle(judged, lambda: self._conclude(row, cell, raw.result())),
        )

    def _conclude(self, row: int, cell: Cell, outcome: Outcome) -> Outcome:
        base = None
        if row and cell.step is not Step.APPLY and (0, cell) in self._raw:
            base = self._raw[0, cell].result()
        expectation = self.request.expectation(cell)
        judged = verdict.judge(outcome, base, expectation, row)
        entry = {"row": row, "directory": str(outcome.directory or ""), "outcome": encode(judged)}
        with contextlib.suppress(MachineError):  # a full disk is told by the cell that needs room
            self.store.journal(self.request.run_id, entry)
        self.emit(StepEnded(row, judged))
        return judged


def _boots(cell: Cell, config: str) -> bool:
    return cell.step is Step.BOOT and cell.config == config


def _error(cell: Cell, error: Exception, out: Path | None) -> Outcome:
    if isinstance(error, KvtoolsError):
        owner = Owner.USER if isinstance(error, ToolMissing) else Owner.MACHINE
        return Outcome(cell.step, cell.name, Status.ERROR, 0.0, str(error), owner=owner)
    if out is not None:
        with contextlib.suppress(OSError):
            (out / "traceback.log").write_text(traceback.format_exc())
    return Outcome(
        cell.step,
        cell.name,
        Status.ERROR,
        0.0,
        f"a fault in kvtools itself: {type(error).__name__}: {error}",
        owner=Owner.MACHINE,
        log="traceback.log",
    )
