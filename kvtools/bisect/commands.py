# SPDX-License-Identifier: GPL-2.0-or-later
"""``cmd:``: a command of the user's, in the guest or on the host, as ``git bisect run`` has it.

Exit status 0 is good, 125 cannot be tested, 128 and above (on the host) is a fault of the
machine, everything else is bad.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from kvtools import process, scenarios
from kvtools.bisect.judge import COMMAND
from kvtools.errors import ToolTimeout
from kvtools.events import Tick
from kvtools.guest_session import GuestRequest, inputs_of, run_cell
from kvtools.model import Config, Outcome, Owner, Status, Step
from kvtools.scenarios import Guest, Scenario, Subtest
from kvtools.store import key

SKIP, FAULT = 125, 128
IN_GUEST, ON_HOST = 120.0, 3600.0
"""Deadlines in seconds: in the guest under KVM, boot included."""
MACHINE_OF = "vmem.resize"
"""The command gets this scenario's guest: it has a virtio-mem device."""
LOG = "command.log"


def scenario(command: str) -> Scenario:
    """One subtest: the command's exit status."""

    def check(guest: Guest) -> Iterator[Subtest]:
        result = guest.sh(command, IN_GUEST / 2)
        (guest.out / LOG).write_bytes(result.stdout + result.stderr)
        status = Status.PASS if result.ok else Status.FAIL
        if result.status == SKIP and not result.late:
            status = Status.SKIP
        message = result.complaint if status is not Status.PASS else "exit status 0"
        yield Subtest(COMMAND, status, message, {"status": result.status})

    return Scenario(name=COMMAND, version=1, needs=(), deadline=IN_GUEST, check=check,
                    machine=scenarios.get(MACHINE_OF).machine)


def outcome_key(command: str, request: GuestRequest, built: Outcome, config: Config,
                emulator: Mapping[str, str]) -> str:
    """The content key: the command is part of it."""
    return key(step="command", command=command, image=built.details["image_sha256"],
               modules=built.details.get("modules_sha256", ""), config=config.digest,
               emulator=dict(emulator), inputs=inputs_of(scenario(command), request))


def in_guest(command: str, request: GuestRequest, tick: Tick) -> Outcome:
    """See :func:`kvtools.guest_session.run_cell`."""
    return run_cell(scenario(command), request, tick)


def on_host(command: str, source: Path, env: Mapping[str, str], out: Path) -> Outcome:
    """Run in the worktree, which is at the commit."""
    try:
        done = process.run(["sh", "-c", command], deadline=ON_HOST, cwd=source, env=env,
                           log=out / LOG, check=False, merge=True)
    except ToolTimeout as error:
        return Outcome(Step.BUILD, COMMAND, Status.ERROR, ON_HOST, str(error),
                       owner=Owner.MACHINE, log=LOG)
    lines = tuple(done.text.splitlines()[-20:])
    statuses = {0: Status.PASS, SKIP: Status.SKIP}
    status = statuses.get(done.returncode, Status.FAIL)
    if done.returncode >= FAULT or done.returncode < 0:
        status = Status.ERROR
    said = f": {lines[-1]}" if lines and status is not Status.PASS else ""
    return Outcome(Step.BUILD, COMMAND, status, done.seconds,
                   f"exit status {done.returncode}{said}", log=LOG, evidence=lines,
                   owner=Owner.MACHINE if status is Status.ERROR else None)
