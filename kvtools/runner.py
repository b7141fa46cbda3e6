# SPDX-License-Identifier: GPL-2.0-or-later
"""Walk a plan on an executor: reuse stored outcomes, run the rest, judge, journal.

One lane builds, in the worktree of the base, in the order of the rows; the guests of a
row run on the executor while the next row is built. Every outcome is stored as it ends.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import replace
from pathlib import Path

from kvtools import applylane, bases, checklane, git, make, pending, twins, verdict
from kvtools.checks.request import Built
from kvtools.errors import KvtoolsError, MachineError
from kvtools.events import Emit, Notice, Progress, StepEnded, Tick, no_tick
from kvtools.model import Outcome, Status, Step
from kvtools.plan import APPLY, GUEST_STEPS, Cell
from kvtools.quarantine.choice import Steps as Steps
from kvtools.quarantine.choice import steps_of
from kvtools.request import RowResult, RunRequest, Tree, lease_of
from kvtools.steps import build, guest
from kvtools.store import Store, encode
from kvtools.work import Work, fault_of

IMAGE = "bzImage"
"""What a build leaves for the guests, see :mod:`kvtools.steps.build`."""


def run(
    request: RunRequest, store: Store, executor: Executor, emit: Emit, steps: Steps | None = None
) -> tuple[RowResult, ...]:
    """Run the plan; returns the judged rows in order.

    Raises Interrupted on Ctrl-C (what has ended is stored and journalled) and MachineError when
    the worktree cannot be had. ``steps`` are those of :func:`steps_of` unless a test gives others.
    """
    with contextlib.ExitStack() as stack:
        return _Run(request, store, executor, emit, steps or steps_of(request), stack).walk()


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
        self._checks: checklane.CheckLane | None = None
        self._work = Work(store, request.run_id, emit, reuse=request.reuse, apart=request.apart)
        self._twins = twins.Twins(store, request.base)
        self._header_aware = request.header_aware
        self._raw: dict[tuple[int, Cell], Future[Outcome]] = {}
        self._by_key: dict[str, tuple[int, Future[Outcome]]] = {}
        self._judged: dict[tuple[int, Cell], Future[Outcome]] = {}

    def walk(self) -> tuple[RowResult, ...]:
        trees = self._apply_all()
        self._start_checks(trees)
        for row, config in self.request.plan.builds():
            self._build_and_test(row, config, trees)
        # A patch that does not apply is told even when only a later row was chosen.
        rows = sorted({*self.request.plan.rows, *(number for number, _ in self._judged)})
        return tuple(self._row(row, trees.get(row)) for row in rows)

    def _row(self, row: int, tree: Tree | None) -> RowResult:
        cells = [c for c in self.request.plan.cells if (row, c) in self._judged]
        return RowResult(row, tree, tuple(self._judged[row, c].result() for c in cells))

    # Apply

    def _apply_all(self) -> dict[int, Tree]:
        """Apply every patch up to the last one wanted: conflicts show before any build."""
        lane = applylane.ApplyLane(self.request, self._work, self.steps.apply,
                                   lambda: self._leased().source)
        applied: dict[int, Outcome] = {}
        told = False
        for number, outcome in lane.outcomes():
            applied[number] = outcome
            first = not told and outcome.status is not Status.PASS
            told |= first
            if number in self.request.plan.rows or first:
                self._finish(number, APPLY, outcome)
            else:
                self.emit(StepEnded(number, outcome))  # no row of this run, yet it has ended
        return applylane.trees(self.request, applied)

    def _leased(self) -> bases.Lease:
        if self._lease is None:
            self._lease = self._stack.enter_context(lease_of(self.request, self.emit))
        return self._lease

    # Checks

    def _start_checks(self, trees: Mapping[int, Tree]) -> None:
        """Start the checks of patches and series: they run beside the builds."""
        request = self.request
        if request.series is None or not any(c.step is Step.CHECK for c in request.plan.cells):
            return
        self._checks = checklane.CheckLane(
            checklane.Setup(
                request.base, request.series, request.checks, request.jobs, request.cores,
                self.store.run_directory(request.run_id) / "mails", self.emit),
            checklane.Hooks(
                self._work.first, self._work.perform, self.store.begin, self.steps.before,
                self.steps.check, self._twins.pairs))
        self._stack.callback(self._checks.stop)
        work = []
        for number in request.plan.rows:
            cells = [c for c in request.plan.cells
                     if c.step is Step.CHECK and not c.config and request.plan.has(number, c)]
            if number not in trees:
                self._block(number, cells)
            elif cells:
                work.append((_check_row(number, trees), self._await(number, cells)))
        self._checks.start(work)

    def _await(self, row: int, cells: Iterable[Cell]) -> dict[Cell, Future[Outcome]]:
        """A future for each cell, judged when somebody gives it its outcome."""
        futures: dict[Cell, Future[Outcome]] = {cell: Future() for cell in cells}
        for cell, future in futures.items():
            self._judge_when_done(row, cell, future)
        return futures

    def _block(self, row: int, cells: Iterable[Cell]) -> None:
        """Skip cells of a row whose patch did not apply."""
        by = self._first_failure(row)
        for cell in cells:
            self._finish(row, cell, verdict.blocked(cell.step, cell.name, by[1], by[0]))

    # Build

    def _build_and_test(self, row: int, config: str, trees: Mapping[int, Tree]) -> None:
        cells = [c for c in self.request.plan.cells
                 if c.config == config and self.request.plan.has(row, c)]
        if row not in trees:
            self._block(row, cells)
            return
        cell = next(c for c in cells if c.step is Step.BUILD)
        built = self._build_checked(row, cell, trees, [c for c in cells if c.step is Step.CHECK])
        guests = [c for c in cells if c.step in GUEST_STEPS]
        if built.status not in (Status.PASS, Status.WARN):
            for one in guests:
                self._finish(row, one, verdict.blocked(one.step, one.name, built, row))
            return
        for one in guests:
            if early := self._too_early(row, one):
                self._finish(row, one, early)
            else:
                self._start_guest(row, one, trees[row], built)

    def _too_early(self, row: int, cell: Cell) -> Outcome | None:
        if self.request.early or cell.step is Step.BOOT:
            return None
        return verdict.not_yet(cell.step, cell.name, self.request.expectation(cell), row)

    def _build_checked(
        self, row: int, cell: Cell, trees: Mapping[int, Tree], cells: Sequence[Cell]
    ) -> Outcome:
        """Build, and check the objects of the parent before and those of the patch behind."""
        tree = trees[row]
        todo: list[checklane.Todo] = []
        if self._checks and cells:
            config, chain = self.request.configs[cell.config], self.request.toolchain
            todo = self._checks.unknown(_check_row(row, trees), self._await(row, cells),
                                        config=config.digest, toolchain=chain.digest)
        if not todo or self._checks is None:
            built = self._build(row, cell, tree)
            self._finish(row, cell, built)
            return built
        lease, objects = self._leased(), self._objects(cell)
        if not (objects / ".config").is_file():
            self._prepare_objects(cell, trees[row - 1])
        git.checkout(lease.source, trees[row - 1].commit)
        sides = self._checks.before_objects(todo, lease.source, self._as_built(cell, None))
        built = self._build(row, cell, tree, reuse=False)
        self._finish(row, cell, built)
        if built.status in (Status.PASS, Status.WARN):
            git.checkout(lease.source, tree.commit)
            self._checks.after_objects(todo, lease.source, self._as_built(cell, built), sides)
        else:
            for item in todo:
                outcome = verdict.blocked(item.cell.step, item.cell.name, built, row)
                item.future.set_result(outcome)
        return built

    def _make(self, cell: Cell, tree: Tree, out: Path, tick: Tick) -> Outcome:
        lease = self._leased()
        git.checkout(lease.source, tree.commit)
        outcome = self.steps.build(
            build.BuildRequest(
                source=lease.source,
                objects=self._objects(cell),
                config=self.request.configs[cell.config],
                toolchain=self.request.toolchain,
                jobs=self.request.jobs,
                touched=tree.touched,
                deadline=build.DEADLINE,
                out=out,
                # A confined build sees the sources, and so their time stamps, read-only.
                header_aware=self._header_aware and not self.request.untrusted,
                verify=self.request.verify,
                ccache=self.request.compiled,
            ),
            tick,
        )
        if "wrong_reuse" in outcome.details and self._header_aware:
            self._header_aware = False
            self.emit(Notice(f"header-aware builds are off: {outcome.summary}", "warning"))
        return outcome

    def _prepare_objects(self, cell: Cell, tree: Tree) -> None:
        """Build a tree whose outcome is stored, for its objects."""
        out = self.store.begin()
        try:
            self._make(cell, tree, out, no_tick)
        finally:
            self.store.discard(out)

    def _objects(self, cell: Cell) -> Path:
        """The object directory of a config."""
        levels = self.request.configs[cell.config].extra_warnings
        variant = f"{cell.config}-W{levels}" if levels else cell.config
        return self._leased().objects / f"{variant}-{self.request.toolchain.digest[:12]}"

    def _as_built(self, cell: Cell, built: Outcome | None) -> Built:
        chain = self.request.toolchain
        tree = make.Tree(self._leased().source, self._objects(cell), chain)
        return Built(tree.objects, make.make_args(tree, (), jobs=self.request.jobs), make.FIXED_ENV,
                     cell.config, chain.arch.make_arch, built.directory if built else None)

    def _first_failure(self, row: int) -> tuple[int, Outcome]:
        for number in range(1, row + 1):
            future = self._raw.get((number, APPLY))
            if future and future.result().status is not Status.PASS:
                return number, future.result()
        raise AssertionError("a row without a tree has a patch that did not apply")

    def _build(self, row: int, cell: Cell, tree: Tree, *, reuse: bool = True) -> Outcome:
        config = self.request.configs[cell.config]
        unread = twins.Unread.HEADERS if config.extra_warnings else twins.Unread.ALL
        pairs = self._twins.pairs(((tree.commit, tree.tree),), config.digest, unread)
        keys = (build.outcome_key(one, config, self.request.toolchain, tree.touched)
                for one, in pairs)
        own = next(keys)
        found = self._work.first(cell, itertools.chain([own], keys)) if reuse else None
        if found and found.directory and (found.directory / IMAGE).is_file():
            return found  # the image is not there when somebody made room
        built = self._work.perform(row, cell, own, functools.partial(self._make, cell, tree))
        if built.status in (Status.PASS, Status.WARN) and not self.request.untrusted:
            self._twins.know(tree.commit, tree.tree, config.digest, built)
        return built

    # Guests

    def _start_guest(self, row: int, cell: Cell, tree: Tree, built: Outcome) -> None:
        try:
            outcome_key = self._guest_key(cell, tree, built)
        except KvtoolsError as error:
            self._finish(row, cell, fault_of(cell, error, None))
            return
        known = self._by_key.get(outcome_key)
        if known:
            self._follow(row, cell, known)
            return
        found = self._work.stored(cell, outcome_key)
        if found and not (self.request.keep and guest.lacks_dumps(found)):
            self._by_key[outcome_key] = (row, self._finish(row, cell, found))
            return
        unable = self._cannot(cell, tree, built)
        if unable is not None:  # it would only wait behind guests for this answer
            outcome = self._work.perform(row, cell, outcome_key, lambda out, tick: unable)
            self._by_key[outcome_key] = (row, self._finish(row, cell, outcome))
            return
        future = self._once_booted(row, cell, tree, built, outcome_key)
        self._by_key[outcome_key] = (row, future)
        self._judge_when_done(row, cell, future)

    def _cannot(self, cell: Cell, tree: Tree, built: Outcome) -> Outcome | None:
        try:
            return self.steps.cannot(self._guest_request(cell, tree, built, Path()))
        except (OSError, KvtoolsError):
            return None  # the step comes to it as well, and has a cell to say it in

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
        return guest.outcome_key(
            self._guest_request(cell, tree, built, Path()),
            built,
            self.request.configs[cell.config],
            self.request.emulator,
        )

    def _guest_request(
        self, cell: Cell, tree: Tree, built: Outcome, out: Path
    ) -> guest.GuestRequest:
        assert built.directory is not None
        config = self.request.configs[cell.config]
        return guest.GuestRequest(
            step=cell.step,
            image=built.directory,
            scenario=cell.scenario,
            accel=self.request.accel.name,
            repo=self.request.base.repo,
            commit=tree.commit,
            out=out,
            keep=self.request.keep,
            extra_memory=config.extra_memory,
            slowdown=config.slowdown,
        )

    def _guest(
        self, row: int, cell: Cell, tree: Tree, built: Outcome, outcome_key: str
    ) -> Outcome:
        def work(out: Path, tick: Tick) -> Outcome:
            return self.steps.guest(self._guest_request(cell, tree, built, out), tick)

        return self._work.perform(row, cell, outcome_key, work)

    # One cell

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
            base = self._raw[0, cell]
            needed.append(base)
            pending.after([raw], lambda: self._say_if_waiting(row, cell, base))
        pending.after(
            needed,
            lambda: pending.settle(judged, lambda: self._conclude(row, cell, raw.result())),
        )

    def _say_if_waiting(self, row: int, cell: Cell, base: Future[Outcome]) -> None:
        if not base.done():
            self.emit(Progress(row, str(cell), 0, 0, "has ended, waits for the base"))

    def _conclude(self, row: int, cell: Cell, outcome: Outcome) -> Outcome:
        base = None
        if row and cell.step is not Step.APPLY and (0, cell) in self._raw:
            base = self._raw[0, cell].result()
        expectation = self.request.expectation(cell)
        judged = verdict.judge(outcome, base, expectation, row, self.request.base.known)
        entry = {"row": row, "directory": str(outcome.directory or ""), "outcome": encode(judged)}
        with contextlib.suppress(MachineError):  # a full disk is told by the cell that needs room
            # What was stored before is found again, whatever becomes of the machine.
            self.store.journal(self.request.run_id, entry, sync=not judged.reused)
        self.emit(StepEnded(row, judged))
        return judged


def _check_row(number: int, trees: Mapping[int, Tree]) -> checklane.Row:
    it, parent = trees[number], trees[number - 1]
    return checklane.Row(number, it.commit, parent.commit, it.tree, parent.tree, it.touched)


def _boots(cell: Cell, config: str) -> bool:
    return cell.step is Step.BOOT and cell.config == config
