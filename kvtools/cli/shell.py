# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools shell``."""

from __future__ import annotations

import sys
from argparse import Namespace

from kvtools import guest_session, scenarios
from kvtools.cli.prepare import accelerator, prepare
from kvtools.console import Console
from kvtools.errors import MachineError, UserError
from kvtools.model import Outcome, Status, Step
from kvtools.session import Session

MACHINE_OF = "vmem.resize"
"""The scenario whose machine is booted: it has a virtio-mem device to play with."""


def run(arguments: Namespace) -> int:
    """The exit status of the guest's QEMU. Raises UserError when the patch does not build."""
    number = arguments.patch
    arguments.patches = "tip" if number is None else "base" if number == 0 else str(number)
    arguments.config = [arguments.config] if arguments.config else []
    arguments.only, arguments.no_reuse = ["build"], False
    accel = accelerator(arguments.accel)
    with Console(quiet=arguments.quiet) as console:
        prepared = prepare(arguments, console.emit)
        session = Session(prepared.store, prepared.request, prepared.command, console.emit)
        report = session.run()
    built = _built(report.rows[-1].outcomes)
    if built.status not in (Status.PASS, Status.WARN):
        kind = MachineError if built.status is Status.ERROR else UserError
        raise kind(
            f"patch {report.rows[-1].label} cannot be booted: {built.summary}",
            fix=f"see kvtools report {report.id}",
        )
    if built.directory is None:
        raise MachineError("the image of that build is gone", fix="run with kvtools test first")
    machine = scenarios.get(MACHINE_OF).machine
    return guest_session.shell(built.directory, accel.name, machine, _say)


def _built(outcomes: tuple[Outcome, ...]) -> Outcome:
    builds = [o for o in outcomes if o.step is Step.BUILD]
    return builds[0] if builds else outcomes[-1]


def _say(line: str) -> None:
    print(line, file=sys.stderr)
