# SPDX-License-Identifier: GPL-2.0-or-later
"""``dump.host``: QEMU dumps a running guest, makedumpfile filters the dump on the host.

QEMU leaves unplugged chunks out by itself; the pages in a balloon it does not know, and only
the guest's page structs tell makedumpfile of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kvtools import makedumpfile
from kvtools.scenarios import dump_checks, dump_state, machines, memory
from kvtools.scenarios.base import Guest, Scenario, Subtest, Unanswered, subtest
from kvtools.scenarios.dump_checks import Facts
from kvtools.vmcore import elfcore, open_dump, pages, unflatten
from kvtools.vng import MIB

NEEDS = ("VIRTIO_MEM", "VIRTIO_BALLOON", "MEMORY_HOTPLUG", "FW_CFG_SYSFS", "CRASH_CORE")
HELD = 16 * MIB  # in the balloon
INFLATE_DEADLINE = 30.0
METHODS = {0: "lzo", 1: "zlib", 16: "lzo", 31: "zlib"}
HEAD = 1 << 16


def _check(guest: Guest) -> Iterator[Subtest]:
    guest.share.mkdir(exist_ok=True)
    inflate(guest)
    state = dump_state.prepare(guest)
    elf, kdump = guest.share / "qemu.elf", guest.share / "qemu.kdump"
    guest.qmp.dump(elf)
    flat = guest.share / "qemu.flat"
    guest.qmp.dump(flat, kind="kdump-zlib")
    unflatten(flat, kdump)
    flat.unlink()
    release = guest.hello.release if guest.hello else ""
    facts = Facts(state, release, elsewhere=HELD // pages.PAGE)
    with open_dump(elf) as dump:
        (guest.out / "vmcoreinfo.txt").write_text(dump.vmcoreinfo or "")
        facts = replace(facts, zero=dump.zero_pages(), structs=dump_checks.structs_of(dump))
        yield dump_checks.without_report("qemu-elf", dump, elf.stat().st_size, facts)
    with open_dump(kdump) as dump:
        yield dump_checks.without_report("qemu-kdump-zlib", dump, kdump.stat().st_size, facts)
    yield from dump_checks.uncountable(facts.structs)
    mend(elf)
    for number in dump_checks.LEVELS:
        yield _filtered(guest, elf, number, facts)


def inflate(guest: Guest) -> None:
    """Raises Unanswered when the balloon does not come to hold what it was told to."""
    left = guest.machine.memory - HELD
    guest.qmp.set_balloon(left)
    reached = guest.poll(guest.qmp.balloon, left.__eq__, INFLATE_DEADLINE)
    if not reached.met:
        held = (guest.machine.memory - reached.value) // MIB
        raise Unanswered("balloon", f"holds {held} MiB, was told to hold {HELD // MIB}")


def mend(elf: Path) -> None:
    """Move the program headers to where makedumpfile looks for them."""
    with elf.open("r+b") as file:
        front = elfcore.with_headers_in_front(file.read(HEAD))
        file.seek(0)
        file.write(front)


def _filtered(guest: Guest, source: Path, number: int, facts: Facts) -> Subtest:
    name = f"level-{number}"
    has = makedumpfile.methods(makedumpfile.version())
    method = METHODS[number] if METHODS[number] in has else "zlib"
    target = guest.share / f"{name}.kdump"
    run = makedumpfile.write(source, target, number, method)
    (guest.share / f"{name}.report").write_text(run.said)
    if run.status != 0:
        return subtest(name, False, run.complaint)
    with open_dump(target) as dump:
        return dump_checks.level(name, number, dump, run, target.stat().st_size, facts)


def host() -> Scenario:
    return Scenario(
        name="dump.host",
        version=1,
        needs=NEEDS,
        machine=machines.load("dump-live"),
        deadline=120.0,
        check=_check,
        files=(memory.FLAGS_SOURCE,),
        programs=("makedumpfile",),
    )
