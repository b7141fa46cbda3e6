# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guest says of its memory (``kvtools/guest/memory.sh``), and what of it is offline."""

from __future__ import annotations

import gzip
import shlex
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from kvtools import git, ktap
from kvtools.errors import UserError
from kvtools.scenarios.base import GUEST, Guest, Unanswered

PAGE = 4096
OFFLINE_BIT = 23  # include/uapi/linux/kernel-page-flags.h
KPF_OFFLINE = 1 << OFFLINE_BIT
KPF_HWPOISON = 1 << 19
ENTRY = 8  # bytes in /proc/kpageflags for one page
SCRIPT = f"sh {shlex.quote(str(GUEST / 'memory.sh'))}"

FLAGS_SOURCE = "fs/proc/page.c"
"""Where a tree shows whether its /proc/kpageflags knows PG_offline."""

NOT_SHOWN = "this kernel's /proc/kpageflags has no KPF_OFFLINE"


@dataclass(frozen=True, slots=True)
class Resource:
    """A line of /proc/iomem; ``end`` is exclusive."""

    start: int
    end: int
    name: str

    @property
    def size(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class View:
    """Memory as the guest sees it, in bytes. Blocks are those of /sys/devices/system/memory."""

    total: int
    block_size: int
    online: frozenset[int]
    offline: frozenset[int]
    resources: tuple[Resource, ...]

    def online_in(self, start: int, end: int) -> tuple[int, ...]:
        """The online blocks wholly between two addresses."""
        if not self.block_size:
            return ()
        first, last = -(-start // self.block_size), end // self.block_size
        return tuple(sorted(block for block in self.online if first <= block < last))

    def ram_in(self, start: int, end: int) -> int:
        """Bytes of System RAM between two addresses according to /proc/iomem."""
        return sum(
            r.size
            for r in self.resources
            if r.name.startswith("System RAM") and start <= r.start and r.end <= end
        )


def look(guest: Guest) -> View:
    """Ask the guest. Raises Unanswered when it cannot tell."""
    return parse(guest.sh(SCRIPT).text)


def parse(text: str) -> View:
    """The answer of ``memory.sh``; Unanswered unless it is KTAP with ``ok 1 memory``."""
    answer = ktap.parse(text)
    if not answer.subtests or any(answer.all_problems()):
        raise Unanswered("memory", f"the guest does not tell its memory: {text[-80:]!r}")
    said = [line.partition(" ")[::2] for line in answer.subtests[0].diagnostics]
    try:
        values = dict(said)
        return View(
            total=int(values["memtotal"]) * 1024,
            block_size=int(values.get("block_size", "0"), 16),
            online=frozenset(map(int, values.get("online", "").split())),
            offline=frozenset(map(int, values.get("offline", "").split())),
            resources=tuple(_resource(rest) for word, rest in said if word == "iomem"),
        )
    except (KeyError, ValueError) as error:
        raise Unanswered("memory", f"the guest tells its memory badly: {error}") from error


def _resource(line: str) -> Resource:
    span, _, name = line.strip().partition(" : ")
    start, _, end = span.partition("-")
    return Resource(int(start, 16), int(end, 16) + 1, name)


def shows_offline(guest: Guest) -> bool:
    """Whether the tree under test reports PG_offline pages in /proc/kpageflags."""
    try:
        source = git.show(guest.source.repo, guest.source.commit, FLAGS_SOURCE)
    except UserError:
        return False
    return b"KPF_OFFLINE" in source


def offline_bytes(guest: Guest, view: View, blocks: Sequence[int]) -> int:
    """How much of those blocks /proc/kpageflags calls offline."""
    flags = page_flags(guest, view, blocks)
    return sum(1 for flag in flags if flag & KPF_OFFLINE) * PAGE


def page_flags(guest: Guest, view: View, blocks: Sequence[int]) -> array[int]:
    """/proc/kpageflags of those ascending blocks, one number for each page."""
    if not blocks:
        return array("Q")
    pages = view.block_size // PAGE
    script = "{ " + " ".join(
        f"dd if=/proc/kpageflags bs=64k iflag=skip_bytes,count_bytes status=none "
        f"skip={first * pages * ENTRY} count={count * pages * ENTRY};"
        for first, count in runs(blocks)
    ) + " } | gzip -1"
    result = guest.sh(script, deadline=30.0)
    try:
        raw = gzip.decompress(result.stdout)
    except (OSError, EOFError, zlib.error) as error:
        raise Unanswered("kpageflags", f"unreadable: {result.complaint}") from error
    if len(raw) != len(blocks) * pages * ENTRY:
        raise Unanswered("kpageflags", f"only {len(raw)} bytes for {len(blocks)} blocks")
    return array("Q", raw)  # x86 like the guest: same byte order


def flags_at(guest: Guest, address: int) -> int:
    """/proc/kpageflags of the page at a physical address. Raises Unanswered without a memmap."""
    result = guest.sh(
        f"dd if=/proc/kpageflags bs={ENTRY} count=1 status=none skip={address // PAGE}"
    )
    if len(result.stdout) != ENTRY:
        raise Unanswered("kpageflags", f"no flags for {address:#x}: {result.complaint}")
    return array("Q", result.stdout)[0]


def runs(blocks: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending numbers as (first, how many) of neighbours.

    >>> runs([3, 4, 7])
    [(3, 2), (7, 1)]
    """
    found: list[tuple[int, int]] = []
    for block in blocks:
        if found and sum(found[-1]) == block:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((block, 1))
    return found


# Zones


Zones = dict[str, int]
"""A zone, as ``node.name``, to the pages of it that are ``managed``; empty zones left out."""


def zones(guest: Guest, what: str = "managed") -> Zones:
    """Pages by zone; ``what`` is ``spanned``, ``present`` or ``managed``."""
    return parse_zones(guest.sh("cat /proc/zoneinfo").text, what)


def parse_zones(text: str, what: str) -> Zones:
    """From /proc/zoneinfo, which says of an empty zone that it spans nothing."""
    found: Zones = {}
    name = ""
    for line in text.splitlines():
        words = line.replace(",", " ").split()
        if words[:1] == ["Node"] and "zone" in words:
            name = f"{words[1]}.{words[-1]}"
        elif len(words) == 2 and words[0] == what and name and words[1] != "0":
            found[name] = int(words[1])
    if not name:
        raise Unanswered("zones", "the guest's /proc/zoneinfo is empty")
    return found


def pageblock(guest: Guest) -> int:
    """Bytes of a pageblock, the least that memory is put to use in."""
    text = guest.sh("head -n 2 /proc/pagetypeinfo").text
    for line in text.splitlines():
        name, _, pages = line.partition(":")
        if name == "Pages per block" and pages.strip().isdigit():
            return int(pages) * PAGE
    raise Unanswered("pageblock", "the guest's /proc/pagetypeinfo does not tell")
