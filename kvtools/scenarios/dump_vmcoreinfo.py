# SPDX-License-Identifier: GPL-2.0-or-later
"""``dump.vmcoreinfo``: the kernel tells dump tools what they need, offline pages included.

The note is read from /proc/kcore, where a live kernel shows the one it would crash with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kvtools import git
from kvtools.cpp.comments import without_comments
from kvtools.errors import UserError
from kvtools.model import Status
from kvtools.scenarios import machines
from kvtools.scenarios.base import Guest, Scenario, Subtest, Unanswered, subtest
from kvtools.vmcore import Damaged, ElfCore, info

PAGE_FLAGS = "include/linux/page-flags.h"
HEAD = 1 << 16  # bytes of /proc/kcore that hold its headers and notes
# What makedumpfile 1.7.2 reads of an x86-64 kernel with SPARSEMEM (read_vmcoreinfo()).
NEEDED = (
    "OSRELEASE", "PAGESIZE", "SYMBOL(init_uts_ns)", "SYMBOL(swapper_pg_dir)", "SYMBOL(_stext)",
    "SYMBOL(node_online_map)", "SYMBOL(mem_section)", "LENGTH(mem_section)", "SIZE(mem_section)",
    "OFFSET(mem_section.section_mem_map)", "NUMBER(SECTION_SIZE_BITS)",
    "NUMBER(MAX_PHYSMEM_BITS)", "SIZE(page)", "OFFSET(page.flags)", "OFFSET(page._refcount)",
    "OFFSET(page.mapping)", "OFFSET(page._mapcount)", "OFFSET(page.private)",
    "OFFSET(page.lru)", "NUMBER(PG_lru)", "NUMBER(PG_private)", "NUMBER(PG_swapcache)",
    "NUMBER(PG_swapbacked)", "NUMBER(PG_slab)", "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)",
    "NUMBER(phys_base)",
)  # fmt: skip


def _check(guest: Guest) -> Iterator[Subtest]:
    text = note_of(guest)
    (guest.out / "vmcoreinfo.txt").write_text(text)
    found = info.parse(text)
    release = guest.hello.release if guest.hello else ""
    told = found.plain.get("OSRELEASE")
    note = subtest(
        "note", told == release, f"the note of Linux {told}, {len(text)} bytes", bytes=len(text)
    )
    yield replace(note, aside=True)
    missing = [line for line in NEEDED if not found.has(line)]
    symbols = subtest(
        "symbols",
        not missing,
        f"{len(NEEDED) - len(missing)} of {len(NEEDED)} lines that makedumpfile needs are there"
        + (f"; not {', '.join(missing)}" if missing else ""),
        missing=missing,
    )
    yield replace(symbols, aside=True)
    yield offline_value(guest, found)


def note_of(guest: Guest) -> str:
    """The VMCOREINFO note of the running kernel. Raises Unanswered."""
    result = guest.sh(f"head -c {HEAD} /proc/kcore")
    try:
        text = ElfCore(result.stdout, headers_only=True).vmcoreinfo
    except Damaged as error:
        raise Unanswered("note", f"/proc/kcore is unreadable: {error.message}") from error
    if text is None:
        raise Unanswered("note", "/proc/kcore has no VMCOREINFO note")
    return text.rstrip("\0")


def offline_value(guest: Guest, found: info.Vmcoreinfo) -> Subtest:
    """The exported value against the page type in the tree's own header."""
    name = "offline-value"
    try:
        header = git.show(guest.source.repo, guest.source.commit, PAGE_FLAGS)
    except UserError as error:
        return Subtest(name, Status.SKIP, error.message)
    header = without_comments(header) or header  # as in the key
    expected = info.page_type(header.decode("utf-8", "replace"), "offline")
    if expected is None:
        return Subtest(name, Status.SKIP, f"no page type for offline pages in {PAGE_FLAGS}")
    value = found.number(info.OFFLINE)
    said = f"{value:#x}" if value is not None else "absent"
    return subtest(
        name,
        value == expected,
        f"NUMBER({info.OFFLINE}) is {said}, the page type makes it {expected:#x}",
        value=value,
        expected=expected,
    )


def vmcoreinfo() -> Scenario:
    return Scenario(
        name="dump.vmcoreinfo",
        version=1,
        needs=("PROC_KCORE", "CRASH_CORE"),
        machine=machines.load("dump-live"),
        deadline=60.0,
        check=_check,
        headers=(PAGE_FLAGS,),
    )
