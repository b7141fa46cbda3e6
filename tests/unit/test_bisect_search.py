# SPDX-License-Identifier: GPL-2.0-or-later
"""The search over planted bugs: right, at git's price when it can be, honest when it cannot."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from bisections import Planted, linear, merged, name

from kvtools.bisect.journal import Journal
from kvtools.bisect.observation import Observation, Ready
from kvtools.bisect.search import Ending, MemoryLog, Result, Search
from kvtools.bisect.settings import Settings
from kvtools.bisection import DETERMINISTIC, Answer, Flakes, History
from kvtools.errors import Interrupted, MachineError, UserError

FAIL, PASS, SKIP, OTHER, ERROR = Answer.FAIL, Answer.PASS, Answer.SKIP, Answer.OTHER, Answer.ERROR
SURE = Settings(flakes=DETERMINISTIC)


def search(tester: Planted, settings: Settings = SURE, log: Any = None) -> Result:
    return Search(tester.history, tester, settings, log or MemoryLog()).run()


def found(result: Result) -> str:
    assert result.ending is Ending.FOUND, result
    return result.first[0].id


@pytest.mark.parametrize("count", [1, 2, 3, 50, 64])
def test_a_deterministic_failure_costs_what_git_bisect_costs(count: int) -> None:
    for first in range(1, count + 1):
        tester = Planted(linear(count), name(first))
        assert found(search(tester)) == name(first)
        # The two ends, which git takes the user's word for, and the halving.
        assert len(tester.tried) <= 2 + math.ceil(math.log2(count)), first


def test_with_the_check_perhaps_flaky_no_commit_more_is_built() -> None:
    for first in range(1, 65):
        tester = Planted(linear(64), name(first))
        result = search(tester, Settings())
        assert found(result) == name(first)
        assert len(tester.built) <= 2 + 6
        assert len(tester.tried) <= 2 + 6 + 9, "runs of kernels that are built, to be sure"


@pytest.mark.parametrize("seed", range(8))
def test_merges(seed: int) -> None:
    rng = random.Random(seed)
    history = merged(40, rng)
    for candidate in history.commits:
        tester = Planted(history, candidate.id)
        assert found(search(tester)) == candidate.id


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.6])
def test_a_flaky_failure_is_found(rate: float) -> None:
    rng = random.Random(int(rate * 100))
    right = 0
    for seed in range(12):
        tester = Planted(linear(32), name(rng.randint(1, 32)), rate=rate, seed=seed)
        result = search(tester, Settings())
        right += found(result) == tester.first
        assert result.probability >= 0.99
    assert right >= 11


def test_a_check_that_is_called_deterministic_and_is_not_gives_no_wrong_answer_with_one() -> None:
    """The control: without the belief in flakes the same histories are answered wrong."""
    wrong = 0
    for seed in range(20):
        result = search(Planted(linear(64), name(20), rate=0.5, seed=seed))
        wrong += result.ending is Ending.FOUND and result.first[0].id != name(20)
    assert wrong > 3


def test_a_check_that_fails_on_good_commits_too_now_and_then() -> None:
    settings = Settings(flakes=Flakes(spike=0.0, lowest=0.3, noise=0.05))
    right = 0
    for seed in range(10):
        result = search(Planted(linear(32), name(seed + 7), rate=0.7, noise=0.05, seed=seed),
                        settings)
        right += found(result) == name(seed + 7)
    assert right >= 9


def test_with_noise_the_ends_are_told_apart_by_their_rates() -> None:
    settings = Settings(flakes=Flakes(spike=0.0, lowest=0.3, noise=0.1))
    for seed in range(4):
        none = Planted(linear(16), name(9), rate=0.1, noise=0.1, seed=seed)
        assert search(none, settings).ending is Ending.NEW_IS_OLD
        both = Planted(linear(16), name(9), rate=0.7, noise=0.7, seed=seed)
        assert search(both, settings).ending is Ending.OLD_IS_NEW


def test_the_first_fix() -> None:
    for first in (1, 9, 32):
        tester = Planted(linear(32), name(first), reverse=True)
        assert found(search(tester, Settings(flakes=DETERMINISTIC, reverse=True))) == name(first)
    flaky = Planted(linear(32), name(9), reverse=True, rate=0.4, seed=3)
    assert found(search(flaky, Settings(reverse=True))) == name(9)


def test_a_commit_that_does_not_build_makes_the_answer_a_range() -> None:
    skip = {name(n): Observation(name(n), SKIP, "does not build") for n in (19, 20)}
    result = search(Planted(linear(32), name(20), special=skip))
    assert result.ending is Ending.RANGE
    assert [c.id for c in result.first] == [name(19), name(20), name(21)]
    assert result.skipped == {name(19): "does not build", name(20): "does not build"}


def test_a_skip_elsewhere_does_not_blur_the_answer() -> None:
    skip = {name(16): Observation(name(16), SKIP, "does not build")}
    assert found(search(Planted(linear(32), name(20), special=skip))) == name(20)


def test_skip_list_is_not_tried() -> None:
    tester = Planted(linear(8), name(4))
    result = search(tester, Settings(flakes=DETERMINISTIC, skip=frozenset({name(3)})))
    assert name(3) not in tester.tried
    assert [c.id for c in result.first] == [name(3), name(4)]


def test_another_crash_is_a_finding_and_does_not_steer() -> None:
    crash = Observation(name(16), FAIL, "another oops", ("splat:other",))
    result = search(Planted(linear(32), name(20), special={name(16): crash}))
    assert found(result) == name(20)
    assert {f.commit for f in result.findings} == {name(16)}
    assert "another way" in result.skipped[name(16)]


def test_what_the_good_end_does_too_is_no_failure() -> None:
    class Noisy(Planted):
        def _one(self, commit: str) -> Observation:
            one = super()._one(commit)
            return Observation(commit, FAIL, "old splat", ("splat:old", *one.marks))

    result = search(Noisy(linear(32), name(20)))
    assert found(result) == name(20)
    assert result.signature == ("subtest:bug",)


def test_a_good_that_is_bad_is_said_at_once() -> None:
    bad = Observation(name(0), FAIL, "fails here too", ("subtest:bug",))
    tester = Planted(linear(64), name(20), special={name(0): bad})
    result = search(tester)
    assert (result.ending, result.first) == (Ending.OLD_IS_NEW, ())
    assert "both ends" in result.why
    assert len(tester.tried) == 2


def test_a_bad_that_is_good_is_said_at_once() -> None:
    good = Observation(name(64), PASS, "all fine")
    tester = Planted(linear(64), name(20), special={name(64): good})
    result = search(tester)
    assert (result.ending, len(tester.tried)) == (Ending.NEW_IS_OLD, 2)
    assert "all fine" in result.why


def test_a_good_end_that_is_bad_and_flaky_is_found_out_in_the_end() -> None:
    class Lying(Planted):
        def broken(self, commit: str) -> bool:
            return True

    seen = {search(Lying(linear(16), name(1), rate=0.4, seed=seed), Settings()).ending
            for seed in range(6)}
    assert seen == {Ending.OLD_IS_NEW}


@pytest.mark.parametrize("seed", range(6))
def test_faults_of_the_machine_never_change_the_answer(seed: int) -> None:
    tester = Planted(linear(64), name(41), lost=0.3, seed=seed)
    result = search(tester)
    assert found(result) == name(41)
    errors = [t for t in result.trials if t.answer is ERROR]
    assert errors
    assert not [t for t in result.counted if t.answer is ERROR]


def test_a_machine_that_always_fails_is_told() -> None:
    with pytest.raises(MachineError, match="QEMU was killed"):
        search(Planted(linear(8), name(3), lost=1.0))


class Killed(Planted):
    """Dies after so many trials."""

    left = 5

    def run(self, commit: str, count: int) -> Sequence[Observation]:
        if not self.left:
            raise Interrupted("killed")
        self.left -= 1
        return super().run(commit, count)


def test_a_killed_bisection_goes_on_where_it_was(tmp_path: Path) -> None:
    tried = []
    for attempt in range(40):
        tester = Killed(linear(64), name(41), rate=0.5, seed=attempt)
        log = Journal(tmp_path / "journal.jsonl", {"check": "boot"})
        with (tmp_path / "journal.jsonl").open("ab") as file:
            file.write(b'{"commit": "torn')  # killed while it wrote
        log = Journal(tmp_path / "journal.jsonl", {"check": "boot"})
        try:
            result = search(tester, Settings(), log)
        except Interrupted:
            tried.append(len(tester.tried))
            continue
        break
    assert found(result) == name(41)
    assert len(tried) > 2
    assert set(tried) == {5}, "each attempt got somewhere"


class Stored(Planted):
    """Every commit has an outcome of an earlier run."""

    def known(self, commit: str) -> Sequence[Observation]:
        bad = self.broken(commit)
        return [Observation(commit, FAIL if bad else PASS, "stored",
                            ("subtest:bug",) if bad else (), source=f"/{commit}", reused=True)]


def test_stored_outcomes_are_trials_already_paid_for() -> None:
    tester = Stored(linear(64), name(41))
    result = search(tester)
    assert found(result) == name(41)
    assert tester.tried == []
    assert len(result.counted) == len({c.source for c in result.counted})


class Twins(Planted):
    """Commits 17 to 31 only change comments: the image of 16."""

    def prepare(self, commit: str) -> Ready:
        super().prepare(commit)
        number = int(commit, 16)
        return Ready(identity=f"image {16 if 16 < number < 32 else number}")


def test_a_commit_with_the_same_kernel_is_not_the_first_bad_one() -> None:
    tester = Twins(linear(64), name(32))
    assert found(search(tester)) == name(32)
    result = search(Twins(linear(64), name(32), rate=0.5, seed=4), Settings())
    assert found(result) == name(32)
    assert result.same


def test_ends_with_the_same_kernel_are_told() -> None:
    class Same(Planted):
        def prepare(self, commit: str) -> Ready:
            return Ready(identity="one image")

    result = search(Same(linear(8), name(3)))
    assert result.ending is Ending.NEW_IS_OLD
    assert "same kernel" in result.why


def test_a_cheap_commit_goes_first_where_it_halves_as_well() -> None:
    def cost(commit: str) -> float:
        return 1.0 if commit == name(20) else 100.0

    tester = Planted(linear(50), name(7), cost=cost)
    search(tester)
    assert tester.tried[2] == name(20), "30 are left in the worst case: still 5 more trials"
    far = Planted(linear(50), name(7), cost=lambda c: 1.0 if c == name(3) else 100.0)
    search(far)
    assert far.tried[2] != name(3), "47 would be left: a trial more than git bisect"


def test_several_guests_repeat_a_flaky_trial_at_once() -> None:
    tester = Planted(linear(16), name(9), rate=0.2, slots=4, seed=2)
    assert found(search(tester, Settings())) == name(9)


def test_suspects_are_tried_first_when_asked_for() -> None:
    prior = {name(60): 50.0}
    tester = Planted(linear(64), name(60))
    assert found(search(tester, Settings(prior=prior))) == name(60)
    assert set(tester.tried[2:4]) & {name(59), name(60)}


def test_an_empty_range_is_an_error() -> None:
    with pytest.raises(UserError, match="no commit between"):
        History([], old=("a",), new="b")


def test_noise_that_hides_the_failure_is_refused() -> None:
    with pytest.raises(UserError, match="cannot tell them apart"):
        Flakes(noise=0.2, lowest=0.1)


def test_simulated_histories_as_often_right_as_stated() -> None:
    """The quick part of benchmarks/bisect_simulation.py, which does the whole of it."""
    right = wrong = 0
    for number, rate in enumerate((0.15, 0.25, 0.35, 0.45, 0.6) * 6):
        rng = random.Random(number)
        history = linear(24) if number % 2 else merged(24, rng)
        tester = Planted(history, name(rng.randint(1, 24)), rate=rate, seed=number, lost=0.05)
        result = search(tester, Settings())
        if result.ending is Ending.FOUND and result.first[0].id == tester.first:
            right += 1
        else:
            wrong += 1
    assert wrong <= 1, f"{right} right"
