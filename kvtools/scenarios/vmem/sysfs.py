# SPDX-License-Identifier: GPL-2.0-or-later
"""``vmem.sysfs``: user space cannot online or offline behind the back of a driver that decides.

A kernel that has the promise shows it: memoryX/state_control says ``driver``
(Documentation/ABI/testing/sysfs-devices-memory of the series).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kvtools import ktap
from kvtools.model import Status
from kvtools.scenarios import memory
from kvtools.scenarios.base import GUEST, Guest, Scenario, Subtest, Unanswered, subtest
from kvtools.scenarios.vmem import device
from kvtools.vng import MIB

PROGRAM = f"python3 -S -E {shlex.quote(str(GUEST / 'blocks.py'))}"
SIZE = 388  # MiB, rounded down to blocks: with 4 MiB and 8 MiB ones a memory block in part
REFUSED = "EPERM"


@dataclass
class Told:
    """What one memory block said of itself, and what it answered to writes."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    writes: dict[str, str] = field(default_factory=dict)


def _sysfs(guest: Guest) -> Iterator[Subtest]:
    devices = device.devices(guest)
    empty = memory.look(guest)
    sizes = {}
    for at in devices:
        sizes[at] = SIZE * MIB // at.block_size * at.block_size
        device.resize(guest, at, sizes[at])
    view = memory.look(guest)
    first = view.online_in(devices[0].address, devices[0].address + devices[0].region)
    if not _has_control(guest, first):
        yield Subtest(
            "state_control",
            Status.SKIP,
            f"{_driver(guest)} leaves its memory blocks to user space: "
            "they have no file state_control",
        )
        return
    for at in devices:
        blocks = view.online_in(at.address, at.address + at.region)
        told = ask(guest, blocks)
        wrong = problems(told)
        if not blocks:
            wrong = "no memory block of it is online"
        yield subtest(
            device.label(at),
            not wrong,
            wrong or f"{len(blocks)} memory blocks: every write fails with {REFUSED}",
            blocks=len(blocks),
        )
    moved = [f"{at.name} {guest.qmp.size(at.name) // MIB} MiB" for at in devices
             if guest.qmp.size(at.name) != sizes[at]]
    wrong = ", ".join(moved) or device.agree(guest, empty, sizes)
    yield subtest("unchanged", not wrong, wrong or "plugged sizes and MemTotal are as before")


def _has_control(guest: Guest, blocks: Sequence[int]) -> bool:
    if not blocks:
        raise Unanswered("state_control", "no memory block of the device is online")
    return guest.sh(f"[ -e /sys/devices/system/memory/memory{blocks[0]}/state_control ]").ok


def _driver(guest: Guest) -> str:
    """The name of the driver, as sysfs has it."""
    script = 'for d in /sys/bus/virtio/drivers/*mem*; do echo "${d##*/}"; done'
    return f"the driver {guest.sh(script).text.strip() or 'of the device'}"


def ask(guest: Guest, blocks: Sequence[int]) -> dict[str, Told]:
    """Try everything on those blocks. Raises Unanswered when the guest does not tell."""
    answer = ktap.parse(guest.sh(" ".join([PROGRAM, *map(str, blocks)]), deadline=20.0).text)
    if answer.status is not Status.PASS or len(answer.subtests) != len(blocks):
        raise Unanswered("blocks", "the guest does not tell what its memory blocks say")
    found: dict[str, Told] = {}
    for line in (line for test in answer.subtests for line in test.diagnostics):
        word, block, *rest = line.split()
        told = found.setdefault(block, Told())
        if word == "write":
            told.writes["=".join(rest[:2])] = rest[2]
        elif word == "before":
            told.before = tuple(rest)
        else:
            told.after = tuple(rest)
    return found


def problems(told: dict[str, Told]) -> str:
    """The first thing that is not as promised, "" if all is."""
    for block, said in told.items():
        if said.before != ("driver", "0", "online"):
            names = "state_control, removable and state"
            return f"memory{block}: {names} say {', '.join(said.before)}"
        for what, error in said.writes.items():
            if error != REFUSED:
                took = "was taken" if error == "0" else f"fails with {error}"
                return f"memory{block}: writing {what} {took}, not {REFUSED}"
        if not said.writes or said.after != said.before:
            return f"memory{block}: it says {', '.join(said.after)} after the writes"
    return ""


def sysfs() -> Scenario:
    return device.scenario("vmem.sysfs", _sysfs, "vmem-blocks", deadline=90.0)
