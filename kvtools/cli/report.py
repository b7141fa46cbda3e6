# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools report``."""

from __future__ import annotations

from argparse import Namespace

from kvtools import paths, session
from kvtools.cli.write import check_writable, write
from kvtools.console import show_report, write_result
from kvtools.errors import UserError
from kvtools.report import dumps, load, show, to_junit
from kvtools.store import Store


def run(arguments: Namespace) -> int:
    """Always 0 when it printed what was asked for, whatever the run said."""
    store = Store(paths.home().state)
    run_id = arguments.run_id or _newest(store)
    if run_id not in store.runs():
        raise UserError(f"there is no run {run_id}", fix="kvtools runs lists them")
    report = session.read(store, run_id)
    if arguments.log and not arguments.cell:
        raise UserError("--log prints the log of one cell", fix="name it with --cell")
    if arguments.cell:
        write_result(show(report, arguments.cell, whole=arguments.log))
        return 0
    files = ((arguments.json, dumps), (arguments.junit, to_junit))
    for path, text in files:
        if path:
            check_writable(path, "the report")
            write(path, text(report))
    if not any(path for path, _ in files):
        show_report(report)
    return 0


def _newest(store: Store) -> str:
    for run_id in reversed(store.runs()):
        # kvtools shell builds through a run of its own, which nobody asks for here.
        if store.report_file(run_id).exists() and "shell" not in _command(store, run_id)[:2]:
            return run_id
    raise UserError("there is no finished run yet", fix="start one with kvtools test")


def _command(store: Store, run_id: str) -> tuple[str, ...]:
    return load(store.report_file(run_id)).command
