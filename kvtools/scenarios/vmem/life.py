# SPDX-License-Identifier: GPL-2.0-or-later
"""``vmem.module``, ``vmem.reboot`` and ``vmem.suspend``: a driver that comes and goes, a guest
that comes again, or would sleep."""

from __future__ import annotations

from collections.abc import Iterator

from kvtools.channel import Result
from kvtools.model import Status
from kvtools.qmp import MemoryDevice
from kvtools.scenarios import memory
from kvtools.scenarios.base import Guest, Scenario, Subtest, subtest
from kvtools.scenarios.hog import Hog
from kvtools.scenarios.memory import View
from kvtools.scenarios.vmem import device
from kvtools.vng import MIB

MODULE = "virtio_mem"
IS_MODULE = f"[ -e /sys/module/{MODULE}/initstate ]"  # a built-in driver has no such file
UNLOAD, LOAD = f"rmmod {MODULE}", f"modprobe {MODULE}"
MODULE_DEADLINE = 15.0
ROUNDS = 2
SIZE = 384 * MIB
HELD = 64  # MiB in use while somebody tries to unload the driver, or to suspend
SUSPEND = (
    "cd /sys/power && echo 0 >pm_async && grep -qw freeze state || exit 9; "
    "for d in /sys/bus/virtio/drivers/virtio_mem/virtio*; do "
    'd=$(readlink -f $d); d=${d%/*}; echo "memory ${d##*/}"; done; '
    "echo freeze >state && exit; "
    "read -r device <suspend_stats/last_failed_dev; read -r step <suspend_stats/last_failed_step; "
    'echo "failed $device"; [ "$step" = suspend ]'
)
"""Ends with another status than 0 where it was not a device that failed."""
SUSPEND_DEADLINE = 20.0


# vmem.module


def _module(guest: Guest) -> Iterator[Subtest]:
    if not guest.sh(IS_MODULE).ok:
        yield Subtest("module", Status.SKIP, f"the driver {MODULE} is built in")
        return
    devices = device.devices(guest)
    empty = memory.look(guest)
    for number in range(1, ROUNDS + 1):
        yield from _reload(guest, devices, empty, number)
    yield from _unload_in_use(guest, devices, empty)


def _reload(
    guest: Guest, devices: tuple[MemoryDevice, ...], empty: View, number: int
) -> Iterator[Subtest]:
    """Plug, take all back, unload, load."""
    yield _all_at(guest, devices, empty, SIZE, f"grow-{number}")
    yield _all_at(guest, devices, empty, 0, f"shrink-{number}")
    gone = guest.sh(UNLOAD, deadline=MODULE_DEADLINE)
    view = memory.look(guest)
    held = [r.name for r in view.resources for at in devices if r.start == at.address]
    wrong = gone.complaint if not gone.ok else ""
    if not wrong and held:
        wrong = f"/proc/iomem still has {held[0]!r} over a device's region"
    yield subtest(f"unload-{number}", not wrong, wrong or "no region is held any more")
    yield _loaded(guest.sh(LOAD, deadline=MODULE_DEADLINE), f"load-{number}")


def _loaded(result: Result, name: str) -> Subtest:
    return subtest(name, result.ok, "" if result.ok else result.complaint)


def _all_at(
    guest: Guest, devices: tuple[MemoryDevice, ...], empty: View, size: int, name: str
) -> Subtest:
    """All devices at once to ``size`` bytes each, compared with what the guest sees."""
    for at in devices:
        guest.qmp.set_requested_size(at.name, size)
    short = [at.name for at in devices if not device.resize(guest, at, size).met]
    wrong = f"{short[0]} did not reach {size // MIB} MiB" if short else ""
    wrong = wrong or device.agree(guest, empty, dict.fromkeys(devices, size))
    return subtest(name, not wrong, wrong or f"{size // MIB} MiB of each device", size=size)


def _unload_in_use(
    guest: Guest, devices: tuple[MemoryDevice, ...], empty: View
) -> Iterator[Subtest]:
    """Refused, or memory in use stays: either way nobody loses data.

    Where it was refused the driver has to go on working; where it was not, MemTotal has to
    tell the truth, and the driver that is loaded next must not take the memory for unused.
    """
    yield _all_at(guest, devices, empty, SIZE, "plugged")
    hog = Hog(guest, "hold", HELD)
    result = guest.sh(UNLOAD, deadline=MODULE_DEADLINE)
    refused = not result.ok and guest.sh(IS_MODULE).ok
    if not refused:
        guest.sh(LOAD, deadline=MODULE_DEADLINE)
    sizes = {at: guest.qmp.size(at.name) for at in devices}
    wrong = device.agree(guest, empty, sizes)
    answer = hog.end()
    how = f"refused: {result.complaint}" if refused else "unloaded"
    yield subtest(
        "unload-in-use",
        answer.intact and not wrong,
        f"{how}; {answer.said or wrong or f'MemTotal agrees, {HELD} MiB are intact'}",
        refused=refused,
        left=sum(sizes.values()),
    )
    if refused:
        yield _all_at(guest, devices, empty, 0, "works-on")


def module() -> Scenario:
    return device.scenario("vmem.module", _module, "vmem-blocks", deadline=180.0)


# vmem.reboot


def _reboot(guest: Guest) -> Iterator[Subtest]:
    """A guest that restarts with memory plugged has again what is requested, and no more."""
    devices = device.devices(guest)
    empty = memory.look(guest)
    yield _all_at(guest, devices, empty, SIZE, "plugged")
    Hog(guest, "hold", HELD).end()
    seconds = guest.reboot()
    device.load(guest)
    uptime = guest.hello.uptime if guest.hello else 0.0
    yield subtest("restart", True, f"up again after {seconds:.1f} s", seconds=round(seconds, 2),
                  uptime=uptime)
    late = [at.name for at in devices if not _reached(guest, at, SIZE)]
    wrong = f"{late[0]} did not reach {SIZE // MIB} MiB again" if late else ""
    wrong = wrong or device.agree(guest, empty, dict.fromkeys(devices, SIZE))
    yield subtest("plugged-again", not wrong, wrong or f"{SIZE // MIB} MiB of each device")
    yield _all_at(guest, devices, empty, 0, "shrink")


def _reached(guest: Guest, at: MemoryDevice, size: int) -> bool:
    return guest.poll(
        lambda: guest.qmp.size(at.name), size.__eq__, device.PLUG_DEADLINE
    ).met


def reboot() -> Scenario:
    return device.scenario("vmem.reboot", _reboot, "vmem-blocks", deadline=180.0)


# vmem.suspend


def _suspend(guest: Guest) -> Iterator[Subtest]:
    """Refused, with everything as before: the device may lose its memory.

    A guest that does go to sleep has nothing to wake it up and answers no more, which is a FAIL.
    One device after the other, so that those of the machine itself, like the root on 9p, which
    cannot come back, are not at it first.
    """
    devices = device.devices(guest)
    empty = memory.look(guest)
    yield _all_at(guest, devices, empty, SIZE, "plugged")
    hog = Hog(guest, "hold", HELD)
    result = guest.sh(SUSPEND, deadline=SUSPEND_DEADLINE)
    refused, said = _refused(result)
    yield subtest("refused", refused, said)
    wrong = device.agree(guest, empty, dict.fromkeys(devices, SIZE))
    answer = hog.end()
    yield subtest(
        "unharmed",
        answer.intact and not wrong,
        answer.said or wrong or f"MemTotal agrees, {HELD} MiB are intact",
    )
    yield _all_at(guest, devices, empty, 0, "works-on")


def _refused(result: Result) -> tuple[bool, str]:
    """Whether one of the memory devices is what the kernel says that failed, and what it was."""
    told = [line.partition(" ")[::2] for line in result.text.splitlines()]
    failed = next((name for word, name in told if word == "failed"), "")
    if not result.ok:
        return False, f"the guest cannot try to: {result.complaint}"
    if not failed:
        return False, "the guest slept"
    ours = failed in (name for word, name in told if word == "memory")
    return ours, f"refused by {failed}" + ("" if ours else ", which is no memory device")


def suspend() -> Scenario:
    return device.scenario(
        "vmem.suspend", _suspend, "vmem-blocks", deadline=180.0, needs=("SUSPEND",)
    )
