# SPDX-License-Identifier: GPL-2.0-or-later
"""``vmem.flap``: hundreds of random resizes; the last request holds, and every counter is exact."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from kvtools.qmp import MemoryDevice
from kvtools.scenarios import memory
from kvtools.scenarios.base import Guest, Scenario, Subtest, subtest
from kvtools.scenarios.memory import View
from kvtools.scenarios.vmem import device
from kvtools.vng import MIB

SEED = 20180523  # the date of the thread
RESIZES = 240
WAITED = 0.25  # the share of requests that are waited for; the others come while it works
MOST = 640 * MIB
LAST = (300 * MIB, 152 * MIB, 384 * MIB)
KINDS = ("present", "managed")


@dataclass
class _Ran:
    """``late``: requests that were waited for in vain."""

    resizes: int = 0
    waited: int = 0
    late: list[str] = field(default_factory=list)
    slowest: float = 0.0


def _flap(guest: Guest) -> Iterator[Subtest]:
    devices = device.devices(guest)
    empty = memory.look(guest)
    before = {kind: memory.zones(guest, kind) for kind in KINDS}
    ran = _resizes(guest, devices)
    yield subtest(
        "random",
        not ran.late,
        "; ".join(ran.late[:3])
        or f"{ran.resizes} requests, {ran.waited} of them waited for, at most "
        f"{ran.slowest:.2f} s",
        seed=SEED,
        resizes=ran.resizes,
        waited=ran.waited,
        slowest=round(ran.slowest, 3),
    )
    sizes = {}
    for at, size in zip(devices, LAST, strict=True):
        guest.qmp.set_requested_size(at.name, size)
        sizes[at] = size
    for at, size in sizes.items():
        reached = guest.poll(
            lambda at=at: guest.qmp.size(at.name),  # type: ignore[misc]
            size.__eq__,
            device.PLUG_DEADLINE,
        )
        yield subtest(
            f"{device.label(at)}.last-request",
            reached.met,
            f"{reached.value // MIB} of {size // MIB} MiB plugged",
            size=reached.value,
        )
    yield _counters(guest, empty, before, sizes)


def _resizes(guest: Guest, devices: tuple[MemoryDevice, ...]) -> _Ran:
    numbers = random.Random(SEED)
    ran = _Ran()
    for _ in range(RESIZES):
        at = numbers.choice(devices)
        size = numbers.randrange(MOST // at.block_size + 1) * at.block_size
        ran.resizes += 1
        if numbers.random() >= WAITED:
            guest.qmp.set_requested_size(at.name, size)
            continue
        ran.waited += 1
        reached = device.resize(guest, at, size)
        ran.slowest = max(ran.slowest, reached.seconds)
        if not reached.met:
            ran.late.append(
                f"request {ran.resizes}: {reached.value // MIB} of {size // MIB} MiB on {at.name}"
            )
            break
    return ran


def _counters(
    guest: Guest,
    empty: View,
    before: dict[str, memory.Zones],
    sizes: dict[MemoryDevice, int],
) -> Subtest:
    """MemTotal, memory blocks and the zones' page counts against what QEMU has plugged."""
    wrong = device.agree(guest, empty, sizes)
    total = sum(sizes.values())
    grown = {
        kind: (sum(memory.zones(guest, kind).values()) - sum(before[kind].values())) * memory.PAGE
        for kind in KINDS
    }
    spanned, present = memory.zones(guest, "spanned"), memory.zones(guest, "present")
    if not wrong and grown["managed"] != total:
        wrong = f"the zones manage {grown['managed'] // 1024} kB more, {total // 1024} are plugged"
    # A driver may count chunks as present, or whole memory blocks.
    if not wrong and not grown["managed"] <= grown["present"]:
        wrong = f"only {grown['present'] // 1024} kB more are present than when it was empty"
    over = [zone for zone in present if present[zone] > spanned.get(zone, 0)]
    if not wrong and over:
        wrong = f"zone {over[0]} has {present[over[0]]} pages in a span of {spanned.get(over[0])}"
    return subtest(
        "counters",
        not wrong,
        wrong or "MemTotal, memory blocks, managed, present and spanned pages agree",
        **grown,
    )


def flap() -> Scenario:
    return device.scenario("vmem.flap", _flap, "vmem-blocks", deadline=120.0)
