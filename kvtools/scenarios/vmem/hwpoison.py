# SPDX-License-Identifier: GPL-2.0-or-later
"""``vmem.hwpoison``: a page with a hardware error in memory that comes and goes.

Pinned pages keep the memory blocks; the error is in a chunk that is taken back between them,
asked for again, and taken back again. The driver may give it back or keep it. What must not
happen is that the page gets into use again, or that the device is stuck for it. (With the
memory block goes its memmap, and with that the mark.)
"""

from __future__ import annotations

from collections.abc import Iterator

from kvtools.model import Status
from kvtools.qmp import MemoryDevice
from kvtools.scenarios import memory
from kvtools.scenarios.base import Guest, Scenario, Subtest, subtest
from kvtools.scenarios.hog import Hog
from kvtools.scenarios.vmem import device
from kvtools.scenarios.vmem.sections import PINNED
from kvtools.vng import MIB

HARD_OFFLINE = "/sys/devices/system/memory/hard_offline_page"
SIZE = 384 * MIB  # whole memory blocks
HELD = 128  # MiB in use once the device has grown again


def _hwpoison(guest: Guest) -> Iterator[Subtest]:
    if not memory.shows_offline(guest):
        yield Subtest("kpageflags", Status.SKIP, memory.NOT_SHOWN)
        return
    for at in device.devices(guest):
        yield from _with_error(guest, at)


def _with_error(guest: Guest, at: MemoryDevice) -> Iterator[Subtest]:
    label = device.label(at)
    device.resize(guest, at, SIZE)
    pins = Hog(guest, "pin", *PINNED, name="pins")
    _shrunk(guest, at)
    hole = _hole(guest, at)
    if hole is None:
        yield Subtest(f"{label}.error", Status.SKIP, "no block goes without its memory block")
    else:
        yield _reaches(guest, at, f"{label}.again")
        yield _error(guest, hole + memory.PAGE, f"{label}.error")
        yield _shrunk_with(guest, at, hole)
        yield _reaches(guest, at, f"{label}.grow")
        yield from _in_use(guest, label, hole + memory.PAGE)
    answer = pins.end()
    yield subtest(f"{label}.pins", answer.intact, answer.said or "pinned pages are intact")
    left = _shrunk(guest, at)
    yield subtest(
        f"{label}.empty",
        left.met and left.size <= at.block_size,
        f"{left.size // MIB} MiB left after {left.seconds:.1f} s, one block may be",
        left=left.size,
        seconds=round(left.seconds, 2),
    )


def _shrunk(guest: Guest, at: MemoryDevice) -> device.Settled:
    guest.qmp.set_requested_size(at.name, 0)
    return device.settle(guest, at, 0)


def _reaches(guest: Guest, at: MemoryDevice, name: str) -> Subtest:
    reached = device.resize(guest, at, SIZE)
    return subtest(
        name,
        reached.met,
        f"{reached.value // MIB} of {SIZE // MIB} MiB plugged after {reached.seconds:.1f} s",
        size=reached.value,
        seconds=round(reached.seconds, 2),
    )


def _hole(guest: Guest, at: MemoryDevice) -> int | None:
    """Address of a block that is offline in a memory block that is not."""
    view = memory.look(guest)
    pages = at.block_size // memory.PAGE
    for block in view.online_in(at.address, at.address + at.region):
        flags = memory.page_flags(guest, view, [block])
        units = [flags[first : first + pages] for first in range(0, len(flags), pages)]
        gone = [all(flag & memory.KPF_OFFLINE for flag in unit) for unit in units]
        if any(gone) and not all(gone):
            return block * view.block_size + gone.index(True) * at.block_size
    return None


def _error(guest: Guest, address: int, name: str) -> Subtest:
    """QEMU's size may be ahead of the guest, which has to have put the page to use."""
    guest.poll(
        lambda: memory.flags_at(guest, address) & memory.KPF_OFFLINE,
        lambda offline: not offline,
        device.SETTLE_DEADLINE,
    )
    said = guest.sh(f"echo {address:#x} >{HARD_OFFLINE}")
    marked = memory.flags_at(guest, address) & memory.KPF_HWPOISON
    wrong = "" if said.ok and marked else said.complaint or "the page is not marked"
    return subtest(name, not wrong, wrong or f"at {address:#x}")


def _shrunk_with(guest: Guest, at: MemoryDevice, hole: int) -> Subtest:
    left = _shrunk(guest, at)
    taken = bool(memory.flags_at(guest, hole) & memory.KPF_OFFLINE)
    return subtest(
        f"{device.label(at)}.shrink",
        left.met,
        f"{left.size // MIB} MiB left after {left.seconds:.1f} s, the block with the error "
        + ("not" if taken else "too"),
        left=left.size,
        taken=taken,
    )


def _in_use(guest: Guest, label: str, address: int) -> Iterator[Subtest]:
    """Memory that is filled now has no page with an error in it."""
    hog = Hog(guest, "hold", HELD)
    marked = bool(memory.flags_at(guest, address) & memory.KPF_HWPOISON)
    answer = hog.end()
    yield subtest(f"{label}.data", answer.intact, answer.said or f"{HELD} MiB are intact")
    yield subtest(
        f"{label}.marked",
        marked,
        f"the page at {address:#x} is {'still marked' if marked else 'not marked any more'}",
    )


def hwpoison() -> Scenario:
    return device.scenario(
        "vmem.hwpoison",
        _hwpoison,
        "vmem-blocks",
        deadline=240.0,
        files=(memory.FLAGS_SOURCE,),
        needs=("MEMORY_FAILURE",),
    )
