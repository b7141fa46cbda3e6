# SPDX-License-Identifier: GPL-2.0-or-later
"""The tester over steps and store: real git, steps put in by the test, no kernel."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import histories
import pytest

from kvtools import bases, git, plan, runner
from kvtools.accel import Accel
from kvtools.bisect import session
from kvtools.bisect.report import Bisection, Terms
from kvtools.bisect.search import Ending
from kvtools.bisect.settings import Settings
from kvtools.bisection import DETERMINISTIC, Commit, Flakes, History
from kvtools.bisection.spec import parse
from kvtools.errors import GuestLost, Interrupted
from kvtools.events import discard
from kvtools.model import Base, Config, ConfigUse, Outcome, Patch, Person, Series, Status, Step
from kvtools.request import RunRequest
from kvtools.store import Store
from kvtools.toolchain import Toolchain

WHO = Person("A U Thor", "author@example.org")
WHEN = "2018-05-24T15:12:14Z"
COUNT, FIRST = 16, 11


class Machines:
    """Fake steps: a kernel is the text of ``file``; broken from ``FIRST`` on at ``rate``."""

    def __init__(self, rate: float = 1.0, lost: float = 0.0) -> None:
        self.rate, self.lost = rate, lost
        self.random = random.Random(3)
        self.built: list[int] = []
        self.booted: list[int] = []
        self.no_build: set[int] = set()
        self.left = 10**6

    def build(self, request: Any, tick: object) -> Outcome:
        number = int((request.source / "file").read_text())
        self.built.append(number)
        if number in self.no_build:
            return Outcome(Step.BUILD, "", Status.FAIL, 1.0, "error: no", fingerprints=("gcc: e",))
        (request.out / "bzImage").write_text(str(number))
        (request.out / "config").write_text("")
        return Outcome(Step.BUILD, "", Status.PASS, 1.0, "built",
                       details={"image_sha256": f"image {number}"})

    def guest(self, request: Any, tick: object) -> Outcome:
        if not self.left:
            raise Interrupted("killed")
        self.left -= 1
        if self.random.random() < self.lost:
            raise GuestLost("QEMU was killed")
        number = int((request.image / "bzImage").read_text())
        self.booted.append(number)
        (request.out / "console.log").write_text(f"[    1.0] step {number}\n")
        if number >= FIRST and self.random.random() < self.rate:
            return Outcome(request.step, "", Status.FAIL, 1.0, "BUG", log="console.log",
                           fingerprints=("bug: f",), evidence=("BUG: f",), reproduce=("vng",))
        return Outcome(request.step, "", Status.PASS, 1.0, "up", log="console.log")

    @property
    def steps(self) -> runner.Steps:
        return runner.Steps(build=self.build, guest=self.guest)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[RunRequest, History, Store]:
    repo, worktree = tmp_path / "repo", tmp_path / "worktree"
    commits = histories.linear(repo, [f"{number}\n" for number in range(COUNT + 1)])
    base = Base("test", repo, commits[0], git.tree_of(repo, commits[0]), "6.1", "test", True)
    git.worktree_add(repo, worktree, commits[0])

    @contextmanager
    def lease(base: Base, key: str, emit: object) -> Iterator[bases.Lease]:
        yield bases.Lease(source=worktree, objects=tmp_path / "objects")

    monkeypatch.setattr(bases, "lease", lease)
    monkeypatch.setattr("kvtools.steps.guest.inputs", lambda request: {"s": request.scenario})
    mails = git.format_patches(repo, f"{commits[0]}..HEAD")
    series = Series("test", "test", "test", tuple(
        Patch(n, f"step {n}", WHO, WHEN, "body", m) for n, m in enumerate(mails, 1)))
    request = RunRequest(
        run_id="run", base=base, series=series, jobs=1, guests=2,
        plan=plan.make(COUNT, [ConfigUse("guest")], ()),
        configs={"guest": Config("guest", "x86_64", "tinyconfig", "", {}, {}, "digest")},
        toolchain=Toolchain(None, "gcc", "", {}, "toolchain"),  # type: ignore[arg-type]
        accel=Accel("tcg", "test"))
    history = History([Commit(commits[n], (commits[n - 1],), f"step {n}", ("file",), n)
                       for n in range(1, COUNT + 1)], old=(commits[0],), new=commits[COUNT])
    return request, history, Store(tmp_path / "state")


@pytest.fixture
def search(world: tuple[RunRequest, History, Store]) -> Callable[..., Bisection]:
    request, history, store = world

    def run(machines: Machines, flakes: Flakes = DETERMINISTIC, **more: Any) -> Bisection:
        asked = session.Asked(parse("boot", ("boot",)), "boot", history,
                              Settings(flakes=flakes), Terms(), ("kvtools",), **more)
        return session.run(asked, replace(request, series=None), store, discard, machines.steps)

    return run


def number(found: Bisection) -> int:
    assert found.result.ending is Ending.FOUND, found.result
    return found.result.first[0].number


def test_the_first_bad_commit_with_its_evidence(search: Callable[..., Bisection]) -> None:
    machines = Machines()
    found = search(machines, revert=False)
    assert number(found) == FIRST
    assert len(machines.booted) == 2 + 4
    assert found.result.signature == ("bug: f",)
    assert found.bad_trial and found.bad_trial.evidence == ("BUG: f",)
    # Times and numbers are left out of the difference: here nothing else differs.
    assert found.log_difference() == []


def test_outcomes_of_kvtools_test_are_trials_and_images(
    search: Callable[..., Bisection], world: tuple[RunRequest, History, Store]
) -> None:
    """A run over the series first: the bisection starts neither make nor QEMU."""
    request, history, store = world
    machines = Machines()
    with ThreadPoolExecutor(1) as executor:
        rows = runner.run(request, store, executor, discard, machines.steps)
    same = [c.id for c in history.commits] == [r.tree.commit for r in rows if r.tree][1:]
    machines.built.clear()
    machines.booted.clear()
    if not same:  # git am makes other commits: bisect those
        commits = [r.tree.commit for r in rows if r.tree]
        history = History([Commit(commits[n], (commits[n - 1],), "", (), n)
                           for n in range(1, COUNT + 1)], old=(commits[0],), new=commits[-1])
    asked = session.Asked(parse("boot", ("boot",)), "boot", history,
                          Settings(flakes=DETERMINISTIC), Terms(), ("kvtools",), revert=False)
    found = session.run(asked, request, store, discard, machines.steps)
    assert number(found) == FIRST
    assert machines.built == machines.booted == []
    assert all(o.reused for o in found.result.counted)


def test_a_flaky_kernel_and_a_machine_that_loses_guests(search: Callable[..., Bisection]) -> None:
    found = search(Machines(rate=0.4, lost=0.2), Flakes(), revert=False)
    assert number(found) == FIRST
    assert found.result.probability > 0.99
    sources = [o.source for o in found.result.counted]
    assert len(sources) == len(set(sources)), "each run of a guest is counted once"


@pytest.mark.long
def test_a_killed_bisection_runs_nothing_twice(search: Callable[..., Bisection]) -> None:
    machines = Machines(rate=0.5)
    for _ in range(40):
        machines.left = 4
        try:
            found = search(machines, Flakes(), revert=False)
        except Interrupted:
            continue
        break
    assert number(found) == FIRST
    assert len(machines.built) == len(set(machines.built))
    assert len([t for t in found.result.counted]) == len(machines.booted)


def test_what_does_not_build_is_skipped(search: Callable[..., Bisection]) -> None:
    machines = Machines()
    machines.no_build = {FIRST - 1}
    found = search(machines, revert=False)
    assert found.result.ending is Ending.RANGE
    assert [c.number for c in found.result.first] == [FIRST - 1, FIRST]


def test_a_revert_that_does_not_apply_is_said(search: Callable[..., Bisection]) -> None:
    found = search(Machines())
    assert found.reverted and found.reverted.commit is None
    assert "does not revert" in found.reverted.why
