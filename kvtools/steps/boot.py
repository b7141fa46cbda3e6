# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot a built kernel and see whether it reaches user space."""

from __future__ import annotations

from kvtools import kconfig, scenarios
from kvtools.events import Tick, no_tick
from kvtools.guest_session import GuestRequest, inputs_of, run_cell, skipped
from kvtools.model import Json, Outcome, Step

__all__ = ["GuestRequest", "inputs", "run"]


def inputs(request: GuestRequest) -> Json:
    """What beside image and config the outcome depends on, for its content key."""
    return inputs_of(scenarios.get(request.scenario), request)


def run(request: GuestRequest, tick: Tick = no_tick) -> Outcome:
    """See :func:`kvtools.guest_session.run_cell`; SKIP when the kernel lacks a symbol."""
    scenario = scenarios.get(request.scenario)
    final = kconfig.parse((request.image / "config").read_text("utf-8", "replace"))
    reason = scenarios.missing(scenario, final)
    if reason is not None:
        return skipped(Step.BOOT, scenario.name, reason)
    return run_cell(Step.BOOT, scenario, request, tick)
