# SPDX-License-Identifier: GPL-2.0-or-later
"""``dump.crash``: the crash utility opens a crash dump with the kernel's debug information.

Only a kernel with DWARF 4 can be looked at (crash 8.0.2 reads no newer one): the config
``guest-debuginfo``, whose build leaves a ``vmlinux``. Every other one is a SKIP.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from kvtools import crash
from kvtools.scenarios import dump_kdump, dump_state, machines, memory
from kvtools.scenarios.base import Guest, Scenario, Subtest, Unanswered, subtest
from kvtools.vmcore import open_dump, pages

LEVEL = 17  # zeroes and free pages left out, user data kept for the canary
PANIC = "sysrq triggered crash"


def _check(guest: Guest) -> Iterator[Subtest]:
    vmlinux = guest.image / "vmlinux"
    if not vmlinux.exists():
        raise Unanswered("vmlinux", "the build left no vmlinux")
    state = dump_state.prepare(guest)
    dump_state.load(guest, "-s")
    dump_kdump.plan(guest, {LEVEL: "zlib"})
    guest.crash(dump_kdump.CRASH_DEADLINE)
    run = dump_kdump.written(guest, f"level-{LEVEL}")
    if run.status != 0:
        yield subtest("makedumpfile", False, run.complaint)
        return
    path = guest.share / f"level-{LEVEL}.kdump"
    with open_dump(path) as dump:
        unplugged = pages.first(state.region & dump.present & ~state.plugged)
    if unplugged is None:
        raise Unanswered("unplugged", "no unplugged chunk is in the dump's map")
    canary = min(state.canaries)
    checks: dict[str, tuple[str, Callable[[str], bool]]] = {
        "sys": ("sys", lambda said: PANIC in said and f"RELEASE: {_release(guest)}" in said),
        "kmem -i": ("kmem -i", lambda said: total_pages(said) > 0),
        "bt": ("bt", lambda said: "sysrq_handle_crash" in said),
        "log": ("log", lambda said: PANIC in said),
        "canary": (
            f"rd -8 -p {canary * pages.PAGE:#x} 32",
            lambda said: read_bytes(said) == state.content(canary)[:32],
        ),
        "unplugged": (f"rd -p {unplugged * pages.PAGE:#x}", lambda said: "page excluded" in said),
    }
    status, answers = crash.ask(
        vmlinux, path, [command for command, _ in checks.values()], guest.out / "crash.log"
    )
    for name, (command, good) in checks.items():
        said = answers[command]
        last = said.splitlines()[-1].strip() if said else f"no answer (exit status {status})"
        result = subtest(name.replace(" ", ""), good(said), f"{command}: {last}")
        yield replace(result, aside=name == "sys")


def _release(guest: Guest) -> str:
    return guest.hello.release if guest.hello else ""


def total_pages(said: str) -> int:
    """``TOTAL MEM`` of ``kmem -i``, in pages; 0 when there is no such line."""
    match = re.search(r"TOTAL MEM\s+(\d+)", said)
    return int(match[1]) if match else 0


def read_bytes(said: str) -> bytes:
    """The bytes in the answer of ``rd -8``: an address, up to 16 bytes in hex, their text."""
    found = bytearray()
    for line in said.splitlines():
        match = re.match(r"\s*[0-9a-f]+:\s+((?:[0-9a-f]{2}\s)+)", line + " ")
        if match:
            found += bytes.fromhex(match[1])
    return bytes(found)


def dump_crash() -> Scenario:
    return Scenario(
        name="dump.crash",
        version=1,
        needs=(*dump_kdump.NEEDS, "DEBUG_INFO_DWARF4"),
        machine=machines.load("dump"),
        deadline=240.0,
        check=_check,
        files=(memory.FLAGS_SOURCE,),
        programs=("kexec", "makedumpfile", "crash"),
    )
