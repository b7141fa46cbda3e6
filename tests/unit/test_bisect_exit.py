# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools test --bisect-exit``: what ``git bisect run`` is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from reports import report

from kvtools.cli import main
from kvtools.cli.test import bisect_exit
from kvtools.model import Outcome, Owner, Status, Step
from kvtools.report import Row, RunReport

PASS, WARN, FAIL, SKIP, ERROR = (Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.ERROR)
STEPS = (Step.BUILD, Step.BOOT, Step.SELFTEST)


def of(*statuses: Status, overall: Status = PASS) -> RunReport:
    outcomes = tuple(Outcome(step, "x", status, 1.0, "", owner=Owner.KERNEL)
                     for step, status in zip(STEPS, statuses, strict=False))
    return replace(report(), rows=(Row(0, "base", "c", "t", outcomes),), status=overall)


@pytest.mark.parametrize(("statuses", "overall", "code"), [
    ((PASS, PASS, PASS), PASS, 0),
    ((WARN, PASS, WARN), WARN, 0),
    ((PASS, PASS, FAIL), FAIL, 1),
    ((PASS, FAIL), FAIL, 1),
    ((FAIL,), FAIL, 1),
    ((FAIL, SKIP), ERROR, 128),
    ((FAIL, SKIP, SKIP), FAIL, 125),
    ((PASS, FAIL, SKIP), FAIL, 125),
    ((PASS, PASS, SKIP), PASS, 125),
    ((SKIP,), SKIP, 125),
    ((PASS, PASS, ERROR), ERROR, 128),
])
def test_the_exit_code(statuses: tuple[Status, ...], overall: Status, code: int) -> None:
    assert bisect_exit(of(*statuses, overall=overall)) == code


def test_bad_input_stops_git_bisect(capfd: pytest.CaptureFixture[str], tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path))
    assert main(["test", "no/such/series", "--bisect-exit"]) == 128
    assert "no/such/series" in capfd.readouterr().err
