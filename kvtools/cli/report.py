# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools report``."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from kvtools import paths, session
from kvtools.cli.write import check_writable, wanted, write
from kvtools.console import show_report, terminal_columns, write_result
from kvtools.errors import UserError
from kvtools.report import RunReport, load, show
from kvtools.report.compare import compare, render_comparison
from kvtools.report.formats import writer
from kvtools.store import Store


def run(arguments: Namespace) -> int:
    """Always 0 when it printed what was asked for, whatever the run said."""
    store = Store(paths.home().state)
    if arguments.compare:
        if arguments.run_id or arguments.cell or wanted(arguments):
            raise UserError("--compare takes two runs and nothing else", fix="leave the rest out")
        return _compare(*(_load(store, name) for name in arguments.compare))
    report = _load(store, arguments.run_id or _newest(store))
    if arguments.log and not arguments.cell:
        raise UserError("--log prints the log of one cell", fix="name it with --cell")
    if arguments.cell:
        write_result(show(report, arguments.cell, whole=arguments.log))
        return 0
    files = wanted(arguments)
    for name, path in files.items():
        check_writable(path, f"--{name}")
    for name, path in files.items():
        write(path, writer(name)(report))
    if not files:
        show_report(report)
    return 0


def _compare(before: RunReport, after: RunReport) -> int:
    write_result(render_comparison(compare(before, after), terminal_columns(sys.stdout)))
    return 0


def _load(store: Store, name: str) -> RunReport:
    """A run of this machine, or of the JSON that kvtools wrote elsewhere."""
    if name in store.runs():
        return session.read(store, name)
    if name.endswith(".json"):
        return load(Path(name))
    raise UserError(f"there is no run {name}", fix="kvtools runs lists them")


def _newest(store: Store) -> str:
    for run_id in reversed(store.runs()):
        # kvtools shell builds through a run of its own, which nobody asks for here.
        if store.report_file(run_id).exists() and "shell" not in _command(store, run_id)[:2]:
            return run_id
    raise UserError("there is no finished run yet", fix="start one with kvtools test")


def _command(store: Store, run_id: str) -> tuple[str, ...]:
    return load(store.report_file(run_id)).command
