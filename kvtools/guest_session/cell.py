# SPDX-License-Identifier: GPL-2.0-or-later
"""From a scenario and a built kernel to the outcome of one cell of the matrix."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kvtools import dmesg
from kvtools.errors import GuestLost, MachineError, ToolFailed
from kvtools.events import Tick
from kvtools.guest_session.faults import KernelFault, OutOfTime, unasked
from kvtools.guest_session.guest import DUMPS, IMAGE, Guest, Source
from kvtools.guest_session.reproducer import reproducer
from kvtools.guest_session.request import GuestRequest
from kvtools.model import Json, Outcome, Owner, Status, Step
from kvtools.vmcore import Damaged
from kvtools.vng import Machine

DROPPED = "dumps_not_kept"
"""Key in ``Outcome.details``: the dump files that were removed, with their sizes in bytes."""

BULK = (".kdump", ".elf", ".flat")  # the dumps; what was said of them is evidence and stays
EVIDENCE_LINES = 40
TAIL_LINES = 12


class Subtest(Protocol):
    """One thing a scenario checked; ``figures`` are the numbers it compared.

    One that is ``aside`` can make the cell FAIL and is not enough for its PASS.
    """

    @property
    def name(self) -> str: ...
    @property
    def status(self) -> Status: ...
    @property
    def message(self) -> str: ...
    @property
    def figures(self) -> Mapping[str, Json]: ...
    @property
    def aside(self) -> bool: ...


class Scenario(Protocol):
    """What is done to a guest. ``deadline`` is in seconds under KVM, boot included."""

    @property
    def name(self) -> str: ...
    @property
    def machine(self) -> Machine: ...
    @property
    def deadline(self) -> float: ...
    def run(self, guest: Guest, /) -> Iterable[Subtest]: ...


@dataclass
class _Findings:
    """What has been found so far; filled while the scenario runs."""

    subtests: list[Subtest] = field(default_factory=list)
    fault: KernelFault | None = None
    machine: MachineError | None = None
    boot_seconds: float = 0.0
    release: str = ""
    crashed: bool = False
    reproduce: tuple[str, ...] = ()


def run_cell(scenario: Scenario, request: GuestRequest, tick: Tick) -> Outcome:
    """Boot the kernel, run the scenario, look at the console, judge.

    A kernel that stops or complains is a FAIL, a QEMU that dies an ERROR. Leaves
    ``console.log``, ``qemu.log`` and ``ktap.log`` in ``request.out``. Raises MachineError
    for what is neither: a program missing, a full disk, Ctrl-C.
    """
    start = time.monotonic()
    found = _Findings()
    _drive(scenario, request, tick, found)
    (request.out / "ktap.log").write_text(ktap(found.subtests), "utf-8")
    console_log = request.out / "console.log"
    console = console_log.read_text("utf-8", "replace") if console_log.exists() else ""
    splats: Sequence[dmesg.Splat] = dmesg.parse(console)
    if found.crashed:
        splats = unasked(splats)
    status, owner, summary = _judge(found, splats)
    good = status in (Status.PASS, Status.SKIP)
    dropped = _tidy(request.out / DUMPS, everything=good and not request.keep)
    return Outcome(
        step=request.step,
        name=scenario.name,
        status=status,
        seconds=time.monotonic() - start,
        summary=summary,
        owner=owner,
        log="qemu.log" if status is Status.ERROR and not console else "console.log",
        evidence=_evidence(found, splats, console),
        reproduce=found.reproduce,
        fingerprints=_fingerprints(found, splats),
        details={
            "accel": request.accel,
            "boot_seconds": round(found.boot_seconds, 2),
            "release": found.release,
            "subtests": [_plain(subtest) for subtest in found.subtests],
            "splats": [
                {"kind": str(s.kind), "title": s.title, "line": s.line, "count": s.count}
                for s in splats
            ],
            **({DROPPED: dropped} if dropped else {}),
        },
    )


def _tidy(folder: Path, *, everything: bool) -> dict[str, int]:
    """Remove the kernel image from the share and, with ``everything``, the dump files."""
    (folder / IMAGE).unlink(missing_ok=True)
    dropped = {}
    for path in sorted(folder.iterdir()) if everything and folder.is_dir() else ():
        if path.suffix in BULK:
            dropped[path.name] = path.stat().st_size
            path.unlink()
    return dropped


def skipped(step: Step, scenario: str, reason: str) -> Outcome:
    """The outcome of a scenario that this kernel cannot run."""
    return Outcome(step, scenario, Status.SKIP, 0.0, reason)


def _drive(scenario: Scenario, request: GuestRequest, tick: Tick, found: _Findings) -> None:
    deadline = request.deadline or scenario.deadline
    source = Source(request.repo, request.commit)
    machine = scenario.machine.with_more(request.extra_memory)
    guest = Guest(
        machine, request.image, request.accel, request.out, source, deadline=deadline,
        slowdown=request.slowdown,
    )  # fmt: skip
    tick(0, 0, "booting")
    try:
        with guest:
            found.boot_seconds = guest.boot_seconds
            found.release = guest.hello.release if guest.hello else ""
            for subtest in scenario.run(guest):
                found.subtests.append(subtest)
                tick(len(found.subtests), 0, subtest.name)
            guest.watch()
    except KernelFault as fault:
        found.fault = fault
    except (GuestLost, OutOfTime, ToolFailed, Damaged) as error:
        found.machine = error
    found.crashed = guest.crashed
    found.reproduce = reproducer(guest)


def _judge(
    found: _Findings, splats: Sequence[dmesg.Splat]
) -> tuple[Status, Owner | None, str]:
    faulty = _faulty(splats)
    failed = [s for s in found.subtests if s.status is Status.FAIL]
    if found.machine is not None and not (failed or faulty):
        return Status.ERROR, Owner.MACHINE, str(found.machine)
    if found.fault is not None:
        return Status.FAIL, Owner.KERNEL, found.fault.message
    if faulty:
        more = f" (and {len(faulty) - 1} more)" if len(faulty) > 1 else ""
        return Status.FAIL, Owner.KERNEL, f"{faulty[0].title}{more} on the console"
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        return Status.FAIL, Owner.KERNEL, f"{failed[0].name}: {failed[0].message}{more}"
    tested = [s for s in found.subtests if not s.aside]
    if not tested:
        return Status.FAIL, Owner.KERNEL, "the scenario ended without having checked anything"
    if all(s.status is Status.SKIP for s in tested):
        return Status.SKIP, None, tested[0].message
    return Status.PASS, None, _passed(found.subtests)


def _passed(subtests: Sequence[Subtest]) -> str:
    left_out = [s for s in subtests if s.status is Status.SKIP]
    text = f"{len(subtests) - len(left_out)} of {len(subtests)} subtests passed"
    if not left_out:
        return text
    more = f" (and {len(left_out) - 1} more)" if len(left_out) > 1 else ""
    first = left_out[0]
    return f"{text}, {len(left_out)} skipped: {first.name}: {first.message}{more}"


def _faulty(splats: Sequence[dmesg.Splat]) -> list[dmesg.Splat]:
    """Fatal ones first. A failed allocation alone is no defect: memory ran short."""
    bad = [s for s in splats if s.severity is not dmesg.Severity.ALLOCATION]
    return sorted(bad, key=lambda splat: not splat.fatal)


def _fingerprints(found: _Findings, splats: Sequence[dmesg.Splat]) -> tuple[str, ...]:
    marks = [splat.fingerprint for splat in _faulty(splats)]
    marks += [f"subtest:{s.name}" for s in found.subtests if s.status is Status.FAIL]
    if found.fault is not None and found.fault.kind != "splat":
        marks.append(f"guest:{found.fault.kind}")
    return tuple(dict.fromkeys(marks))


def _evidence(
    found: _Findings, splats: Sequence[dmesg.Splat], console: str
) -> tuple[str, ...]:
    lines = [
        f"{s.name}: {s.message}" for s in found.subtests if s.status is Status.FAIL
    ]
    faulty = _faulty(splats)
    if faulty:
        lines += faulty[0].excerpt
    elif found.fault is not None or found.machine is not None:
        lines += console.splitlines()[-TAIL_LINES:]
    return tuple(lines[:EVIDENCE_LINES])


def _plain(subtest: Subtest) -> dict[str, Json]:
    return {
        "name": subtest.name,
        "status": str(subtest.status),
        "message": subtest.message,
        "figures": dict(subtest.figures),
    }


def ktap(subtests: Sequence[Subtest]) -> str:
    """The subtests as KTAP version 1."""
    lines = ["KTAP version 1", f"1..{len(subtests)}"]
    for number, subtest in enumerate(subtests, 1):
        lines += [f"# {name}: {value}" for name, value in subtest.figures.items()]
        if subtest.status is Status.SKIP:
            lines.append(f"ok {number} {subtest.name} # SKIP {subtest.message}")
            continue
        lines += [f"# {subtest.message}"] if subtest.message else []
        word = "not ok" if subtest.status is Status.FAIL else "ok"
        lines.append(f"{word} {number} {subtest.name}")
    return "\n".join(lines) + "\n"
