# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps ``boot`` and ``selftest``: what they hand on, and when they skip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kvtools.errors import UserError
from kvtools.events import no_tick
from kvtools.guest_session import GuestRequest
from kvtools.model import Outcome, Status, Step
from kvtools.steps import boot, selftest

BOTH = pytest.mark.parametrize(("step", "kind"), [(boot, Step.BOOT), (selftest, Step.SELFTEST)])


def request(tmp_path: Path, scenario: str, config: str) -> GuestRequest:
    (tmp_path / "config").write_text(config)
    return GuestRequest(tmp_path, scenario, "tcg", tmp_path, "HEAD", tmp_path)


@BOTH
def test_a_kernel_without_the_driver_is_a_skip(
    tmp_path: Path, step: ModuleType, kind: Step
) -> None:
    asked = request(tmp_path, "vmem.probe", "CONFIG_MEMORY_HOTPLUG=y\nCONFIG_MEMORY_HOTREMOVE=y\n")
    outcome = step.run(asked)
    assert (outcome.step, outcome.name, outcome.status) == (kind, "vmem.probe", Status.SKIP)
    assert outcome.summary == "this kernel has no CONFIG_VIRTIO_MEM"


@BOTH
def test_a_kernel_that_can_is_booted(
    tmp_path: Path, step: ModuleType, kind: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(tmp_path, "boot", "")

    def ran(of: Step, scenario: Any, given: GuestRequest, tick: Callable[..., None]) -> Outcome:
        assert (given, tick) == (asked, no_tick)
        return Outcome(of, scenario.name, Status.PASS, 1.0, "")

    monkeypatch.setattr(step, "run_cell", ran)
    assert step.run(asked).cell == f"{kind}:boot"


@BOTH
def test_the_key_names_scenario_and_accelerator(
    tmp_path: Path, step: ModuleType, kind: Step
) -> None:
    first = step.inputs(request(tmp_path, "boot", ""))
    assert first == step.inputs(request(tmp_path, "boot", ""))
    assert first != step.inputs(request(tmp_path, "vmem.probe", ""))
    with pytest.raises(UserError, match="no scenario 'nope'"):
        step.inputs(request(tmp_path, "nope", ""))
