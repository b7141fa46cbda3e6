# SPDX-License-Identifier: GPL-2.0-or-later
"""The walk over a plan: real git on the fake kernel tree, steps put in by the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvtools import bases, git, plan, runner, verdict
from kvtools.accel import Accel
from kvtools.errors import GuestLost, Interrupted, MachineError
from kvtools.events import Event, Progress, StepEnded, StepStarted
from kvtools.model import (
    Base,
    Config,
    ConfigUse,
    Expectation,
    Outcome,
    Owner,
    Patch,
    Person,
    Series,
    Status,
    Step,
)
from kvtools.request import RunRequest
from kvtools.store import Store
from kvtools.toolchain import Toolchain

PASS, FAIL, SKIP, ERROR = Status.PASS, Status.FAIL, Status.SKIP, Status.ERROR
WHO = Person("A U Thor", "author@example.org")
DATE = "Thu, 24 May 2018 15:12:14 +0200"


def mail(subject: str, path: str, old: str, new: str) -> bytes:
    return (
        f"From: {WHO}\nDate: {DATE}\nSubject: [PATCH] {subject}\n\nbody\n---\n"
        f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{old}\n+{new}\n"
    ).encode()


def series(*mails: bytes) -> Series:
    patches = tuple(
        Patch(n, f"patch {n}", WHO, DATE, "body", m) for n, m in enumerate(mails, start=1)
    )
    return Series("test", "a test series", "test", patches)


class Kernel:
    """Steps whose answers a test writes: ``answers[step, value of the file]``."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.answers: dict[tuple[str, str], Outcome | Exception] = {}
        self.lock = threading.Lock()

    def _answer(self, step: Step, name: str, value: str) -> Outcome:
        with self.lock:
            self.calls.append((str(step), value))
        given = self.answers.get((name, value), Outcome(step, "", PASS, 0.0, "fine"))
        if isinstance(given, Exception):
            raise given
        return given

    def build(self, request: Any, tick: object) -> Outcome:
        value = (request.source / "file").read_text().strip()
        (request.out / "bzImage").write_text(value)
        (request.out / "config").write_text("CONFIG_64BIT=y\n")
        answer = self._answer(Step.BUILD, "build", value)
        return replace(answer, details={**answer.details, "image_sha256": f"image {value}"})

    def guest(self, request: Any, tick: object) -> Outcome:
        value = (request.image / "bzImage").read_text()
        return self._answer(request.step, request.scenario, value)

    @property
    def steps(self) -> runner.Steps:
        return runner.Steps(build=self.build, guest=self.guest, cannot=self.cannot)

    def cannot(self, request: Any) -> Outcome | None:
        """SKIPs that need no guest: ``answers["cannot", value of the file]``."""
        given = self.answers.get(("cannot", (request.image / "bzImage").read_text()))
        return given if isinstance(given, Outcome) else None


@pytest.fixture
def base(tmp_path: Path) -> Base:
    repo = tmp_path / "repo"
    git.init(repo)
    (repo / "file").write_text("zero\n")
    (repo / "code.h").write_text("/* words */\n")
    commit = git.commit_all(repo, "base", when="2018-05-24T15:12:14Z", who=WHO)
    return Base("test", repo, commit, git.tree_of(repo, commit), "6.1", "test", False)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def walk(
    base: Base, kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[int, dict[str, Outcome]]]:
    worktree = tmp_path / "worktree"
    git.worktree_add(base.repo, worktree, base.commit)

    @contextmanager
    def lease(base: Base, key: str, emit: object) -> Iterator[bases.Lease]:
        yield bases.Lease(source=worktree, objects=tmp_path / "objects")

    monkeypatch.setattr(bases, "lease", lease)
    monkeypatch.setattr("kvtools.steps.guest.inputs", lambda request: {"s": request.scenario})
    store = Store(tmp_path / "state")

    def run(
        given: Series | None,
        *scenarios: str,
        events: list[Event] | None = None,
        patches: str = "all",
        workers: int = 1,
        **changes: Any,
    ) -> dict[int, dict[str, Outcome]]:
        count = len(given.patches) if given else 0
        request = RunRequest(
            run_id="run",
            base=base,
            series=given,
            plan=plan.make(count, [ConfigUse("guest")], scenarios, patches=patches),
            configs={"guest": Config("guest", "x86_64", "tinyconfig", "", {}, {}, "digest")},
            toolchain=toolchain(),
            accel=Accel("tcg", "test"),
            jobs=1,
        )
        request = replace(request, **changes)
        seen = events if events is not None else []
        with ThreadPoolExecutor(workers) as executor:
            rows = runner.run(request, store, executor, seen.append, kernel.steps)
        return {row.number: {o.cell: o for o in row.outcomes} for row in rows}

    return run


def toolchain() -> Toolchain:
    return Toolchain(None, "gcc", "", {}, "toolchain")  # type: ignore[arg-type]


ONE = mail("one", "file", "zero", "one")
TWO = mail("two", "file", "one", "two")
TWO_OF_BASE = mail("two", "file", "zero", "two")
THREE = mail("three", "file", "two", "three")


def statuses(rows: dict[int, dict[str, Outcome]]) -> dict[int, list[str]]:
    return {n: [str(o.status) for o in row.values()] for n, row in rows.items()}


def test_every_patch_is_applied_built_booted_and_tested(walk: Any, kernel: Kernel) -> None:
    rows = walk(series(ONE, TWO), "vmem.probe")
    assert statuses(rows) == {0: ["PASS"] * 3, 1: ["PASS"] * 4, 2: ["PASS"] * 4}
    assert [value for step, value in kernel.calls if step == "build"] == ["zero", "one", "two"]


def test_a_second_run_does_nothing(walk: Any, kernel: Kernel) -> None:
    walk(series(ONE, TWO), "vmem.probe")
    kernel.calls.clear()
    events: list[Event] = []
    rows = walk(series(ONE, TWO), "vmem.probe", events=events)
    assert kernel.calls == []
    assert not [e for e in events if isinstance(e, StepStarted)]
    assert all(o.reused for row in rows.values() for o in row.values())


def test_no_reuse_does_it_all_again(walk: Any, kernel: Kernel) -> None:
    walk(series(ONE), "vmem.probe")
    kernel.calls.clear()
    walk(series(ONE), "vmem.probe", reuse=False)
    assert len(kernel.calls) == 6


def test_an_amended_last_patch_only_costs_itself(walk: Any, kernel: Kernel) -> None:
    walk(series(ONE, TWO))
    kernel.calls.clear()
    walk(series(ONE, mail("two", "file", "one", "deux")))
    assert kernel.calls == [("build", "deux"), ("boot", "deux")]


def test_other_words_in_a_comment_build_nothing(walk: Any, kernel: Kernel) -> None:
    walk(series(mail("one", "code.h", "/* words */", "/* new */ int a;"), TWO_OF_BASE))
    kernel.calls.clear()
    rows = walk(series(mail("one", "code.h", "/* words */", "/* old */ int a;"), TWO_OF_BASE))
    assert kernel.calls == []
    assert all("but for comments the same code" in rows[n]["build:guest"].summary for n in (1, 2))
    walk(series(mail("one", "code.h", "/* words */", "/* old */ int b;"), TWO_OF_BASE))
    assert [value for step, value in kernel.calls if step == "build"] == ["zero", "two"]


def test_an_identical_image_is_booted_once(walk: Any, kernel: Kernel) -> None:
    same = mail("comment", "other", "", "x").replace(b"--- a/other", b"--- /dev/null")
    same = same.replace(b"@@ -1 +1 @@\n-\n+x", b"@@ -0,0 +1 @@\n+x")
    rows = walk(series(same), "vmem.probe")
    assert [c for c in kernel.calls if c[0] != "build"] == [("boot", "zero"), ("selftest", "zero")]
    assert "[same image as the base]" in rows[1]["boot:guest"].summary
    assert rows[1]["boot:guest"].status is PASS


def test_a_conflict_skips_what_follows_with_the_reason(walk: Any) -> None:
    rows = walk(series(ONE, mail("bad", "file", "nine", "ten"), THREE))
    assert statuses(rows) == {
        0: ["PASS", "PASS"],
        1: ["PASS", "PASS", "PASS"],
        2: ["FAIL", "SKIP", "SKIP"],
        3: ["SKIP", "SKIP", "SKIP"],
    }
    assert rows[3]["apply"].summary == "apply of patch 2 is FAIL"
    assert rows[3]["boot:guest"].summary == "apply of patch 2 is FAIL"
    assert rows[2]["apply"].owner is Owner.PATCH


def test_a_patch_that_does_not_build_is_not_booted_and_the_next_is_tested(
    walk: Any, kernel: Kernel
) -> None:
    kernel.answers["build", "one"] = Outcome(Step.BUILD, "", FAIL, 1, "error", owner=Owner.PATCH)
    rows = walk(series(ONE, TWO), "vmem.probe")
    assert statuses(rows)[1] == ["PASS", "FAIL", "SKIP", "SKIP"]
    assert statuses(rows)[2] == ["PASS"] * 4
    assert rows[1]["selftest:vmem.probe"].summary == "build:guest of patch 1 is FAIL"


def test_a_guest_that_does_not_boot_is_not_tested(walk: Any, kernel: Kernel) -> None:
    kernel.answers["boot", "one"] = Outcome(
        Step.BOOT, "", FAIL, 1, "panic", owner=Owner.PATCH, fingerprints=("splat:panic",)
    )
    rows = walk(series(ONE), "vmem.probe")
    assert statuses(rows)[1] == ["PASS", "PASS", "FAIL", "SKIP"]
    assert ("selftest", "one") not in kernel.calls


def test_what_the_base_does_too_does_not_blame_the_patch(walk: Any, kernel: Kernel) -> None:
    bad = Outcome(
        Step.SELFTEST, "", FAIL, 1, "WARNING in f", owner=Owner.PATCH, fingerprints=("splat:f",)
    )
    kernel.answers["vmem.probe", "zero"] = kernel.answers["vmem.probe", "one"] = bad
    rows = walk(series(ONE, TWO), "vmem.probe")
    assert rows[0]["selftest:vmem.probe"].owner is Owner.KERNEL
    assert rows[1]["selftest:vmem.probe"].status is Status.WARN
    assert rows[2]["selftest:vmem.probe"].status is PASS


@pytest.mark.parametrize(
    "fault", [GuestLost("QEMU was killed"), MachineError("disk"), RuntimeError("bug")]
)
def test_a_fault_of_the_machine_is_an_error_and_is_not_reused(
    walk: Any, kernel: Kernel, fault: Exception
) -> None:
    kernel.answers["vmem.probe", "one"] = fault
    rows = walk(series(ONE, TWO), "vmem.probe")
    cell = rows[1]["selftest:vmem.probe"]
    assert (cell.status, cell.owner) == (ERROR, Owner.MACHINE)
    assert str(fault) in cell.summary
    assert rows[2]["selftest:vmem.probe"].status is PASS
    del kernel.answers["vmem.probe", "one"]
    assert walk(series(ONE, TWO), "vmem.probe")[1]["selftest:vmem.probe"].status is PASS


def test_a_promise_that_is_skipped_is_a_failure(walk: Any, kernel: Kernel) -> None:
    for value in ("zero", "one", "two"):
        kernel.answers["vmem.probe", value] = Outcome(Step.SELFTEST, "", SKIP, 0, "no driver")
    expectation = Expectation("selftest:vmem.probe", 2, "patch 2 brings it")
    rows = walk(
        series(ONE, TWO), "vmem.probe", expectations={"selftest:vmem.probe": expectation}
    )
    assert [rows[n]["selftest:vmem.probe"].status for n in (0, 1, 2)] == [SKIP, SKIP, FAIL]


@pytest.mark.parametrize("early", [False, True])
def test_what_is_promised_from_a_later_patch_is_run_before_only_when_asked(
    walk: Any, kernel: Kernel, early: bool
) -> None:
    promises = {e.cell: e for e in (
        Expectation("selftest:vmem.probe", 3, "patch 3 brings it"),
        Expectation("boot:guest", 2, "boots from there on"))}  # fmt: skip
    rows = walk(series(ONE, TWO, THREE), "vmem.probe", expectations=promises, early=early)
    ran = [value for step, value in kernel.calls if step == "selftest"]
    assert sorted(ran) == (["one", "three", "two", "zero"] if early else ["three", "zero"])
    assert [rows[n]["boot:guest"].status for n in range(4)] == [PASS] * 4
    cell = rows[2]["selftest:vmem.probe"]
    assert cell.status is (PASS if early else SKIP)
    assert early or cell.summary == "not run before patch 3 (patch 3 brings it)"
    assert rows[3]["selftest:vmem.probe"].status is PASS


def test_only_the_chosen_rows_are_built(walk: Any, kernel: Kernel) -> None:
    rows = walk(series(ONE, TWO, THREE), patches="tip")
    assert sorted(rows) == [0, 3]
    assert [value for step, value in kernel.calls if step == "build"] == ["zero", "three"]


def test_a_conflict_before_the_chosen_row_is_named(walk: Any) -> None:
    rows = walk(series(mail("bad", "file", "nine", "ten"), TWO), patches="tip")
    assert rows[2]["build:guest"].summary == "apply of patch 1 is FAIL"
    patches = [o for number, row in rows.items() if number for o in row.values()]
    assert verdict.overall(rows[0].values(), patches) is FAIL, "a green tick that is a lie"


def test_the_base_alone(walk: Any) -> None:
    assert statuses(walk(None, "vmem.probe")) == {0: ["PASS"] * 3}


def test_a_commit_that_was_pruned_is_applied_again(walk: Any, base: Base, kernel: Kernel) -> None:
    first = walk(series(ONE))[1]["apply"].details["commit"]
    monkey = Path(base.repo / ".git/objects" / first[:2] / first[2:])
    monkey.unlink()
    assert walk(series(ONE))[1]["apply"].details["commit"] == first


def test_an_interrupt_ends_the_walk_and_keeps_what_was_done(walk: Any, kernel: Kernel) -> None:
    kernel.answers["build", "two"] = Interrupted("stop")
    with pytest.raises(Interrupted):
        walk(series(ONE, TWO))
    kernel.calls.clear()
    del kernel.answers["build", "two"]
    walk(series(ONE, TWO))
    assert kernel.calls == [("build", "two"), ("boot", "two")]


def test_a_stored_outcome_takes_the_name_it_has_in_this_run(walk: Any, base: Base) -> None:
    walk(series(ONE), "vmem.probe")
    config = Config("other", "x86_64", "tinyconfig", "", {}, {}, "digest")
    rows = walk(
        series(ONE),
        configs={"other": config},
        plan=plan.make(1, [ConfigUse("other")], ["vmem.probe"]),
    )
    assert set(rows[1]) == {"apply", "build:other", "boot:other", "selftest:vmem.probe"}
    assert all(o.reused for o in rows[1].values())


def test_an_image_that_was_removed_is_built_again(walk: Any, kernel: Kernel) -> None:
    built = walk(series(ONE))[1]["build:guest"]
    (built.directory / "bzImage").unlink()
    kernel.calls.clear()
    assert walk(series(ONE))[1]["build:guest"].status is PASS
    assert kernel.calls == [("build", "one")]


def test_a_conflict_is_looked_at_again(walk: Any) -> None:
    bad = series(mail("bad", "file", "nine", "ten"))
    assert walk(bad)[1]["apply"].status is FAIL
    assert not walk(bad)[1]["apply"].reused


def test_a_full_disk_in_a_guest_costs_that_cell_only(
    walk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Store.put

    def full(self: Store, key: str, outcome: Outcome, directory: Path) -> Outcome:
        if outcome.step is Step.BOOT:
            raise MachineError("no space left on the disk")
        return put(self, key, outcome, directory)

    monkeypatch.setattr(Store, "put", full)
    rows = walk(series(ONE))
    assert statuses(rows) == {0: ["PASS", "ERROR"], 1: ["PASS", "PASS", "ERROR"]}
    assert rows[1]["boot:guest"].owner is Owner.MACHINE


def test_guests_run_while_the_next_patch_is_built(walk: Any, kernel: Kernel) -> None:
    slow = threading.Event()

    def guest(request: Any, tick: object) -> Outcome:
        if (request.image / "bzImage").read_text() == "zero":
            assert slow.wait(10), "the base's guest never saw patch 1 being built"
        return Outcome(Step.BOOT, "", PASS, 0.0, "up")

    def build(request: Any, tick: object) -> Outcome:
        outcome = kernel.build(request, tick)
        if outcome.details["image_sha256"] == "image one":
            slow.set()
        return outcome

    steps = runner.Steps(build=build, guest=guest, cannot=kernel.cannot)
    kernel_steps, Kernel.steps = Kernel.steps, steps  # type: ignore[assignment]
    try:
        assert statuses(walk(series(ONE)))[1] == ["PASS"] * 3
    finally:
        Kernel.steps = kernel_steps  # type: ignore[method-assign]


def test_every_started_cell_ends_and_times_are_measured(walk: Any, kernel: Kernel) -> None:
    def guest(request: Any, tick: object) -> Outcome:
        time.sleep(0.02)  # a guest takes time; the runner has to measure it
        return Outcome(request.step, "", PASS, 0.0, "up")

    events: list[Event] = []
    kernel.guest = guest  # type: ignore[method-assign]
    rows = walk(series(ONE), "vmem.probe", events=events)
    started = {(e.patch, e.cell) for e in events if isinstance(e, StepStarted)}
    ended = [(e.patch, e.outcome.cell) for e in events if isinstance(e, StepEnded)]
    assert started <= set(ended)
    assert len(ended) == len(set(ended)) == 7
    assert rows[1]["boot:guest"].seconds >= 0.02


def test_guests_of_one_kernel_run_at_once_after_it_has_booted(walk: Any, kernel: Kernel) -> None:
    both, order = threading.Barrier(2), []

    def guest(request: Any, tick: object) -> Outcome:
        if request.step is Step.SELFTEST:
            both.wait(10)  # broken when the other one does not run meanwhile
        order.append(request.scenario)
        return Outcome(request.step, "", PASS, 0.0, "up")

    kernel.guest = guest  # type: ignore[method-assign]
    rows = walk(None, "a", "b", workers=2)
    assert statuses(rows)[0] == ["PASS"] * 4
    assert order[0] == "boot"


def test_a_skip_that_needs_no_guest_does_not_wait_behind_guests(
    walk: Any, kernel: Kernel
) -> None:
    """One slot, and the base's cells would come last in it: the patch's are judged before."""
    kernel.answers["cannot", "zero"] = Outcome(Step.SELFTEST, "", SKIP, 0, "no driver")
    events: list[Event] = []
    rows = walk(series(ONE), "vmem.probe", "vmem.resize", events=events)
    assert [step for step, value in kernel.calls if value == "zero"] == ["build"]
    assert rows[0]["selftest:vmem.probe"].summary == "no driver"
    assert rows[1]["selftest:vmem.probe"].status is PASS
    assert not [e for e in events if isinstance(e, Progress) and "waits" in e.what]


def test_a_cell_that_waits_for_the_base_says_so(walk: Any, kernel: Kernel) -> None:
    patch_ended = threading.Event()

    def slow(request: Any, tick: object) -> Outcome:
        value = (request.image / "bzImage").read_text()
        if request.scenario == "vmem.probe" and value == "zero":
            assert patch_ended.wait(20)
        return Outcome(request.step, "", PASS, 0.0, "fine")

    events: list[Event] = []

    class Watched(list[Event]):
        def append(self, event: Event) -> None:
            events.append(event)
            if isinstance(event, Progress) and "waits for the base" in event.what:
                patch_ended.set()

    # Ignored: only this kernel gets another method, a guest whose end the test decides.
    kernel.guest = slow  # type: ignore[method-assign]
    rows = walk(series(ONE), "vmem.probe", workers=4, events=Watched())
    assert rows[1]["selftest:vmem.probe"].status is PASS
    waits = [e for e in events if isinstance(e, Progress) and "waits" in e.what]
    assert [(e.patch, e.cell) for e in waits] == [(1, "selftest:vmem.probe")]


def test_no_guest_is_started_on_a_kernel_that_did_not_boot(walk: Any, kernel: Kernel) -> None:
    kernel.answers["boot", "zero"] = Outcome(Step.BOOT, "", FAIL, 0.0, "panic")
    rows = walk(None, "a", "b", workers=2)
    assert statuses(rows)[0] == ["PASS", "FAIL", "SKIP", "SKIP"]
    assert [step for step, _ in kernel.calls] == ["build", "boot"]


def test_a_config_for_the_tip_leaves_the_other_rows_alone(walk: Any, kernel: Kernel) -> None:
    config = Config("late", "x86_64", "tinyconfig", "", {}, {}, "other digest")
    uses = [ConfigUse("guest"), ConfigUse("late", "tip", ())]
    rows = walk(
        series(ONE, TWO),
        plan=plan.make(2, uses, ()),
        configs={name: replace(config, name=name, digest=name) for name in ("guest", "late")},
    )
    assert {n: list(row) for n, row in rows.items()} == {
        0: ["build:guest", "boot:guest", "build:late", "boot:late"],
        1: ["apply", "build:guest", "boot:guest"],
        2: ["apply", "build:guest", "boot:guest", "build:late", "boot:late"],
    }


def test_what_is_applied_on_the_way_ends_for_whoever_watches(walk: Any) -> None:
    events: list[Event] = []
    rows = walk(series(ONE, TWO, THREE), patches="tip", events=events)
    assert list(rows) == [0, 3]
    started = {(e.patch, e.cell) for e in events if isinstance(e, StepStarted)}
    ended = {(e.patch, e.outcome.cell) for e in events if isinstance(e, StepEnded)}
    assert (1, "apply") in started and started <= ended
