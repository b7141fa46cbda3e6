# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot a built kernel and run one scenario on it: the steps boot, selftest and dump."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from kvtools import kconfig, scenarios
from kvtools.dmesg import Kind
from kvtools.events import Tick, no_tick
from kvtools.guest_session import DROPPED, GuestRequest, inputs_of, run_cell, skipped
from kvtools.model import Config, Json, Outcome, Owner, Status
from kvtools.store import key

__all__ = ["GuestRequest", "cannot", "inputs", "lacks_dumps", "outcome_key", "run"]

SLOW = frozenset((Kind.HUNG_TASK, Kind.LOCKUP, Kind.RCU_STALL))
SILENT = frozenset(("guest:hang", "guest:no-boot", "guest:crash-hang"))
FIRST = "first-try"


def inputs(request: GuestRequest) -> Json:
    """What beside image and config the outcome depends on, for its content key."""
    return inputs_of(scenarios.get(request.scenario), request, scenarios.paths())


def outcome_key(
    request: GuestRequest, built: Outcome, config: Config, emulator: Mapping[str, str]
) -> str:
    """The content key of the outcome on that build's image."""
    return key(
        step=str(request.step),
        image=built.details["image_sha256"],
        modules=built.details.get("modules_sha256", ""),
        config=config.digest,
        emulator=dict(emulator),
        inputs=inputs(request),
    )


def run(request: GuestRequest, tick: Tick = no_tick) -> Outcome:
    """See :func:`kvtools.guest_session.run_cell`; SKIP when the kernel lacks a symbol, and,
    owned by the user, when this machine lacks a program.

    A guest that only ran out of time is run once more: it may have been the machine. If it
    passes then, that is a WARN which keeps the first log in ``first-try/``.
    """
    unable = cannot(request)
    if unable is not None:
        return unable
    scenario = scenarios.get(request.scenario)
    outcome = run_cell(scenario, request, tick)
    if not _too_slow(outcome):
        return outcome
    _set_aside(request.out)
    again = run_cell(scenario, request, tick)
    if again.status is not Status.PASS:
        return again
    return replace(
        again,
        status=Status.WARN,
        summary=f"passed when run again, after: {outcome.summary}",
        evidence=outcome.evidence,
        details={**again.details, FIRST: outcome.summary},
    )


def cannot(request: GuestRequest) -> Outcome | None:
    """The SKIP of a scenario that this kernel or this machine cannot run; needs no guest."""
    scenario = scenarios.get(request.scenario)
    final = kconfig.parse((request.image / "config").read_text("utf-8", "replace"))
    reason = scenarios.missing(scenario, final)
    if reason is not None:
        return skipped(request.step, scenario.name, reason)
    reason = scenarios.absent(scenario)
    if reason is not None:
        return replace(skipped(request.step, scenario.name, reason), owner=Owner.USER)
    return None


def lacks_dumps(outcome: Outcome) -> bool:
    """Whether it had dump files that are not kept."""
    return bool(outcome.details.get(DROPPED))


def _too_slow(outcome: Outcome) -> bool:
    """Whether all that is against it is a matter of time."""
    if outcome.status is not Status.FAIL or not outcome.fingerprints:
        return False
    return all(
        mark in SILENT or mark.partition(": ")[0] in SLOW for mark in outcome.fingerprints
    )


def _set_aside(out: Path) -> None:
    left = list(out.iterdir())
    (out / FIRST).mkdir()
    for path in left:
        path.rename(out / FIRST / path.name)
