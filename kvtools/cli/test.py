# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools test``."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace

from kvtools.cli.prepare import prepare
from kvtools.cli.write import check_writable, wanted, write
from kvtools.console import Console, show_report
from kvtools.errors import KvtoolsError
from kvtools.model import Status
from kvtools.report import RunReport
from kvtools.report.formats import writer
from kvtools.session import Session

EXIT = {Status.PASS: 0, Status.WARN: 0, Status.FAIL: 1, Status.SKIP: 3, Status.ERROR: 3}


def run(arguments: Namespace) -> int:
    """Raises KvtoolsError for bad input and for a machine that cannot run anything."""
    for name, path in wanted(arguments).items():
        check_writable(path, f"--{name}")
    with Console(quiet=arguments.quiet) as console:
        prepared = prepare(arguments, console.emit)
        session = Session(prepared.store, prepared.request, prepared.command, console.emit)
        report = session.run()
    with contextlib.suppress(BrokenPipeError):  # a reader that left does not change the verdict
        show(arguments, report)
    return EXIT[report.status]


def show(arguments: Namespace, report: RunReport) -> None:
    """The matrix to stdout (not when a file goes there), the files where they were asked for."""
    failed: KvtoolsError | None = None
    files = wanted(arguments)
    for name, path in files.items():
        try:
            write(path, writer(name)(report))
        except KvtoolsError as error:  # the matrix must not be lost to a full disk
            failed = error
    if "-" not in files.values():
        show_report(report)
    if failed:
        print(f"kvtools: the run is kept, see kvtools report {report.id}", file=sys.stderr)
        raise failed
