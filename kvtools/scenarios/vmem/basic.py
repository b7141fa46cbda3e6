# SPDX-License-Identifier: GPL-2.0-or-later
"""``vmem.probe`` and ``vmem.resize``: the virtio-mem driver, driven over QMP.

The guest only answers; every size it gives is compared with what QEMU says itself.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from kvtools import ktap
from kvtools.model import Status
from kvtools.qmp import MemoryDevice
from kvtools.scenarios import memory
from kvtools.scenarios.base import GUEST, Guest, Scenario, Subtest, subtest
from kvtools.scenarios.memory import View
from kvtools.scenarios.vmem import device
from kvtools.vng import MIB

DEVICE_ID = "0x0018"  # VIRTIO_ID_MEM, 24
TARGETS = tuple(MIB * mib for mib in (300, 1024, 2048, 640, 4, 128, 0))


def _probe(guest: Guest) -> Iterator[Subtest]:
    name = guest.machine.virtio_mem[0].name
    yield _driver(guest)
    at = guest.qmp.memory_device(name)
    view = memory.look(guest)
    start, end = at.address, at.address + at.region
    owners = [r.name for r in view.resources if (r.start, r.end) == (start, end)]
    yield subtest(
        "region",
        bool(owners),
        f"/proc/iomem has {owners[0]!r} over the device's region"
        if owners
        else f"/proc/iomem has no entry over the device's region {start:#x}-{end - 1:#x}",
        region=f"{start:#x}-{end - 1:#x}",
    )
    yield _requested_at_boot(guest, at)


def _driver(guest: Guest) -> Subtest:
    script = f"sh {shlex.quote(str(GUEST / 'virtio.sh'))} {DEVICE_ID}"
    answer = ktap.parse(guest.sh(script).text)
    lines = [line for test in answer.subtests for line in test.diagnostics]
    devices = [line.split()[1:] for line in lines if line.startswith("device ")]
    bound = [words for words in devices if len(words) == 2]
    wanted = len(guest.machine.virtio_mem)
    return subtest(
        "driver",
        answer.status is Status.PASS and len(bound) == wanted,
        f"{len(bound)} of {wanted} devices have a driver"
        + "".join(f", {device} {driver}" for device, driver in bound),
    )


def _requested_at_boot(guest: Guest, at: MemoryDevice) -> Subtest:
    wanted = at.requested
    plugged = guest.poll(lambda: guest.qmp.size(at.name), wanted.__eq__, device.PLUG_DEADLINE)
    settled = guest.poll(
        lambda: memory.look(guest),
        lambda view: device.ram(view, at) >= wanted,
        device.SETTLE_DEADLINE,
    )
    return subtest(
        "requested-at-boot",
        plugged.met and settled.met,
        f"{wanted // MIB} MiB requested before boot: QEMU says {plugged.value // MIB}, the "
        f"guest's blocks in the region make {device.ram(settled.value, at) // MIB}",
        requested=wanted,
        size=plugged.value,
        blocks=device.ram(settled.value, at),
    )


def _resize(guest: Guest) -> Iterator[Subtest]:
    at = guest.qmp.memory_device(guest.machine.virtio_mem[0].name)
    empty = memory.look(guest)
    offline_shown = memory.shows_offline(guest)
    size = 0
    for target in TARGETS:
        step = _resize_to(guest, at, empty, target, f"{size // MIB}M-to-{target // MIB}M")
        yield step
        if step.figures["size"] != target:
            return  # the next sizes start from this one
        size = target
        if target % (empty.block_size or at.block_size):
            yield _offline_pages(guest, at, target, offline_shown)


def _resize_to(
    guest: Guest, at: MemoryDevice, empty: View, target: int, name: str
) -> Subtest:
    guest.qmp.set_requested_size(at.name, target)
    plugged = guest.poll(lambda: guest.qmp.size(at.name), target.__eq__, device.PLUG_DEADLINE)
    settled = guest.poll(
        lambda: memory.look(guest),
        lambda view: not device.disagreement(view, empty, {at: target}),
        device.SETTLE_DEADLINE if plugged.met else 0.0,
    )
    view = settled.value
    wrong = device.disagreement(view, empty, {at: target})
    if not plugged.met:
        wrong = f"QEMU's size stayed at {plugged.value // MIB} MiB; {wrong}"
    return subtest(
        name,
        plugged.met and settled.met,
        wrong or f"plugged size, MemTotal and blocks agree after {plugged.seconds:.2f} s",
        requested=target,
        size=plugged.value,
        memtotal_delta=view.total - empty.total,
        blocks=device.ram(view, at),
        seconds=round(plugged.seconds, 3),
    )


def _offline_pages(
    guest: Guest, at: MemoryDevice, target: int, shown: bool
) -> Subtest:
    """The unplugged rest of online blocks must be PG_offline, page by page."""
    name = f"offline-pages-{target // MIB}M"
    if not shown:
        return Subtest(name, Status.SKIP, memory.NOT_SHOWN)
    view = memory.look(guest)
    blocks = view.online_in(at.address, at.address + at.region)
    offline = memory.offline_bytes(guest, view, blocks)
    expected = len(blocks) * view.block_size - target
    return subtest(
        name,
        offline == expected,
        f"{offline // memory.PAGE} pages offline, {expected // memory.PAGE} expected",
        offline=offline,
        expected=expected,
    )


def probe() -> Scenario:
    return device.scenario("vmem.probe", _probe, "virtio-mem-at-boot", deadline=90.0)


def resize() -> Scenario:
    return device.scenario(
        "vmem.resize", _resize, "virtio-mem", deadline=150.0, files=(memory.FLAGS_SOURCE,)
    )
