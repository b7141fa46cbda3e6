# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest

from kvtools import verdict
from kvtools.model import Expectation, Known, Outcome, Owner, Status, Step

PASS = Outcome(Step.BOOT, "guest", Status.PASS, 1.0, "booted")
FAIL = replace(
    PASS, status=Status.FAIL, owner=Owner.KERNEL, summary="WARNING in f", fingerprints=("splat:f",)
)
SKIP = replace(PASS, status=Status.SKIP, summary="no CONFIG_VIRTIO_MEM")
ERROR = replace(PASS, status=Status.ERROR, owner=Owner.MACHINE, summary="QEMU was killed")


def test_a_failure_that_the_base_has_does_not_blame_the_patch() -> None:
    judged = verdict.judge(FAIL, FAIL, None, 3)
    assert judged.status is Status.WARN
    assert judged.owner is None
    assert judged.details["preexisting"] == ["splat:f"]


def test_another_failure_than_the_bases_is_the_patchs() -> None:
    other = replace(FAIL, fingerprints=("splat:f", "splat:g"))
    judged = verdict.judge(other, FAIL, None, 3)
    assert judged.status is Status.FAIL
    assert judged.owner is Owner.PATCH
    assert judged.details["new"] == ["splat:g"]


def test_a_failure_without_fingerprint_is_never_pre_existing() -> None:
    bare = replace(FAIL, fingerprints=())
    assert verdict.judge(bare, bare, None, 1).status is Status.FAIL


def test_a_failure_against_a_base_without_verdict_blames_nobody() -> None:
    judged = verdict.judge(FAIL, ERROR, None, 1)
    assert (judged.status, judged.owner) == (Status.ERROR, Owner.MACHINE)


def test_a_failure_against_a_base_that_could_not_run_blames_nobody() -> None:
    blocked = verdict.blocked(Step.SELFTEST, "vmem.probe", ERROR, 0)
    judged = verdict.judge(FAIL, blocked, None, 1)
    assert (judged.status, judged.owner) == (Status.ERROR, Owner.MACHINE)
    warned = replace(PASS, fingerprints=("warning:a",))
    assert verdict.judge(warned, blocked, None, 1).status is Status.PASS


def test_a_promised_cell_has_to_pass_whole() -> None:
    subtests = [{"name": "a", "status": "PASS"}, {"name": "b", "status": "SKIP", "message": "why"}]
    partly = replace(PASS, details={"subtests": subtests})
    promised = Expectation("boot:guest", 2, "")
    assert verdict.judge(partly, PASS, promised, 1).status is Status.PASS
    assert verdict.judge(partly, PASS, None, 2).status is Status.PASS
    judged = verdict.judge(partly, PASS, promised, 2)
    assert (judged.status, judged.owner) == (Status.FAIL, Owner.PATCH)
    assert "b was skipped: why" in judged.summary


def test_what_the_base_could_do_must_not_break_before_the_promise_either() -> None:
    early = replace(FAIL, fingerprints=("subtest:x",))
    assert verdict.judge(early, PASS, Expectation("c", 5, ""), 2).status is Status.FAIL


def test_an_error_stays_an_error() -> None:
    assert verdict.judge(ERROR, PASS, Expectation("boot:guest", 1, ""), 2) is ERROR


def test_the_base_answers_as_the_kernel() -> None:
    assert verdict.judge(FAIL, None, None, 0).owner is Owner.KERNEL


@pytest.mark.parametrize(("patch", "status"), [(0, "SKIP"), (4, "SKIP"), (5, "FAIL"), (6, "FAIL")])
def test_a_skip_is_a_failure_from_the_promised_patch_on(patch: int, status: str) -> None:
    expected = Expectation("selftest:vmem.probe", 5, "patch 5 brings the driver")
    judged = verdict.judge(SKIP, SKIP, expected, patch)
    assert judged.status == status
    assert ("patch 5 brings the driver" in judged.summary) == (status == "SKIP")


def test_a_skip_promised_from_the_first_patch_spares_the_base() -> None:
    expected = Expectation("boot:guest", 0, "")
    assert verdict.judge(SKIP, None, expected, 0).status is Status.SKIP
    assert verdict.judge(SKIP, SKIP, expected, 1).status is Status.FAIL


def test_a_subtest_that_is_not_promised_yet_is_no_failure_but_a_splat_is() -> None:
    expected = Expectation("boot:guest", 5, "patch 5 marks the pages")
    early = replace(FAIL, fingerprints=("subtest:holds-128M",))
    judged = verdict.judge(early, SKIP, expected, 4)
    assert (judged.status, judged.owner) == (Status.SKIP, None)
    assert judged.summary == "not before patch 5: WARNING in f (patch 5 marks the pages)"
    assert verdict.judge(early, SKIP, expected, 5).status is Status.FAIL
    splat = replace(FAIL, fingerprints=("subtest:holds-128M", "splat:f"))
    assert verdict.judge(splat, SKIP, expected, 4).status is Status.FAIL
    assert verdict.judge(replace(FAIL, fingerprints=()), SKIP, expected, 4).status is Status.FAIL


def test_never_expected_stays_a_skip() -> None:
    expected = Expectation("boot:guest", None, "not yet")
    assert verdict.judge(SKIP, SKIP, expected, 9).status is Status.SKIP


def test_a_blocked_cell_is_not_blamed_twice() -> None:
    blocked = verdict.blocked(Step.BOOT, "guest", replace(FAIL, step=Step.BUILD), 2)
    judged = verdict.judge(blocked, PASS, Expectation("boot:guest", 1, ""), 2)
    assert judged.status is Status.SKIP
    assert judged.summary == "build:guest of patch 2 is FAIL"


@pytest.mark.parametrize(("touched", "says"), [(False, True), (True, False)])
def test_a_warning_in_an_untouched_file_is_the_patchs_and_says_so(
    touched: bool, says: bool
) -> None:
    warning = {"tool": "cc", "file": "mm/slub.c", "touched_file": touched}
    warned = replace(PASS, fingerprints=("cc: mm/slub.c: f: unused variable 'x'",),
                     details={"warnings": [warning]})
    judged = verdict.judge(warned, PASS, None, 1)
    assert (judged.status, judged.owner) == (Status.WARN, Owner.PATCH)
    assert ("the patch does not touch" in judged.summary) is says


def test_new_warnings_warn_and_a_swap_is_seen() -> None:
    base = replace(PASS, step=Step.BUILD, fingerprints=("warning:a",))
    swapped = replace(base, fingerprints=("warning:b",))
    judged = verdict.judge(swapped, base, None, 1)
    assert judged.status is Status.WARN
    assert judged.details["new"] == ["warning:b"]
    assert judged.details["fixed"] == ["warning:a"]
    assert verdict.judge(base, base, None, 1).status is Status.PASS


KNOWN = Known("boot:guest", "splat:f", "it always did")


def test_a_known_failure_of_the_base_is_a_warning_with_its_reason() -> None:
    judged = verdict.judge(FAIL, None, None, 0, [KNOWN])
    assert (judged.status, judged.owner) == (Status.WARN, None)
    assert judged.summary == "known on this base: it always did: WARNING in f"
    assert judged.details["known"] == ["splat:f"]
    on_debug = replace(FAIL, name="guest@debug")
    assert verdict.judge(on_debug, None, None, 0, [KNOWN]).status is Status.WARN


def test_a_known_failure_hides_no_other_and_no_other_cell() -> None:
    more = replace(FAIL, fingerprints=("splat:f", "splat:g"))
    judged = verdict.judge(more, None, None, 0, [KNOWN])
    assert (judged.status, judged.owner) == (Status.FAIL, Owner.KERNEL)
    assert judged.details["known"] == ["splat:f"]
    elsewhere = replace(FAIL, step=Step.SELFTEST, name="vmem.probe")
    assert verdict.judge(elsewhere, None, None, 0, [KNOWN]).status is Status.FAIL
    bare = replace(FAIL, fingerprints=())
    assert verdict.judge(bare, None, None, 0, [KNOWN]).status is Status.FAIL


def test_a_known_failure_that_no_longer_happens_is_said() -> None:
    judged = verdict.judge(PASS, None, None, 0, [KNOWN])
    assert (judged.status, judged.owner) == (Status.WARN, None)
    assert judged.summary == "a known failure did not happen: splat:f (it always did)"
    now_and_then = replace(KNOWN, sometimes=True)
    assert verdict.judge(PASS, None, None, 0, [now_and_then]) == PASS
    assert verdict.judge(FAIL, None, None, 0, [now_and_then]).status is Status.WARN
    other = replace(KNOWN, fingerprint="splat:g", reason="why")
    both = verdict.judge(FAIL, None, None, 0, [KNOWN, other])
    assert "known on this base: it always did" in both.summary
    assert "did not happen: splat:g (why)" in both.summary


def test_what_is_known_of_the_base_excuses_no_patch_by_itself() -> None:
    assert verdict.judge(FAIL, PASS, None, 1, [KNOWN]).status is Status.FAIL
    judged = verdict.judge(FAIL, FAIL, None, 1, [KNOWN])
    assert judged.summary.startswith("pre-existing on the base")
    assert verdict.judge(ERROR, None, None, 0, [KNOWN]) is ERROR
    assert verdict.judge(SKIP, None, None, 0, [KNOWN]) is SKIP


@pytest.mark.parametrize(
    ("base", "patches", "status"),
    [
        ([PASS], [PASS, SKIP], Status.PASS),
        ([PASS], [PASS, FAIL], Status.FAIL),
        ([PASS], [FAIL, ERROR], Status.FAIL),
        ([PASS], [PASS, ERROR], Status.ERROR),
        ([ERROR], [PASS], Status.ERROR),
        ([FAIL], [], Status.FAIL),
        ([FAIL], [PASS], Status.ERROR),
        ([replace(FAIL, step=Step.SELFTEST)], [PASS], Status.WARN),
        ([PASS], [], Status.PASS),
        ([PASS, replace(PASS, status=Status.WARN)], [], Status.WARN),
        ([replace(PASS, status=Status.WARN)], [PASS], Status.PASS),
        ([SKIP], [SKIP], Status.SKIP),
        ([], [], Status.SKIP),
    ],
)
def test_overall(base: list[Outcome], patches: list[Outcome], status: Status) -> None:
    assert verdict.overall(base, patches) is status


def test_a_promised_cell_that_this_machine_cannot_run_is_not_the_patchs_fault() -> None:
    lacking = replace(SKIP, owner=Owner.USER, summary="makedumpfile not installed")
    promised = Expectation("boot:guest", 2, "why")
    assert verdict.judge(lacking, SKIP, None, 2).status is Status.SKIP
    assert verdict.judge(lacking, SKIP, promised, 1).status is Status.SKIP
    judged = verdict.judge(lacking, SKIP, promised, 2)
    assert (judged.status, judged.owner) == (Status.ERROR, Owner.USER)
    assert verdict.judge(SKIP, SKIP, promised, 2).status is Status.FAIL


def test_the_base_may_say_no_to_what_a_patch_is_to_bring() -> None:
    said = replace(FAIL, fingerprints=("subtest:value",), summary="no such number")
    promise = Expectation("boot:guest", 4, "patch 4 brings it")
    judged = verdict.judge(said, None, promise, 0)
    assert (judged.status, judged.owner) == (Status.SKIP, None)
    assert judged.summary == "not before patch 4: no such number (patch 4 brings it)"
    assert verdict.judge(FAIL, None, promise, 0).status is Status.FAIL, "a splat is no test result"
    never = replace(promise, from_patch=None)
    assert verdict.judge(said, None, never, 0).status is Status.FAIL
