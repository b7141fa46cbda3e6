# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps that boot a guest: what they hand on, and when they skip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvtools import process, scenarios
from kvtools.errors import UserError
from kvtools.events import no_tick
from kvtools.guest_session import DROPPED, GuestRequest
from kvtools.model import Outcome, Owner, Status, Step
from kvtools.steps import guest

EACH = pytest.mark.parametrize("step", [Step.BOOT, Step.SELFTEST, Step.DUMP])


def request(tmp_path: Path, scenario: str, config: str, step: Step = Step.BOOT) -> GuestRequest:
    (tmp_path / "config").write_text(config)
    return GuestRequest(step, tmp_path, scenario, "tcg", tmp_path, "HEAD", tmp_path)


@EACH
def test_a_kernel_without_the_driver_is_a_skip(tmp_path: Path, step: Step) -> None:
    config = "CONFIG_MEMORY_HOTPLUG=y\nCONFIG_MEMORY_HOTREMOVE=y\n"
    outcome = guest.run(request(tmp_path, "vmem.probe", config, step))
    assert (outcome.step, outcome.name, outcome.status) == (step, "vmem.probe", Status.SKIP)
    assert outcome.summary == "this kernel has no CONFIG_VIRTIO_MEM"


@EACH
def test_a_kernel_that_can_is_booted(
    tmp_path: Path, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(tmp_path, "boot", "", step)

    def ran(scenario: Any, given: GuestRequest, tick: Callable[..., None]) -> Outcome:
        assert (given, tick) == (asked, no_tick)
        return Outcome(given.step, scenario.name, Status.PASS, 1.0, "")

    monkeypatch.setattr(guest, "run_cell", ran)
    assert guest.run(asked).cell == f"{step}:boot"


def test_the_key_names_scenario_and_accelerator(tmp_path: Path) -> None:
    first = guest.inputs(request(tmp_path, "boot", ""))
    assert first == guest.inputs(request(tmp_path, "boot", ""))
    assert first != guest.inputs(request(tmp_path, "vmem.probe", ""))
    with pytest.raises(UserError, match="no scenario 'nope'"):
        guest.inputs(request(tmp_path, "nope", ""))


def failed(*fingerprints: str) -> Outcome:
    return Outcome(
        Step.BOOT, "boot", Status.FAIL, 1.0, "bad", fingerprints=fingerprints, evidence=("line",)
    )


GOOD = Outcome(Step.BOOT, "boot", Status.PASS, 1.0, "fine")
STALL = failed("rcu-stall: INFO: rcu_sched self-detected stall on CPU in cpu_idle")


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([failed("guest:hang"), GOOD], Status.WARN),
        ([STALL, GOOD], Status.WARN),
        ([failed("guest:no-boot"), failed("guest:no-boot")], Status.FAIL),
        ([failed("guest:hang", "subtest:memory")], Status.FAIL),
        ([failed("bug: BUG: x", "guest:hang")], Status.FAIL),
        ([GOOD], Status.PASS),
    ],
)
def test_what_was_only_too_slow_is_run_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[Outcome], status: Status
) -> None:
    asked = request(tmp_path, "boot", "")
    out = tmp_path / "out"
    out.mkdir()
    left = list(answers)

    def ran(scenario: Any, given: GuestRequest, tick: Callable[..., None]) -> Outcome:
        (given.out / "console.log").write_text(f"{len(left)}")
        return left.pop(0)

    monkeypatch.setattr(guest, "run_cell", ran)
    outcome = guest.run(replace(asked, out=out))
    assert (outcome.status, left) == (status, [])
    if status is Status.WARN:
        assert outcome.evidence == ("line",) and "after: bad" in outcome.summary
        assert (out / "first-try/console.log").read_text() == "2"


def test_a_machine_without_a_program_is_a_skip_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = scenarios.get("dump.kdump").needs
    config = "".join(f"CONFIG_{symbol}=y\n" for symbol in needs)
    asked = request(tmp_path, "dump.kdump", config, Step.DUMP)
    monkeypatch.setattr(guest, "run_cell", lambda *_: replace(GOOD, step=Step.DUMP))
    monkeypatch.setattr(process, "which", lambda name: None if name == "kexec" else Path("/x"))
    outcome = guest.run(asked)
    assert (outcome.status, outcome.owner) == (Status.SKIP, Owner.USER)
    assert outcome.summary.startswith("kexec not installed")
    monkeypatch.setattr(process, "which", lambda name: Path("/x"))
    assert guest.run(asked).status is Status.PASS


def test_an_outcome_whose_dumps_are_gone() -> None:
    assert not guest.lacks_dumps(GOOD)
    assert guest.lacks_dumps(replace(GOOD, details={DROPPED: {"level-0.kdump": 5}}))
