# SPDX-License-Identifier: GPL-2.0-or-later
"""Which step functions a run calls: the plain ones, or for an untrusted series the confined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kvtools.checks.findings import Side
from kvtools.checks.request import CheckRequest
from kvtools.events import Tick
from kvtools.model import Outcome
from kvtools.quarantine import limits
from kvtools.quarantine.steps import Quarantine
from kvtools.request import RunRequest
from kvtools.steps import apply, build, check, guest


@dataclass(frozen=True, slots=True)
class Steps:
    """The step functions, so that a test can put others in their place."""

    apply: Callable[[apply.ApplyRequest, Tick], Outcome] = apply.run
    before: Callable[[CheckRequest], Side] = check.before
    check: Callable[[CheckRequest, Tick], Outcome] = check.run
    build: Callable[[build.BuildRequest, Tick], Outcome] = build.run
    cannot: Callable[[guest.GuestRequest], Outcome | None] = guest.cannot
    guest: Callable[[guest.GuestRequest, Tick], Outcome] = guest.run


def steps_of(request: RunRequest) -> Steps:
    """Those that ``request`` has to be run with."""
    if not request.untrusted:
        return Steps()
    confined = Quarantine(limits.default_limits())
    return Steps(apply=confined.apply, before=confined.before, check=confined.check,
                 build=confined.build, guest=confined.guest, cannot=_unknown)


def _unknown(request: guest.GuestRequest) -> Outcome | None:
    """What a build of strangers left is only read by the confined step."""
    return None
