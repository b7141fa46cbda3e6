# SPDX-License-Identifier: GPL-2.0-or-later
"""One run from its first event to its stored report."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

from kvtools import process, runner, verdict
from kvtools.errors import Interrupted, MachineError
from kvtools.events import Emit, Event, Notice, RunEnded, RunStarted
from kvtools.model import Outcome, Status
from kvtools.report import Accel as AccelHead
from kvtools.report import (
    BaseHead,
    Host,
    Row,
    RunReport,
    SeriesHead,
    TriedBase,
    dumps,
    load,
)
from kvtools.request import RowResult, RunRequest, seconds_by_cell
from kvtools.store import Store

TOOLS = ("gcc", "ld")
"""The programs whose version decides what a kernel looks like."""

BASE_SUBJECT = "the base, without the series"


def new_id(store: Store) -> str:
    """A run id of our own: UTC time, with a suffix when two runs start in the same second."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    number, name = 1, stamp
    while not store.claim_run(name):
        number += 1
        name = f"{stamp}.{number}"
    return name


def read(store: Store, run_id: str) -> RunReport:
    """The report of a run; of one that did not end, what its journal has.

    Raises UserError when there is nothing to read.
    """
    if store.report_file(run_id).exists() or not store.head_file(run_id).exists():
        return load(store.report_file(run_id))
    head = load(store.head_file(run_id))
    found: dict[int, dict[str, Outcome]] = {}
    for number, outcome in store.journalled(run_id):
        found.setdefault(number, {})[outcome.cell] = outcome
    rows = tuple(replace(r, outcomes=tuple(found.get(r.number, {}).values())) for r in head.rows)
    state = "is still under way" if store.is_running(run_id) else "was stopped before its end"
    return replace(
        head,
        rows=rows,
        seconds=sum(o.seconds for row in rows for o in row.outcomes if not o.reused),
        status=_status_of((row.number, row.outcomes) for row in rows),
        notices=(*head.notices, f"this run {state}: what ended is shown"),
    )


class Session:
    """Runs a request, tells its events, and leaves ``report.json`` in the run's directory."""

    def __init__(
        self, store: Store, request: RunRequest, command: tuple[str, ...], emit: Emit,
        tried: tuple[TriedBase, ...] = (),
    ) -> None:
        self.store, self.request, self.command, self.tried = store, request, command, tried
        self._emit = emit
        self._notices: list[str] = []

    def _watch(self, event: Event) -> None:
        if isinstance(event, Notice):
            self._notices.append(event.text)
        self._emit(event)

    def run(self) -> RunReport:
        """Run to the end and return the report. Raises Interrupted, after storing what there is."""
        with self.store.running(self.request.run_id):
            return self._run()

    def _run(self) -> RunReport:
        started, clock, worked = datetime.now(UTC), time.monotonic(), process.worked()
        self._watch(self._started())
        self._put_head(started.isoformat(timespec="seconds"))
        executor = ThreadPoolExecutor(self.request.guests, thread_name_prefix="guest")
        try:
            rows = runner.run(self.request, self.store, executor, self._watch)
        except BaseException as error:
            process.stop_all()
            if isinstance(error, (KeyboardInterrupt, Interrupted)):
                raise Interrupted("interrupted; start again: what has ended is reused") from None
            raise
        finally:
            executor.shutdown(wait=True, cancel_futures=True)
        seconds = time.monotonic() - clock
        report = replace(
            self._report(rows, started.isoformat(timespec="seconds"), seconds),
            own_seconds=max(0.0, seconds - (process.worked() - worked)),
        )
        try:
            self.store.put_report(report.id, dumps(report, indent=None))
            self.store.remember_timings(seconds_by_cell(rows))
        except MachineError as error:  # what was found out must not be lost with it
            self._watch(Notice(f"the report was not stored: {error}", level="warning"))
        self._watch(RunEnded(report.id, report.status, report.seconds))
        return report

    def _put_head(self, started: str) -> None:
        """So that a run that is killed can be read; a full disk is told by what needs room."""
        rows = tuple(RowResult(number, None, ()) for number in self.request.plan.rows)
        with contextlib.suppress(MachineError):
            self.store.put_head(self.request.run_id, dumps(self._report(rows, started, 0.0)))

    def _started(self) -> RunStarted:
        request = self.request
        return RunStarted(
            run_id=request.run_id,
            title=request.series.title if request.series else "no series",
            base=f"{request.base.name} ({request.base.version})",
            accel=request.accel.name,
            rows=tuple((n, self._subject(n)) for n in request.plan.rows),
            cells=tuple(str(c) for c in request.plan.cells),
            left_out=frozenset(
                (row, str(cell))
                for row in request.plan.rows
                for cell in request.plan.cells
                if not request.plan.has(row, cell)
            ),
            since={cell: one.from_patch for cell, one in request.expectations.items()
                   if one.from_patch is not None},
        )

    def _subject(self, number: int) -> str:
        return self.request.patch(number).subject if number else BASE_SUBJECT

    def _report(
        self, rows: tuple[RowResult, ...], started: str, seconds: float
    ) -> RunReport:
        request = self.request
        return RunReport(
            id=request.run_id,
            started=started,
            seconds=seconds,
            status=_status_of((row.number, row.outcomes) for row in rows),
            accel=AccelHead(request.accel.name, request.accel.reason),
            host=_host(request),
            series=_series_head(request),
            base=BaseHead.of(request.base),
            rows=tuple(self._row(row) for row in rows),
            command=self.command,
            expectations=tuple(request.expectations.values()),
            notices=tuple(self._notices),
            tried=self.tried,
        )

    def _row(self, row: RowResult) -> Row:
        return Row(
            row.number,
            self._subject(row.number),
            row.tree.commit if row.tree else None,
            row.tree.tree if row.tree else None,
            row.outcomes,
        )


def _status_of(rows: Iterable[tuple[int, tuple[Outcome, ...]]]) -> Status:
    found = list(rows)
    base = [o for number, outcomes in found if number == 0 for o in outcomes]
    return verdict.overall(base, [o for number, outcomes in found if number for o in outcomes])


def _series_head(request: RunRequest) -> SeriesHead:
    if request.series:
        return SeriesHead.of(request.series)
    return SeriesHead(name="", title="no series", source="")


def _host(request: RunRequest) -> Host:
    return Host(
        cores=os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kvtools=version("kvtools"),
        tools={
            **{name: _number(request.toolchain.versions.get(name, "")) for name in TOOLS},
            **request.emulator,
        },
    )


def _number(version_line: str) -> str:
    """``12.2.0`` of "gcc (Debian 12.2.0-14+deb12u1) 12.2.0"."""
    found = re.findall(r"\d+(?:\.\d+)+", version_line)
    return found[-1] if found else version_line
