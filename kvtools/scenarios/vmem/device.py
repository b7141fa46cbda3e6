# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's virtio-mem devices: asking for a size, waiting, and comparing what both sides say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from kvtools.qmp import MemoryDevice
from kvtools.scenarios import machines, memory
from kvtools.scenarios.base import Guest, Polled, Scenario, Subtest, Unanswered
from kvtools.scenarios.memory import View
from kvtools.vng import MIB

NEEDS = ("VIRTIO_MEM", "MEMORY_HOTPLUG", "MEMORY_HOTREMOVE")
PLUG_DEADLINE = 10.0
SETTLE_DEADLINE = 5.0  # MemTotal may follow QEMU's size
QUIET = 3.0  # seconds on the host's clock without a change: nobody is at work any more
QUIET_SHARE = 0.75  # of the time to boot, if that is longer: this guest is slow, or starved
FINE = 0.02  # seconds between two looks at what is timed

LOAD = "[ -e /sys/bus/virtio/drivers/virtio_mem ] || modprobe virtio_mem"
"""Nothing loads modules by itself in a guest without udev."""

clock = time.monotonic


@dataclass(frozen=True, slots=True)
class Settled:
    """What is plugged when nothing changes any more: ``size`` bytes, reached after ``seconds``.

    ``met`` is False if it still changed when the time was over.
    """

    size: int
    seconds: float
    met: bool


def scenario(
    name: str,
    check: Callable[[Guest], Iterator[Subtest]],
    machine: str,
    *,
    deadline: float,
    version: int = 1,
    files: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
) -> Scenario:
    """A scenario that has the driver, also where it is a module; ``needs`` beyond the driver's."""

    def loaded(guest: Guest) -> Iterator[Subtest]:
        load(guest)
        yield from check(guest)

    return Scenario(name, version, NEEDS + needs, machines.load(machine), deadline, loaded, files)


def load(guest: Guest) -> None:
    result = guest.sh(LOAD)
    if not result.ok:
        raise Unanswered("driver", f"the driver cannot be loaded: {result.complaint}")


def devices(guest: Guest) -> tuple[MemoryDevice, ...]:
    """The machine's devices as QEMU has them now, in the order of the machine."""
    known = {device.name: device for device in guest.qmp.memory_devices()}
    return tuple(known[device.name] for device in guest.machine.virtio_mem)


def label(device: MemoryDevice) -> str:
    """The block size, as the beginning of a subtest's name."""
    return f"{device.block_size // MIB}M"


def resize(
    guest: Guest, device: MemoryDevice, size: int, deadline: float = PLUG_DEADLINE
) -> Polled[int]:
    """Ask for ``size`` bytes and wait until QEMU says that they are plugged."""
    guest.qmp.set_requested_size(device.name, size)
    return guest.poll(lambda: guest.qmp.size(device.name), size.__eq__, deadline, FINE)


def settle(
    guest: Guest,
    device: MemoryDevice,
    wanted: int,
    deadline: float = PLUG_DEADLINE,
    least: float = QUIET,
) -> Settled:
    """Wait until ``wanted`` bytes are plugged, or nothing changed for ``least`` seconds, or
    longer where the guest took long to boot."""
    quiet = max(least, QUIET_SHARE * guest.boot_seconds)
    start = changed = clock()
    last = guest.qmp.size(device.name)

    def read() -> int:
        nonlocal last, changed
        size = guest.qmp.size(device.name)
        if size != last:
            last, changed = size, clock()
        return size

    polled = guest.poll(
        read, lambda size: size == wanted or clock() - changed >= quiet, deadline
    )
    return Settled(polled.value, changed - start, polled.met)


def ram(view: View, device: MemoryDevice) -> int:
    """Bytes of online memory blocks in the device's region."""
    blocks = view.online_in(device.address, device.address + device.region)
    return len(blocks) * view.block_size


def disagreement(view: View, empty: View, plugged: Mapping[MemoryDevice, int]) -> str:
    """How the guest's memory differs from what is plugged; "" when it does not.

    ``empty`` is what it looked like when nothing was plugged.
    """
    total = sum(plugged.values())
    delta = view.total - empty.total
    if delta != total:
        return f"MemTotal grew by {delta // 1024} kB over the empty device, not {total // 1024}"
    wrong = (_blocks_disagree(view, device, size) for device, size in plugged.items())
    return next(filter(None, wrong), "")


def _blocks_disagree(view: View, device: MemoryDevice, size: int) -> str:
    blocks = ram(view, device)
    listed = view.ram_in(device.address, device.address + device.region)
    if blocks != listed:
        return f"online blocks make {blocks // MIB} MiB, /proc/iomem lists {listed // MIB} MiB"
    if blocks < size or (device.block_size >= view.block_size and blocks != size):
        return f"online blocks make {blocks // MIB} MiB, {size // MIB} MiB are plugged"
    if size == 0 and blocks:
        return f"{blocks // MIB} MiB of blocks are left of an empty device"
    return ""


def agree(
    guest: Guest, empty: View, plugged: Mapping[MemoryDevice, int], deadline: float | None = None
) -> str:
    """Wait until the guest sees what is plugged: "" if it does, else the difference."""
    polled = guest.poll(
        lambda: disagreement(memory.look(guest), empty, plugged),
        lambda wrong: not wrong,
        SETTLE_DEADLINE if deadline is None else deadline,
    )
    return polled.value
