# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools test``."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace

from kvtools.cli.prepare import prepare
from kvtools.cli.write import check_writable, wanted, write
from kvtools.console import Console, show_report
from kvtools.errors import Interrupted, KvtoolsError
from kvtools.model import Status, Step
from kvtools.report import RunReport
from kvtools.report.formats import writer
from kvtools.session import Session

STOP = 128
"""``git bisect run`` stops here; 3 and 2 it would take for bad."""

EXIT = {Status.PASS: 0, Status.WARN: 0, Status.FAIL: 1, Status.SKIP: 3, Status.ERROR: 3}


def run(arguments: Namespace) -> int:
    """Raises KvtoolsError for bad input and for a machine that cannot run anything.

    With ``--bisect-exit`` that is a line on stderr and 128.
    """
    if not arguments.bisect_exit:
        return EXIT[_run(arguments).status]
    try:
        return bisect_exit(_run(arguments))
    except Interrupted:
        raise
    except KvtoolsError as error:
        print(f"kvtools: {error}", file=sys.stderr)
        return STOP


def bisect_exit(report: RunReport) -> int:
    """For ``git bisect run``: 0 good, 1 bad, 125 cannot be tested, 128 stop.

    A kernel that does not build, or not boot where more than the boot was asked for, cannot
    be tested; asked for alone (``--only build``) it is bad.
    """
    row = report.rows[-1]  # of a series the last patch, else the base: the commit in question
    last = {(o.step, o.status) for o in row.outcomes}
    if report.status is Status.ERROR or any(status is Status.ERROR for _, status in last):
        return STOP
    asked = {o.step for o in row.outcomes}
    for step, more in ((Step.APPLY, asked), (Step.BUILD, asked - {Step.APPLY, Step.BUILD}),
                       (Step.BOOT, asked & {Step.SELFTEST, Step.DUMP})):
        if (step, Status.FAIL) in last and more:
            return 125
    if any(status is Status.FAIL for _, status in last):
        return 1
    deepest = max((o.step for o in row.outcomes), key=list(Step).index, default=None)
    good = any((deepest, status) in last for status in (Status.PASS, Status.WARN))
    return 0 if good else 125  # what was asked for could not run


def _run(arguments: Namespace) -> RunReport:
    for name, path in wanted(arguments).items():
        check_writable(path, f"--{name}")
    with Console(quiet=arguments.quiet) as console:
        prepared = prepare(arguments, console.emit)
        session = Session(prepared.store, prepared.request, prepared.command, console.emit)
        report = session.run()
    with contextlib.suppress(BrokenPipeError):  # a reader that left does not change the verdict
        show(arguments, report)
    return report


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
