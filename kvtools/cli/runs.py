# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools runs``."""

from __future__ import annotations

from argparse import Namespace

from kvtools import paths
from kvtools.console import write_result
from kvtools.errors import UserError
from kvtools.report import load, printable
from kvtools.store import Store


def run(arguments: Namespace) -> int:
    store = Store(paths.home().state)
    # A bisection, and a series that was only applied, leave no report and are no runs.
    runs = [name for name in store.runs()
            if store.report_file(name).exists() or store.head_file(name).exists()]
    lines = [_line(store, run_id) for run_id in runs[-arguments.n if arguments.n else 0 :]]
    write_result("".join(line + "\n" for line in lines))
    return 0


def _line(store: Store, run_id: str) -> str:
    if not store.report_file(run_id).exists():
        state = "under way" if store.is_running(run_id) else "stopped before its end"
        return f"{run_id:18} {state}"
    try:
        report = load(store.report_file(run_id))
    except UserError as error:
        return f"{run_id:18} {printable(error.message)}"
    return (
        f"{run_id:18} {report.status:6} {report.seconds:6.0f} s {len(report.patches):3} patches  "
        f"{printable(report.base.name):18} {printable(report.series.title)}"
    )
