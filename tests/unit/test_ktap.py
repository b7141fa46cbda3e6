# SPDX-License-Identifier: GPL-2.0-or-later
"""KTAP as kselftest, KUnit and our own guest print it, whole and broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvtools import ktap
from kvtools.ktap import Result
from kvtools.model import Status

DATA = Path(__file__).parents[1] / "data" / "ktap"


def outline(test: ktap.Test) -> list[object]:
    """Names and results as nested lists, for comparing."""
    return [(one.name, str(one.result), outline(one)) if one.subtests
            else (one.name, str(one.result)) for one in test.subtests]


def test_kselftest_nests_by_its_prefix() -> None:
    root = ktap.parse((DATA / "kselftest.txt").read_text())
    assert outline(root) == [
        ("selftests: memory-hotplug: mem-on-off-test.sh", "PASS"),
        ("selftests: vm: ksm_tests", "PASS",
         [("KSM merging", "PASS"), ("CONFIG_NUMA is off", "SKIP")]),
        ("selftests: vm: hugetlb", "FAIL"),
    ]
    assert root.status is Status.FAIL
    assert list(root.all_problems()) == []
    first, second, third = root.subtests
    assert "Test scope: 2% hotplug memory" in first.diagnostics
    assert second.plan == 2
    assert second.subtests[0].diagnostics == ("merging 4 pages",)
    assert (third.directive, third.reason) == ("TIMEOUT", "45 seconds")


def test_kunit_nests_by_indentation_in_a_console_log() -> None:
    root = ktap.parse((DATA / "kunit.txt").read_text())
    assert outline(root) == [
        ("list-kunit-test", "FAIL",
         [("list_test_list_init", "PASS"), ("list_test_list_add", "FAIL")]),
        ("example", "PASS", [
            ("example_params_test", "PASS",
             [("example value 2", "PASS"), ("example value 0", "SKIP")])]),
    ]
    assert [" / ".join(path) for path, _ in root.leaves()][-1] == (
        "example / example_params_test / example value 0")
    assert root.subtests[0].subtests[1].diagnostics == (
        "list_test_list_add: EXPECTATION FAILED at lib/list-test.c:54",)


@pytest.mark.parametrize(("text", "status"), [
    ("1..1\nok 1 a", Status.PASS),
    ("1..1\nok 1", Status.PASS),
    ("ok 1 a\nok 2 b\n1..2", Status.PASS),
    ("1..1\nnot ok 1 a", Status.FAIL),
    ("1..1\nok 1 a # SKIP no device", Status.SKIP),
    ("1..1\nnot ok 1 a # SKIP no device", Status.SKIP),
    ("1..2\nok 1 a # SKIP x\nok 2 b", Status.PASS),
    ("1..1\nnot ok 1 a # TODO later", Status.PASS),
    ("1..1\nnot ok 1 a # XFAIL known", Status.PASS),
    ("1..1\nok 1 # XFAIL known", Status.PASS),
    ("1..1\nnot ok 1 a # ERROR no memory", Status.FAIL),
    ("1..0 # SKIP not on this kernel", Status.SKIP),
    ("TAP version 13\n1..2\nok - a\nok - b", Status.PASS),
    ("KTAP version 1\n1..1\nnot ok 1 a # exit=1", Status.FAIL),
])
def test_status(text: str, status: Status) -> None:
    root = ktap.parse(text)
    assert root.status is status
    assert root.problems == ()


@pytest.mark.parametrize(("text", "problem"), [
    ("", "no test results"),
    ("Linux version 6.1.0\nok then, let us go\n", "no test results"),
    ("1..5\nok 1 a\nok 2 b\nok 3 c", "plan says 5, 3 came"),
    ("1..2", "plan says 2, 0 came"),
    ("ok 1 a\nok 2 b", "no plan: output that stops early could not be told"),
    ("1..2\nok 1 a\nok 1 b\nok 2 c", "number 1 came 2 times"),
    ("1..2\nok 1 a\nok 2 b\nok 3 c", "number 3 is outside the plan 1..2"),
    ("1..2\nok 1 a\nok 3 c", "plan says 2, 2 came"),
    ("1..3\nok 1 a\nBail out! no memory left", "Bail out! no memory left"),
    ("1..1\nok 1 a\n1..2", "a second plan: 1..2"),
    ("2..3\nok 2 a\nok 3 b", "a plan that does not begin with 1: 2..3"),
    ("1..1\n  KTAP version 1\n  1..2\n  ok 1 a", "?: its result line never came"),
    ("1..1\n  1..3\n  ok 1 a\n  ok 2 b\nok 1 whole", "whole: plan says 3, 2 came"),
])
def test_broken_output_fails(text: str, problem: str) -> None:
    root = ktap.parse(text)
    assert root.status is Status.FAIL
    assert problem in list(root.all_problems())


def test_every_truncation_fails() -> None:
    lines = (DATA / "kunit.txt").read_text().splitlines()
    for end in range(len(lines)):
        assert ktap.parse("\n".join(lines[:end])).status is Status.FAIL


def test_a_parent_does_not_hide_a_failing_subtest() -> None:
    root = ktap.parse("1..1\n  1..2\n  ok 1 a\n  not ok 2 b\nok 1 parent")
    assert root.status is Status.FAIL
    assert root.subtests[0].result is Result.PASS


def test_an_expected_failure_covers_its_subtests() -> None:
    root = ktap.parse("1..1\n  1..1\n  not ok 1 b\nnot ok 1 parent # TODO")
    assert root.status is Status.PASS


def test_a_skipped_program_takes_the_reason_of_its_plan() -> None:
    root = ktap.parse("1..1\n# 1..0 # SKIP no hugetlb\nok 1 prog")
    assert (root.subtests[0].result, root.subtests[0].reason) == (Result.SKIP, "no hugetlb")
    assert root.status is Status.SKIP


def test_messages_in_between_and_behind_are_no_results() -> None:
    root = ktap.parse(
        "TAP version 13\r\n1..2\r\n[   1.000000] random: crng init done\r\n"
        "ok 1 plug[   1.200000][   T42] virtio_mem virtio1: ok 2 MiB plugged\r\n"
        "okay 7 this is prose\r\nok, moving on\r\nok 2 unplug\r\n")
    assert [t.name for t in root.subtests] == ["plug", "unplug"]
    assert root.status is Status.PASS


def test_two_documents_in_a_row() -> None:
    good = "TAP version 13\n1..1\nok 1 a\n"
    root = ktap.parse(good + good.replace(" a", " b"))
    assert [t.name for t in root.subtests] == ["a", "b"]
    assert (root.status, root.plan) == (Status.PASS, 2)
    assert ktap.parse(good + "TAP version 13\n1..2\nok 1 b\n").status is Status.FAIL
    assert ktap.parse(good + "TAP version 13\n").problems == ("no test results",)


def test_a_name_may_hold_a_hash_sign_behind_a_backslash_free_word() -> None:
    root = ktap.parse("1..1\nok 1 - block#3 of 4")
    assert root.subtests[0].name == "block#3 of 4"


@pytest.mark.parametrize(("status", "result"), [
    (0, Result.PASS), (1, Result.FAIL), (2, Result.XFAIL), (4, Result.SKIP), (124, Result.FAIL),
    (139, Result.FAIL),
])
def test_exit_status_of_a_kselftest_program(status: int, result: Result) -> None:
    assert ktap.kselftest_result(status)[0] is result
