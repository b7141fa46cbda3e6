# SPDX-License-Identifier: GPL-2.0-or-later
"""``kselftest:NAME``: the kernel's own selftests, from the tree under test."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from kvtools import git, ktap, process
from kvtools.errors import UserError
from kvtools.model import Status
from kvtools.scenarios import machines
from kvtools.scenarios.base import GUEST, Guest, Scenario, Subtest, Unanswered, subtest
from kvtools.vng import MIB

SELFTESTS = "tools/testing/selftests"
RUNNER = f"{SELFTESTS}/kselftest"
BUILDING = tuple(f"{SELFTESTS}/{name}"
                 for name in ("lib.mk", "kselftest.h", "kselftest_harness.h"))
MEMORY_HOTPLUG = "memory-hotplug"
DRIVER_ONLINE = "driver_online"
PARTIAL = 300 * MIB  # ends within a memory block of 128 MiB
DIMM = 256 * MIB
PLUG_DEADLINE = 10.0
RUN_DEADLINE = 60.0
BUILD_DEADLINE = 60.0
TEST_TIMEOUT = 50.0  # for each program; the runner's own 45 are short under TCG


def _memory_hotplug(guest: Guest) -> Iterator[Subtest]:
    try:
        collection = unpack(guest, MEMORY_HOTPLUG)
    except UserError as error:
        yield Subtest(MEMORY_HOTPLUG, Status.SKIP, error.message)
        return
    before = guest.meminfo()["MemTotal"]
    guest.qmp.plug_dimm("dimm0", DIMM)
    with_dimm = guest.poll(
        lambda: guest.meminfo()["MemTotal"], (before + DIMM).__eq__, PLUG_DEADLINE
    )
    dimm = subtest(
        "dimm",
        with_dimm.met,
        f"MemTotal grew by {(with_dimm.value - before) // MIB} MiB of {DIMM // MIB}",
        memtotal_delta=with_dimm.value - before,
        size=DIMM,
    )
    yield replace(dimm, aside=True)
    yield from run_collection(guest, collection)
    after = guest.poll(
        lambda: guest.meminfo()["MemTotal"], with_dimm.value.__eq__, PLUG_DEADLINE
    )
    # The script puts everything online again before it ends, whatever it says of itself.
    restored = subtest(
        "restored",
        after.met,
        f"MemTotal {after.value // MIB} MiB after the test, {with_dimm.value // MIB} before",
        before=with_dimm.value,
        after=after.value,
    )
    yield replace(restored, aside=True)


def _driver_online(guest: Guest) -> Iterator[Subtest]:
    try:
        collection = unpack(guest, MEMORY_HOTPLUG, *BUILDING)
    except UserError as error:
        yield Subtest(DRIVER_ONLINE, Status.SKIP, error.message)
        return
    makefile = (collection / "Makefile").read_text("utf-8", "replace")
    if DRIVER_ONLINE not in test_programs(makefile, "TEST_GEN_PROGS"):
        reason = f"the Makefile of {MEMORY_HOTPLUG} builds no {DRIVER_ONLINE}"
        yield Subtest(DRIVER_ONLINE, Status.SKIP, reason)
        return
    if problem := build(guest, collection):
        yield Subtest(f"build-{DRIVER_ONLINE}", Status.FAIL, problem)
        return
    device = guest.machine.virtio_mem[0].name
    guest.qmp.set_requested_size(device, PARTIAL)
    plugged = guest.poll(lambda: guest.qmp.size(device), PARTIAL.__eq__, PLUG_DEADLINE)
    yield replace(subtest(
        "plugged", plugged.met,
        f"QEMU says {plugged.value // MIB} MiB of {PARTIAL // MIB}", size=plugged.value,
    ), aside=True)
    yield from run_programs(guest, collection, [DRIVER_ONLINE])


def build(guest: Guest, collection: Path) -> str:
    """Build the C programs of an unpacked collection on the host, which is the guest's root.

    Returns the first error, "" if there is none.
    """
    words = ["make", "-C", str(collection)]
    guest.on_host.append(shlex.join(words))
    log = guest.out / "selftests.log"
    done = process.run(words, deadline=BUILD_DEADLINE, log=log, merge=True, check=False)
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.text.splitlines() if line.strip()]
    return next((line for line in lines if "error:" in line), (lines or ["make failed"])[-1])


def unpack(guest: Guest, name: str, *more: str) -> Path:
    """The collection of the tree under test, runner beside it; UserError if it has none.

    ``more`` are further paths of that tree.
    """
    folder = guest.out / "selftests"
    source, wanted = guest.source, [RUNNER, f"{SELFTESTS}/{name}", *more]
    git.archive(source.repo, source.commit, wanted, folder)
    archive = shlex.join(["git", "-C", str(source.repo), "archive", source.commit, *wanted])
    quoted = shlex.quote(str(folder))
    guest.on_host.extend([f"mkdir -p {quoted}", f"{archive} | tar -x -C {quoted}"])
    collection = folder / SELFTESTS / name
    settings = collection / "settings"
    if not settings.exists():
        setting = f"timeout={TEST_TIMEOUT * guest.stretch:.0f}"
        settings.write_text(f"{setting}\n")
        guest.on_host.append(f"echo {setting} >{shlex.quote(str(settings))}")
    return collection


def run_collection(guest: Guest, collection: Path) -> Iterator[Subtest]:
    """Run an unpacked collection; a subtest for each result it prints.

    Everything it printed is in ``kselftest.log``.
    """
    programs = test_programs((collection / "Makefile").read_text("utf-8", "replace"))
    if not programs:
        raise Unanswered(collection.name, f"the Makefile of {collection.name} has no TEST_PROGS")
    yield from run_programs(guest, collection, programs)


def run_programs(guest: Guest, collection: Path, programs: Sequence[str]) -> Iterator[Subtest]:
    """Run some programs of an unpacked collection with the kernel's own runner."""
    script = str(GUEST / "kselftest.sh")
    words = ["sh", script, str(collection.parent), collection.name, *programs]
    result = guest.sh(shlex.join(words), RUN_DEADLINE)
    (guest.out / "kselftest.log").write_bytes(result.stdout + result.stderr)
    yield from results(result.text, late=result.late)


def results(text: str, *, late: bool = False) -> Iterator[Subtest]:
    """The runner's KTAP as subtests, its problems (cut short, miscounted) among them."""
    answer = ktap.parse(text)
    for path, test in answer.leaves():
        if path:
            name = path[-1].removeprefix("selftests: ").replace(": ", ".").replace(" ", "-")
            yield Subtest(name, test.status, _said(test))
    problems = list(answer.all_problems())
    if late:
        problems.insert(0, "killed at its deadline")
    if problems:
        yield Subtest("kselftest-output", Status.FAIL, "; ".join(problems))


def _said(test: ktap.Test) -> str:
    """Why, in one line: the script's own words for a SKIP, its last ones for a FAIL."""
    lines = [line.strip() for line in test.diagnostics if line.strip()]
    if test.status is Status.PASS:
        return ""
    # A script that failed may have skipped a part of itself on the way.
    word = "skip" if test.status is Status.SKIP else "fail"
    telling = [line for line in lines if word in line.lower()]
    return (telling or lines or [test.reason or "it said nothing"])[-1]


def test_programs(makefile: str, variable: str = "TEST_PROGS") -> list[str]:
    """The values of ``variable``, without make: lib.mk would change them."""
    joined = makefile.replace("\\\n", " ")
    values = re.findall(rf"^{variable}\s*[:+]?=\s*(.*)$", joined, re.MULTILINE)
    return [word for value in values for word in value.partition("#")[0].split()]


def memory_hotplug() -> Scenario:
    return Scenario(
        name=f"kselftest:{MEMORY_HOTPLUG}",
        version=1,
        needs=("MEMORY_HOTPLUG", "MEMORY_HOTREMOVE", "ACPI_HOTPLUG_MEMORY"),
        machine=machines.load("dimm"),
        deadline=150.0,
        check=_memory_hotplug,
        files=(RUNNER, f"{SELFTESTS}/{MEMORY_HOTPLUG}"),
    )


def driver_online() -> Scenario:
    """The collection's C program, with memory that ends within a memory block."""
    return Scenario(
        name="kselftest:driver-online",
        version=1,
        needs=("VIRTIO_MEM", "MEMORY_HOTPLUG", "MEMORY_HOTREMOVE"),
        machine=machines.load("virtio-mem"),
        deadline=90.0,
        check=_driver_online,
        files=(RUNNER, f"{SELFTESTS}/{MEMORY_HOTPLUG}", *BUILDING),
    )
