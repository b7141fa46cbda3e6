# SPDX-License-Identifier: GPL-2.0-or-later
"""A series applied to a base, as ``kvtools test`` does it, for what is no run of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from kvtools import plan, runner
from kvtools.errors import UserError
from kvtools.events import Emit, Event, Progress, StepEnded, StepStarted, Working
from kvtools.model import ConfigUse, Series, Status, Step
from kvtools.request import RowResult, RunRequest
from kvtools.store import Store


def series_of(request: RunRequest, fix: str = "name a SERIES") -> Series:
    """The series of a request. Raises UserError when it has none."""
    if request.series is None:
        raise UserError("there is no series", fix=fix)
    return request.series


def rows(request: RunRequest, store: Store, emit: Emit) -> tuple[RowResult, ...]:
    """A row for each patch, the base left out; those after one that does not apply are skipped.

    Raises UserError when the request has no series.
    """
    count = len(series_of(request).patches)
    config = next(iter(request.configs))
    chosen = plan.make(count, [ConfigUse(config)], (), only=["apply"])
    what = f"applying {count} patch{'es' * (count != 1)} to {request.base.name}"

    def tell(event: Event) -> None:
        if not isinstance(event, (StepStarted, StepEnded, Progress)):
            emit(event)

    emit(Working(what))
    try:
        found = run(replace(request, plan=chosen, guests=1), store, tell)
    finally:
        emit(Working(what, done=True))
    return found


def run(request: RunRequest, store: Store, emit: Emit) -> tuple[RowResult, ...]:
    """The rows of the patches after all that the plan says, without a report of it."""
    with ThreadPoolExecutor(request.guests) as executor:
        found = runner.run(request, store, executor, emit)
    return tuple(row for row in found if row.number)


def refused(row: RowResult) -> str:
    """Why the patch of this row does not apply, "" when it does."""
    bad = [o for o in row.outcomes if o.step is Step.APPLY and o.status is not Status.PASS]
    return bad[0].summary if bad else "" if row.tree else "it was not applied"


def must_apply(found: tuple[RowResult, ...]) -> tuple[RowResult, ...]:
    """The same rows. Raises UserError naming the first patch that does not apply."""
    for row in found:
        if why := refused(row):
            raise UserError(f"patch {row.number} does not apply: {why}",
                            fix="rebase the series first")
    return found
