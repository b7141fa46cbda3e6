# SPDX-License-Identifier: GPL-2.0-or-later
"""The tester that builds commits and boots them, through the steps and the store of a run."""

from __future__ import annotations

import contextlib
import copy
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kvtools import bases, git, make, runner
from kvtools.bisect import commands, judge
from kvtools.bisect.configs import whole
from kvtools.bisect.costs import BuildCosts
from kvtools.bisect.observation import Observation, Ready
from kvtools.bisection import Answer, History
from kvtools.bisection.spec import Check, Kind
from kvtools.errors import Interrupted, MachineError, UserError
from kvtools.events import Emit, StepEnded, Tick
from kvtools.model import Config, Outcome, Status, Step
from kvtools.plan import Cell
from kvtools.request import RunRequest
from kvtools.steps import build, guest
from kvtools.store import Store, key
from kvtools.work import Work

TRIAL = 20.0
"""Seconds that a guest is guessed to take before one has run."""


SETTLE = 300.0
"""Deadline of olddefconfig, seconds."""


@dataclass(frozen=True, slots=True)
class Built:
    """A commit that was built: its outcome and the key of its guests' outcomes."""

    outcome: Outcome
    guest_key: str = ""


class Kernels:
    """See :class:`kvtools.bisect.observation.Tester`.

    ``request`` gives base, the one config, toolchain and accelerator. Outcomes of earlier runs
    are used when ``request.reuse``: a build for good, guests as trials. The worktree and the
    objects are those of ``kvtools test`` on the same base, from the first build to
    :meth:`close`.
    """

    def __init__(self, request: RunRequest, check: Check, history: History, store: Store,
                 emit: Emit, steps: runner.Steps | None = None, *,
                 config: Config | None = None) -> None:
        self.slots = request.guests if check.boots else 1
        self._request, self._check, self._history = request, check, history
        self._store, self._emit = store, emit
        self._steps = steps or runner.Steps()
        self._config = config or next(iter(request.configs.values()))
        self._work = Work(store, request.run_id, emit, reuse=request.reuse)
        self._costs = BuildCosts(history)
        self._built: dict[str, Built] = {}
        self._tree: dict[str, str] = {}
        self._at: str | None = None
        self._seconds: list[float] = []
        self._lease: bases.Lease | None = None
        self._stack = contextlib.ExitStack()
        name = f"{check.name or check.kind}"
        self._cell = Cell(check.step, name, self._config.name, check.name)

    def close(self) -> None:
        """Give the worktree back."""
        self._lease = None
        self._stack.close()

    @property
    def worktree(self) -> Path:
        return self._leased().source

    def for_config(self, config: Config) -> Kernels:
        """Another one for another config, in the same worktree; only this one is closed."""
        self._leased()
        other = copy.copy(self)
        other._config, other._built, other._tree = config, {}, {}
        return other

    def settle(self, config: Config, commit: str) -> dict[str, str]:
        """The .config of a commit as olddefconfig leaves it. Raises MachineError."""
        lease = self._leased()
        git.checkout(lease.source, commit)
        out = self._store.begin()
        try:
            tree = make.Tree(lease.source, lease.objects / "settle", self._request.toolchain)
            make.open_objects(tree)
            made, raw = make.configure(tree, config, deadline=SETTLE, log=out / "settle.log")
        finally:
            self._store.discard(out)
        if made.status != 0:
            raise UserError(f"{config.name} cannot be configured: "
                            f"{made.text.strip().splitlines()[-1:] or ['make said nothing']}")
        return make.final_config(raw)

    def _leased(self) -> bases.Lease:
        if self._lease is None:
            base = self._request.base
            lease = bases.lease(base, bases.run_key(base), self._emit)
            self._lease = self._stack.enter_context(lease)
        return self._lease

    # Tester

    def cost(self, commit: str) -> float:
        trial = sum(self._seconds) / len(self._seconds) if self._seconds else TRIAL
        if commit in self._built:  # now, or in an earlier run: see known()
            return trial
        return self._costs.between(self._at, commit) + (trial if self._check.boots else 0.0)

    def known(self, commit: str) -> Sequence[Observation]:
        if not self._request.reuse or self._check.kind is Kind.HOST:
            return ()
        built = self._built.get(commit)
        if built is None:
            outcome = self._stored_build(commit)
            if outcome is None:
                return ()
            answer = self._of_build(commit, outcome)
            if answer is not None:
                return (answer,)
            built = self._built[commit] = Built(outcome, self._guest_key(commit, outcome))
        return [judge.of_guest(self._check, commit, outcome)
                for outcome in self._store.every(built.guest_key)]

    def prepare(self, commit: str) -> Ready:
        if self._check.kind is Kind.HOST:
            return Ready()
        if commit not in self._built:
            outcome = self._stored_build(commit) or self._build(commit)
            answer = self._of_build(commit, outcome)
            if answer is not None:
                return Ready(answer=answer)
            self._built[commit] = Built(outcome, self._guest_key(commit, outcome))
        return Ready(identity=self._built[commit].guest_key)

    def run(self, commit: str, count: int) -> Sequence[Observation]:
        if self._check.kind is Kind.HOST:
            return [self._on_host(commit)]
        if count == 1:
            return [self._guest(commit)]
        with ThreadPoolExecutor(min(count, self.slots)) as executor:
            return list(executor.map(lambda _: self._guest(commit), range(count)))

    # Builds

    def _build_key(self, commit: str) -> str:
        if commit not in self._tree:
            tree = git.tree_of(self._request.base.repo, commit)
            self._tree[commit] = build.outcome_key(
                tree, self._config, self._request.toolchain, self._touched(commit))
        return self._tree[commit]

    def _touched(self, commit: str) -> Mapping[str, tuple[tuple[int, int], ...]]:
        """As in a run, for the same key: the base of a series has no patch of its own."""
        base = self._request.base
        return {} if commit == base.commit else git.touched_lines(base.repo, commit)

    def _stored_build(self, commit: str) -> Outcome | None:
        if not self._request.reuse:
            return None
        found = self._store.get(self._build_key(commit))
        if found is None or (found.directory and found.status in judge.GOOD
                             and not (found.directory / runner.IMAGE).is_file()):
            return None
        return found

    def _build(self, commit: str) -> Outcome:
        def work(out: Path, tick: Tick) -> Outcome:
            lease = self._leased()
            git.checkout(lease.source, commit)
            self._at = None  # until it is whole
            return self._steps.build(
                build.BuildRequest(
                    source=lease.source,
                    objects=self._objects(),
                    config=self._config,
                    toolchain=self._request.toolchain,
                    jobs=self._request.jobs,
                    touched=self._touched(commit),
                    deadline=build.DEADLINE,
                    out=out,
                    header_aware=self._request.header_aware,
                    ccache=self._request.compiled,
                ),
                tick,
            )

        cell = Cell(Step.BUILD, self._config.name, self._config.name)
        outcome = self._work.perform(self._row(commit), cell, self._build_key(commit), work)
        self._emit(StepEnded(self._row(commit), outcome))
        if outcome.status is not Status.ERROR:
            self._at = commit
        return outcome

    def _objects(self) -> Path:
        name = f"{self._config.name}-{self._request.toolchain.digest[:12]}"
        return self._leased().objects / name

    def _of_build(self, commit: str, outcome: Outcome) -> Observation | None:
        text = ""
        if self._check.kind is Kind.SIZE and outcome.directory:
            path = outcome.directory / "System.map"
            text = path.read_text("utf-8", "replace") if path.is_file() else ""
        return judge.of_build(self._check, commit, outcome, text)

    def _row(self, commit: str) -> int:
        """How the commit is shown: its patch number, or its place in the range."""
        if commit not in self._history or commit in self._history.old:
            return 0
        if commit == self._history.new:
            return self._history.commits[-1].number or len(self._history)
        index = self._history.index(commit)
        return self._history[index].number or index + 1

    # Guests

    def _guest_request(self, commit: str, built: Outcome, out: Path) -> guest.GuestRequest:
        assert built.directory is not None
        return guest.GuestRequest(step=self._check.step, image=built.directory,
                                  scenario=self._check.name, accel=self._request.accel.name,
                                  repo=self._request.base.repo, commit=commit, out=out,
                                  extra_memory=self._config.extra_memory,
                                  slowdown=self._config.slowdown)

    def _guest_key(self, commit: str, built: Outcome) -> str:
        request = self._guest_request(commit, built, Path())
        if self._check.kind is Kind.CMD:
            return commands.outcome_key(self._check.text, request, built, self._config,
                                        self._request.emulator)
        return guest.outcome_key(request, built, self._config, self._request.emulator)

    def _guest(self, commit: str) -> Observation:
        built = self._built[commit]

        def work(out: Path, tick: Tick) -> Outcome:
            request = self._guest_request(commit, built.outcome, out)
            if self._check.kind is Kind.CMD:
                return commands.in_guest(self._check.text, request, tick)
            return self._steps.guest(request, tick)

        outcome = self._work.perform(self._row(commit), self._cell, built.guest_key, work)
        self._emit(StepEnded(self._row(commit), outcome))
        if outcome.status is not Status.ERROR:
            self._seconds.append(outcome.seconds)
        return judge.of_guest(self._check, commit, outcome)

    # Commands on the host

    def _on_host(self, commit: str) -> Observation:
        outcome = self._stored_build(commit) or self._build(commit)
        answer = self._of_build(commit, outcome)
        if answer is not None:
            return answer
        assert outcome.directory is not None
        lease = self._leased()
        git.checkout(lease.source, commit)
        # Not the object directory: it is at the commit that was built last.
        env = {"KVTOOLS_SOURCE": str(lease.source), "KVTOOLS_BUILD": str(outcome.directory),
               "KVTOOLS_COMMIT": commit}

        def work(out: Path, tick: Tick) -> Outcome:
            return commands.on_host(self._check.text, lease.source, env, out)

        never = key(step="host", commit=commit, once=uuid.uuid4().hex)
        found = self._work.perform(self._row(commit), self._cell, never, work)
        answers = {Status.PASS: Answer.PASS, Status.FAIL: Answer.FAIL, Status.SKIP: Answer.SKIP}
        return Observation(commit, answers.get(found.status, Answer.ERROR), found.summary,
                           evidence=found.evidence, seconds=found.seconds,
                           log=str(found.directory / (found.log or "")) if found.directory else "")


@dataclass
class ConfigKernels:
    """One commit under many configs, see :class:`kvtools.bisect.configs.ConfigTester`."""

    kernels: Kernels
    commit: str

    def settle(self, config: Config) -> dict[str, str]:
        return self.kernels.settle(config, self.commit)

    def trial(self, config: Config) -> Observation:
        """The config is settled first, so that equal ones have one key and one build."""
        final = whole(self.settle(config), config.arch)
        tester = self.kernels.for_config(final)
        try:
            ready = tester.prepare(self.commit)
            return ready.answer or tester.run(self.commit, 1)[0]
        except Interrupted:
            raise
        except MachineError as error:
            return Observation(self.commit, Answer.ERROR, str(error))
