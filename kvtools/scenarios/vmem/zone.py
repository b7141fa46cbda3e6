# SPDX-License-Identifier: GPL-2.0-or-later
"""``vmem.zone``: how much comes back of memory in ZONE_NORMAL and in ZONE_MOVABLE.

Under the same load: some kernel memory that cannot be moved, some of a process that can. What
ZONE_NORMAL gives back is a figure and no promise; ZONE_MOVABLE has to give back all of it, as
there is room for the load in boot memory.
"""

from __future__ import annotations

from collections.abc import Iterator

from kvtools.qmp import MemoryDevice
from kvtools.scenarios import memory
from kvtools.scenarios.base import Guest, Scenario, Subtest, subtest
from kvtools.scenarios.hog import Hog
from kvtools.scenarios.vmem import device
from kvtools.vng import MIB

POLICY = "/sys/devices/system/memory/auto_online_blocks"
ZONES = (("movable", "online_movable", "Movable"), ("normal", "online_kernel", "Normal"))
GROWN = 384 * MIB
UNMOVABLE, MOVABLE = 64, 64  # MiB
SHRINK_DEADLINE = 10.0
ONLINE_DEADLINE = 10.0


def _zone(guest: Guest) -> Iterator[Subtest]:
    for word, policy, zone in ZONES:
        guest.sh(f"echo {policy} >{POLICY}")
        for at in device.devices(guest):
            yield from _one(guest, at, f"{device.label(at)}.{word}", zone)


def _one(guest: Guest, at: MemoryDevice, name: str, zone: str) -> Iterator[Subtest]:
    start = guest.qmp.size(at.name)  # what ZONE_NORMAL did not give back before
    before = _managed(guest, zone)
    device.resize(guest, at, start + GROWN)
    # What is plugged has still to be onlined, and a kernel with KASAN is slow at that.
    grown = guest.poll(lambda: _managed(guest, zone) - before, GROWN.__eq__, ONLINE_DEADLINE)
    yield subtest(
        f"{name}.zone",
        grown.met,
        f"{grown.value // MIB} of {GROWN // MIB} MiB came to the zone {zone}",
        grown=grown.value,
    )
    hog = Hog(guest, "mix", UNMOVABLE, MOVABLE)
    guest.qmp.set_requested_size(at.name, start)
    left = device.settle(guest, at, start, SHRINK_DEADLINE)
    back = (start + GROWN - left.size) / GROWN
    answer = hog.end()
    yield subtest(
        f"{name}.given-back",
        left.met and answer.intact and (zone != "Movable" or back == 1),
        f"{back:.1%} of {GROWN // MIB} MiB given back after {left.seconds:.1f} s"
        + ("" if answer.intact else f"; {answer.said}"),
        share=round(back, 4),
        left=left.size - start,
        seconds=round(left.seconds, 2),
    )
    guest.qmp.set_requested_size(at.name, start + at.block_size)  # so that it is asked anew
    device.resize(guest, at, start, SHRINK_DEADLINE if zone == "Movable" else 1.0)


def _managed(guest: Guest, zone: str) -> int:
    """Bytes that zones of that name manage."""
    found = memory.zones(guest)
    pages = sum(count for name, count in found.items() if name.endswith("." + zone))
    return pages * memory.PAGE


def zone() -> Scenario:
    return device.scenario("vmem.zone", _zone, "vmem-blocks", deadline=240.0)
