# SPDX-License-Identifier: GPL-2.0-or-later
"""``balloon.offline``: the pages that a virtio balloon gave back are PG_offline, to the page.

The host sets the target over QMP and knows how much the balloon holds; the guest shows its
page flags (Documentation/admin-guide/mm/pagemap.rst, KPF_OFFLINE).
"""

from __future__ import annotations

from collections.abc import Iterator

from kvtools.model import Status
from kvtools.scenarios import machines, memory
from kvtools.scenarios.base import Guest, Scenario, Subtest, subtest
from kvtools.vng import MIB

INFLATE_DEADLINE = 30.0
HELD = tuple(MIB * mib for mib in (128, 32, 0))


def _check(guest: Guest) -> Iterator[Subtest]:
    if not memory.shows_offline(guest):
        yield Subtest("kpageflags", Status.SKIP, memory.NOT_SHOWN)
        return
    yield _holds(guest, 0, "deflated-at-boot")
    for held in HELD:
        guest.qmp.set_balloon(guest.machine.memory - held)
        yield _holds(guest, held, f"holds-{held // MIB}M")


def _holds(guest: Guest, held: int, name: str) -> Subtest:
    """Once QEMU says that the balloon holds ``held`` bytes, as many must be PG_offline."""
    target = guest.machine.memory - held
    reached = guest.poll(guest.qmp.balloon, target.__eq__, INFLATE_DEADLINE)
    view = memory.look(guest)
    offline = memory.offline_bytes(guest, view, sorted(view.online))
    wrong = "" if reached.met else f"; QEMU says {reached.value // MIB} MiB are left"
    return subtest(
        name,
        reached.met and offline == held,
        f"{offline // memory.PAGE} pages are offline, the balloon was told to hold "
        f"{held // memory.PAGE}{wrong}",
        held=held,
        offline=offline,
        left=reached.value,
    )


def offline() -> Scenario:
    return Scenario(
        name="balloon.offline",
        version=1,
        needs=("VIRTIO_BALLOON", "PROC_PAGE_MONITOR", "MEMORY_HOTPLUG"),
        machine=machines.load("balloon"),
        deadline=120.0,
        check=_check,
        files=(memory.FLAGS_SOURCE,),
    )
