# SPDX-License-Identifier: GPL-2.0-or-later
"""``vmem.granularity``, ``vmem.shrink-to-zero`` and ``vmem.two-devices``: sizes that are exact."""

from __future__ import annotations

from collections.abc import Iterator

from kvtools.qmp import MemoryDevice
from kvtools.scenarios import memory
from kvtools.scenarios.base import Guest, Scenario, Subtest, subtest
from kvtools.scenarios.hog import Hog
from kvtools.scenarios.memory import View
from kvtools.scenarios.vmem import device
from kvtools.vng import MIB

BLOCKS = (1, 2, 3, 7, 4, 5, 0)
FULL_DEADLINE = 20.0
USED = 128  # MiB that are in use before all is taken back
TWO = ((512, 0), (0, 512), (512, 384), (256, 512), (0, 0))


# vmem.granularity


def _granularity(guest: Guest) -> Iterator[Subtest]:
    """All devices at once, so that one look at the guest serves all of them."""
    devices = device.devices(guest)
    empty = memory.look(guest)
    pageblock = memory.pageblock(guest)
    missed: dict[MemoryDevice, list[str]] = {at: [] for at in devices}
    wrong: list[str] = []
    for count in BLOCKS:
        wanted = {at: granted(at, count, pageblock) for at in devices}
        for at in devices:
            guest.qmp.set_requested_size(at.name, count * at.block_size)
        for at, size in wanted.items():
            got = guest.poll(
                lambda at=at: guest.qmp.size(at.name),  # type: ignore[misc]
                size.__eq__,
                device.PLUG_DEADLINE,
            )
            if not got.met:
                missed[at].append(f"{got.value / at.block_size:g} plugged of {count} asked for")
        if any(missed.values()):
            break
        if said := device.agree(guest, empty, wanted):
            wrong.append(f"{count} blocks of each: {said}")
    asked = ", ".join(map(str, BLOCKS))
    for at, problems in missed.items():
        exact = f"{asked} blocks plugged, as asked for"
        yield subtest(
            device.label(at),
            not problems,
            "; ".join(problems) or exact,
            block_size=at.block_size,
            unit=max(at.block_size, pageblock),
        )
    yield subtest("guest", not wrong, "; ".join(wrong) or "MemTotal and memory blocks agree")


def granted(at: MemoryDevice, count: int, pageblock: int) -> int:
    """The bytes to be plugged when ``count`` blocks are asked for.

    All of them; but memory is put to use in whole pageblocks, so of smaller device blocks
    only as many as fill pageblocks, and never more than asked for.
    """
    unit = max(at.block_size, pageblock)
    return count * at.block_size // unit * unit


def granularity() -> Scenario:
    return device.scenario("vmem.granularity", _granularity, "vmem-sizes", deadline=90.0)


# vmem.shrink-to-zero


def _shrink_to_zero(guest: Guest) -> Iterator[Subtest]:
    empty = memory.look(guest)
    for at in device.devices(guest):
        label = device.label(at)
        zones = memory.zones(guest)
        grown = device.resize(guest, at, at.region, FULL_DEADLINE)
        yield subtest(
            f"{label}.grow",
            grown.met,
            f"{grown.value // MIB} of {at.region // MIB} MiB plugged after {grown.seconds:.2f} s",
            size=grown.value,
            seconds=round(grown.seconds, 3),
        )
        Hog(guest, "hold", USED).end()
        shrunk = device.resize(guest, at, 0, FULL_DEADLINE)
        yield subtest(
            f"{label}.shrink",
            shrunk.met,
            f"{shrunk.value // MIB} MiB left after {shrunk.seconds:.2f} s",
            size=shrunk.value,
            seconds=round(shrunk.seconds, 3),
        )
        yield _nothing_left(guest, at, empty, zones)


def _nothing_left(
    guest: Guest, at: MemoryDevice, empty: View, zones: memory.Zones
) -> Subtest:
    """No memory block, no System RAM, MemTotal and zones as they were."""
    wrong = device.agree(guest, empty, {at: 0})
    view = memory.look(guest)
    first, end = at.address // view.block_size, (at.address + at.region) // view.block_size
    blocks = [b for b in view.online | view.offline if first <= b < end]
    if not wrong and blocks:
        wrong = f"{len(blocks)} memory blocks with their struct pages are left"
    now = memory.zones(guest)
    if not wrong and now != zones:
        wrong = f"the zones' pages are {now}, they were {zones}"
    return subtest(
        f"{device.label(at)}.nothing-left",
        not wrong,
        wrong or "MemTotal, zones and memory blocks are as before",
        blocks=len(blocks),
    )


def shrink_to_zero() -> Scenario:
    return device.scenario("vmem.shrink-to-zero", _shrink_to_zero, "vmem-blocks", deadline=180.0)


# vmem.two-devices


def _two_devices(guest: Guest) -> Iterator[Subtest]:
    """Both are asked at once, and each gets what it was asked for."""
    devices = device.devices(guest)
    empty = memory.look(guest)
    for sizes in TWO:
        wanted = {at: size * MIB for at, size in zip(devices, sizes, strict=True)}
        for at, size in wanted.items():
            guest.qmp.set_requested_size(at.name, size)
        reached = {at: _size(guest, at, size) for at, size in wanted.items()}
        wrong = "; ".join(
            f"{at.name} is at {reached[at] // MIB} MiB, not {size // MIB}"
            for at, size in wanted.items()
            if reached[at] != size
        )
        wrong = wrong or device.agree(guest, empty, wanted)
        yield subtest(
            "-".join(f"{size}M" for size in sizes),
            not wrong,
            wrong or "both devices, MemTotal and the blocks of each region agree",
            **{at.name: reached[at] for at in devices},
        )


def _size(guest: Guest, at: MemoryDevice, wanted: int) -> int:
    return guest.poll(
        lambda: guest.qmp.size(at.name), wanted.__eq__, device.PLUG_DEADLINE
    ).value


def two_devices() -> Scenario:
    return device.scenario("vmem.two-devices", _two_devices, "vmem-two", deadline=90.0)
