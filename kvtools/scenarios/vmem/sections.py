# SPDX-License-Identifier: GPL-2.0-or-later
"""``vmem.partial-section``: the pages of a memory block that are not plugged are PG_offline.

To the page, and where they are: QEMU's own list of plugged memory, which are the segments of a
dump of the device's region, is compared with /proc/kpageflags of each memory block. (Memory
blocks are whole sections; on x86-64 one of 128 MiB.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvtools import vmcore
from kvtools.model import Status
from kvtools.qmp import MemoryDevice
from kvtools.scenarios import memory
from kvtools.scenarios.base import Guest, Scenario, Subtest, subtest
from kvtools.scenarios.hog import Hog
from kvtools.scenarios.vmem import device
from kvtools.vmcore import ElfCore
from kvtools.vng import MIB

STRUCT_PAGE = 64  # bytes on x86-64
SIZES = (148, 92)  # MiB, rounded down to blocks: both leave a part of a memory block
PINNED = (256, 24 * 1024)  # MiB, and a page in every so many KiB: leaves holes when shrunk


@dataclass(frozen=True, slots=True)
class Compared:
    """Of the memory blocks of a region that are online: pages that are offline, pages that
    should be, and a difference in words ("" if there is none)."""

    blocks: int
    offline: int
    expected: int
    wrong: str


def _partial_section(guest: Guest) -> Iterator[Subtest]:
    if not memory.shows_offline(guest):
        yield Subtest("kpageflags", Status.SKIP, memory.NOT_SHOWN)
        return
    for at in device.devices(guest):
        for mebibytes in SIZES:
            size = mebibytes * MIB // at.block_size * at.block_size
            if not size:
                continue
            reached = device.resize(guest, at, size)
            if not reached.met:
                message = f"{reached.value // MIB} of {size // MIB} MiB plugged"
                yield subtest(f"{device.label(at)}.{size // MIB}M", False, message)
                continue
            yield _subtest(guest, at, f"{device.label(at)}.{size // MIB}M")
    yield from _holes(guest)


def _holes(guest: Guest) -> Iterator[Subtest]:
    """Pinned pages keep single chunks plugged, wherever they are."""
    at = device.devices(guest)[0]
    device.resize(guest, at, PINNED[0] * MIB)
    hog = Hog(guest, "pin", *PINNED)
    guest.qmp.set_requested_size(at.name, 0)
    left = device.settle(guest, at, 0)
    name = f"{device.label(at)}.holes"
    if left.size:
        yield _subtest(guest, at, name)
    else:
        yield subtest(name, False, "no chunk was kept for the pinned pages in it")
    hog.end()


def _subtest(guest: Guest, at: MemoryDevice, name: str) -> Subtest:
    settled = guest.poll(
        lambda: compare(guest, at), lambda found: not found.wrong, device.SETTLE_DEADLINE
    )
    found = settled.value
    plugged = guest.qmp.size(at.name)
    return subtest(
        name,
        not found.wrong,
        found.wrong
        or f"{found.offline} pages of {found.blocks} memory blocks are offline, as QEMU has it",
        plugged=plugged,
        offline_pages=found.offline,
        struct_pages_of_unplugged=found.offline * STRUCT_PAGE,
    )


def compare(guest: Guest, at: MemoryDevice) -> Compared:
    """What QEMU says is plugged against what the guest says is offline."""
    ranges = plugged_ranges(guest, at)
    view = memory.look(guest)
    blocks = view.online_in(at.address, at.address + at.region)
    pages = view.block_size // memory.PAGE
    flags = memory.page_flags(guest, view, blocks)
    offline = expected = 0
    wrong = ""
    for position, block in enumerate(blocks):
        want = offline_map(block * view.block_size, view.block_size, ranges)
        here = flags[position * pages : (position + 1) * pages]
        have = bytes((flag >> memory.OFFLINE_BIT) & 1 for flag in here)
        offline += sum(have)
        expected += sum(want)
        if have != want and not wrong:
            wrong = f"memory block {block}: {sum(have)} pages are offline, " + _where(have, want)
    covered = sum(end - start for start, end in ranges)
    online = len(blocks) * view.block_size
    if not wrong and online - expected * memory.PAGE != covered:
        wrong = f"{covered // MIB} MiB plugged, only {online // MIB} MiB in memory blocks"
    return Compared(len(blocks), offline, expected, wrong)


def _where(have: bytes, want: bytes) -> str:
    if sum(have) != sum(want):
        return f"{sum(want)} are not plugged"
    first = next(n for n, (a, b) in enumerate(zip(have, want, strict=True)) if a != b)
    return f"as many as are not plugged, but page {first} of it is none of them"


def offline_map(start: int, size: int, plugged: Sequence[tuple[int, int]]) -> bytes:
    """A byte for each page from ``start`` on, 1 if it is not plugged."""
    found = bytearray(b"\1" * (size // memory.PAGE))
    for first, end in plugged:
        low, high = max(first, start), min(end, start + size)
        if low < high:
            a, b = (low - start) // memory.PAGE, (high - start) // memory.PAGE
            found[a:b] = bytes(b - a)
    return bytes(found)


def plugged_ranges(guest: Guest, at: MemoryDevice) -> tuple[tuple[int, int], ...]:
    """Physical addresses, end exclusive. QEMU dumps the plugged part of the region only."""
    if not guest.qmp.size(at.name):
        return ()
    path = guest.out / "region.elf"
    try:
        guest.qmp.dump(path, only=(at.address, at.region))
        return segments(path)
    finally:
        path.unlink(missing_ok=True)


def segments(path: Path) -> tuple[tuple[int, int], ...]:
    """The physical ranges of an ELF core, neighbours joined. Raises Damaged."""
    with vmcore.open_dump(path) as dump:
        loads = sorted((s.start, s.end) for s in dump.segments) if isinstance(dump, ElfCore) else []
    found: list[tuple[int, int]] = []
    for start, end in loads:
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        elif end > start:
            found.append((start, end))
    return tuple(found)


def partial_section() -> Scenario:
    return device.scenario(
        "vmem.partial-section",
        _partial_section,
        "vmem-blocks",
        deadline=120.0,
        files=(memory.FLAGS_SOURCE,),
    )
