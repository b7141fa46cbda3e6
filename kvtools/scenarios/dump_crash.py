# SPDX-License-Identifier: GPL-2.0-or-later
"""``dump.crash``: the crash utility opens a crash dump with the kernel's debug information.

Only a kernel with DWARF 4 can be looked at (crash 8.0.2 reads no newer one): the config
``guest-debuginfo``, whose build leaves a ``vmlinux``. Every other one is a SKIP.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from kvtools import crash
from kvtools.scenarios import dump_kdump, dump_state, machines, memory
from kvtools.scenarios.base import Guest, Scenario, Subtest, Unanswered, subtest
from kvtools.vmcore import open_dump, pages

LEVEL = 17  # zeroes and free pages left out, user data kept for the canary
PANIC = "sysrq triggered crash"
EXCLUDED = "page excluded"
MISMATCH = "inconsistency between vmlinux and dumpfile"  # crash warns and goes on
# How the panic came about, innermost first. Not sysrq_handle_crash: its call of panic() is the
# last thing in it, so that the return address is the next function's and crash leaves it out.
PATH = ["panic", "write_sysrq_trigger", "vfs_write"]


def _check(guest: Guest) -> Iterator[Subtest]:
    vmlinux = guest.image / "vmlinux"
    if not vmlinux.exists():
        raise Unanswered("vmlinux", "the build left no vmlinux")
    state = dump_state.prepare(guest)
    total = guest.meminfo()["MemTotal"] // pages.PAGE
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
    release = guest.hello.release if guest.hello else ""
    questions = asked(release, total, canary, state.content(canary), unplugged)
    said = crash.ask(vmlinux, path, [q.command for q in questions], guest.out / "crash.log")
    yield from judged(said, questions)


@dataclass(frozen=True, slots=True)
class Question:
    """A command to crash; ``good`` tells whether an answer shows the right thing."""

    name: str
    command: str
    good: Callable[[str], bool]


def asked(
    release: str, total: int, canary: int, content: bytes, unplugged: int
) -> tuple[Question, ...]:
    """``total``: pages of MemTotal before the crash. ``canary`` and ``unplugged`` are page
    frames, ``content`` is what has to be in the first.
    """
    return (
        Question("sys", "sys", lambda said: PANIC in said and f"RELEASE: {release}\n" in said),
        Question("kmem-i", "kmem -i", lambda said: total_pages(said) == total),
        Question("bt", "bt", lambda said: [f for f in calls(said) if f in PATH] == PATH),
        Question("log", "log", lambda said: PANIC in said),
        Question(
            "canary",
            f"rd -8 -p {canary * pages.PAGE:#x} 32",
            lambda said: read_bytes(said) == content[:32],
        ),
        Question(
            "unplugged", f"rd -p {unplugged * pages.PAGE:#x}", lambda said: EXCLUDED in said
        ),
    )


def judged(said: crash.Said, questions: Sequence[Question]) -> Iterator[Subtest]:
    """A crash that did not open the dump answers nothing, so that every question fails.

    Of a vmlinux that is not the dumped kernel's it only warns, and what it then says is void.
    """
    mismatch = next((line for line in said.first.splitlines() if MISMATCH in line), "")
    for question in questions:
        answer = said.to[question.command]
        last = answer.splitlines()[-1].strip() if answer else f"no answer: {said.complaint}"
        good = question.good(answer) and not mismatch
        result = subtest(question.name, good, f"{question.command}: {mismatch or last}")
        yield replace(result, aside=question.name == "sys")


def calls(said: str) -> list[str]:
    """The functions in a backtrace, innermost first."""
    return re.findall(r"^ *#\d+ \[[0-9a-f]+\] (\w+) at [0-9a-f]+", said, re.MULTILINE)


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
        version=2,
        needs=(*dump_kdump.NEEDS, "DEBUG_INFO_DWARF4"),
        machine=machines.load("dump"),
        deadline=240.0,
        check=_check,
        files=(memory.FLAGS_SOURCE,),
        programs=("kexec", "makedumpfile", "crash"),
    )
