# SPDX-License-Identifier: GPL-2.0-or-later
"""``vmem.pressure``, ``vmem.pinned`` and ``vmem.stress``: shrinking while memory is in use.

The device may keep what cannot be freed. It must not cost data, a process, or the guest.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from kvtools.model import Status
from kvtools.qmp import MemoryDevice
from kvtools.scenarios.base import Guest, Scenario, Subtest, subtest
from kvtools.scenarios.hog import Hog
from kvtools.scenarios.vmem import device
from kvtools.vng import MIB

GROWN = 256 * MIB
SHRINK_DEADLINE = 15.0
HELD = 320  # MiB of the 500 that the small guest has then: more than its boot memory
PINNED = (256, 8 * 1024)  # MiB, and a page in every so many KiB
PIN_GROWN, PIN_REGROWN = 384 * MIB, 512 * MIB
RETRY = 8.0  # seconds on the host's clock; a driver should see within 5 that memory got free
CHURN = (2, 96)  # hogs, and MiB that each has at most
STRESS_SECONDS, STRESS_SEED = 8.0, 5150
STRESS_LEAST, STRESS_MOST = 256 * MIB, 1024 * MIB
STRESS_LAST = 384 * MIB


# vmem.pressure


def _pressure(guest: Guest) -> Iterator[Subtest]:
    lost = ""
    for at in device.devices(guest):
        label = device.label(at)
        if lost:  # a guest that has killed processes may kill the next, and be no guest any more
            yield Subtest(f"{label}.data", Status.SKIP, f"{lost} was lost already")
            continue
        grown = device.resize(guest, at, GROWN)
        hog = Hog(guest, "hold", HELD)
        guest.qmp.set_requested_size(at.name, 0)
        left = device.settle(guest, at, 0, SHRINK_DEADLINE)
        yield subtest(
            f"{label}.settles",
            grown.met and left.met,
            f"{left.size // MIB} of {grown.value // MIB} MiB left after {left.seconds:.1f} s, "
            f"with {HELD} MiB in use",
            left=left.size,
            held=HELD * MIB,
            seconds=round(left.seconds, 2),
        )
        answers = (hog.check(), hog.end())  # it may be killed after all that was well
        said = "; ".join(answer.said for answer in answers if not answer.intact)
        yield subtest(f"{label}.data", not said, said or f"{HELD} MiB are intact")
        lost = f"{label}.data" if said else ""
        yield _released(guest, at)


def _released(guest: Guest, at: MemoryDevice) -> Subtest:
    """Asked anew, because a driver need not look again at once."""
    guest.qmp.set_requested_size(at.name, at.block_size)
    left = device.resize(guest, at, 0)
    return subtest(
        f"{device.label(at)}.released",
        left.met,
        f"{left.value // MIB} MiB left {left.seconds:.1f} s after all was free again",
        left=left.value,
        seconds=round(left.seconds, 2),
    )


def pressure() -> Scenario:
    return device.scenario("vmem.pressure", _pressure, "vmem-small", deadline=240.0)


# vmem.pinned


def _pinned(guest: Guest) -> Iterator[Subtest]:
    for number, at in enumerate(device.devices(guest)):
        label = device.label(at)
        device.resize(guest, at, PIN_GROWN)
        hog = Hog(guest, "pin", *PINNED)
        guest.qmp.set_requested_size(at.name, 0)
        left = device.settle(guest, at, 0, SHRINK_DEADLINE)
        yield subtest(
            f"{label}.settles",
            left.met and left.size > 0,
            f"{left.size // MIB} of {PIN_GROWN // MIB} MiB left after {left.seconds:.1f} s"
            + ("" if left.size else ": what was pinned was not in the device"),
            left=left.size,
            seconds=round(left.seconds, 2),
        )
        again = device.resize(guest, at, PIN_REGROWN)
        yield subtest(
            f"{label}.grow",
            again.met,
            f"{again.value // MIB} of {PIN_REGROWN // MIB} MiB plugged after "
            f"{again.seconds:.1f} s",
            size=again.value,
            seconds=round(again.seconds, 2),
        )
        guest.qmp.set_requested_size(at.name, 0)
        device.settle(guest, at, 0, SHRINK_DEADLINE)
        answer = hog.end()
        yield subtest(f"{label}.data", answer.intact, answer.said or "pinned pages are intact")
        if number == 0:
            yield _retries(guest, at)
        yield _released(guest, at)


def _retries(guest: Guest, at: MemoryDevice) -> Subtest:
    """Nobody tells the driver that the pages are free now; it has to look."""
    left = device.settle(guest, at, 0, SHRINK_DEADLINE, least=RETRY)
    return subtest(
        f"{device.label(at)}.retry",
        left.size == 0,
        f"{left.size // MIB} MiB left "
        + (f"{left.seconds:.1f} s" if not left.size else f"{RETRY:.0f} s and more")
        + " after the pages were released",
        left=left.size,
        seconds=round(left.seconds, 2),
    )


def pinned() -> Scenario:
    return device.scenario("vmem.pinned", _pinned, "vmem-blocks", deadline=240.0)


# vmem.stress


def _stress(guest: Guest) -> Iterator[Subtest]:
    devices = device.devices(guest)
    for at in devices:
        device.resize(guest, at, STRESS_LEAST)
    hogs = [Hog(guest, "churn", CHURN[1], seed, name=f"hog{seed}") for seed in range(CHURN[0])]
    resizes = _random_resizes(guest, devices)
    for at in devices:
        guest.qmp.set_requested_size(at.name, STRESS_LAST)
    for hog in hogs:
        answer = hog.end()
        yield subtest(hog.name, answer.intact, answer.said)
    for at in devices:
        reached = guest.poll(
            lambda at=at: guest.qmp.size(at.name),  # type: ignore[misc]
            STRESS_LAST.__eq__,
            device.PLUG_DEADLINE,
        )
        yield subtest(
            f"{device.label(at)}.last-request",
            reached.met,
            f"{reached.value // MIB} of {STRESS_LAST // MIB} MiB plugged after {resizes} resizes",
            size=reached.value,
            resizes=resizes,
        )


def _random_resizes(guest: Guest, devices: tuple[MemoryDevice, ...]) -> int:
    """Resize for a while without waiting for the whole of it; how often."""
    numbers = random.Random(STRESS_SEED)
    end = device.clock() + STRESS_SECONDS
    count = 0
    while device.clock() < end:
        at = numbers.choice(devices)
        blocks = numbers.randrange(
            STRESS_LEAST // at.block_size, STRESS_MOST // at.block_size + 1
        )
        device.resize(guest, at, blocks * at.block_size, deadline=0.1)
        count += 1
    return count


def stress() -> Scenario:
    return device.scenario("vmem.stress", _stress, "vmem-blocks", deadline=180.0)
