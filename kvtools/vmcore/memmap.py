# SPDX-License-Identifier: GPL-2.0-or-later
"""The dumped kernel's own page structs: which pages it calls offline or free.

A second count beside makedumpfile's, from the same memory and the same VMCOREINFO, through
the kernel's page tables and memory sections (x86-64, SPARSEMEM).
"""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from kvtools.vmcore import pages
from kvtools.vmcore.info import Vmcoreinfo
from kvtools.vmcore.pages import PAGE

KERNEL_MAP = 0xFFFFFFFF80000000  # __START_KERNEL_map, Documentation/x86/x86_64/mm.rst
_ADDRESS = 0x000FFFFFFFFFF000
_PRESENT, _LARGE = 0x1, 0x80
_LEVELS = (39, 30, 21, 12)
_HAS_MAP = 0x2  # SECTION_HAS_MEM_MAP
_FLAGS = PAGE - 1  # of section_mem_map; a section's page structs begin on a page
_ORDERS = 11


class Dump(Protocol):
    """A dump as :func:`kvtools.vmcore.open_dump` gives it."""

    @property
    def present(self) -> int: ...
    @property
    def dumped(self) -> int: ...
    @property
    def shared(self) -> int: ...
    @property
    def vmcoreinfo(self) -> str | None: ...
    def page(self, frame: int) -> bytes | None: ...
    def zero_pages(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Section:
    """A memory section: its first page frame, how many, and where its page structs are."""

    first: int
    count: int
    structs: int


class Untold(Exception):
    """VMCOREINFO does not tell what it takes to find the page structs: the kernel's fault."""


class Memmap:
    """Raises Untold, and what reading the dump raises."""

    def __init__(self, dump: Dump, info: Vmcoreinfo) -> None:
        self._dump = dump
        self._info = info
        self._size = self._need(info.size("page"), "SIZE(page)")
        self._tables: dict[int, tuple[int, ...]] = {}
        self._structs: dict[int, array[int]] = {}
        self._sections: tuple[Section, ...] | None = None
        root = self._need(info.symbol("swapper_pg_dir"), "SYMBOL(swapper_pg_dir)")
        base = self._need(info.number("phys_base"), "NUMBER(phys_base)")
        self._base = base
        self._root = self.physical(root) // PAGE

    def _need(self, value: int | None, what: str) -> int:
        if value is None:
            raise Untold(f"VMCOREINFO has no {what}")
        return value

    def physical(self, address: int) -> int:
        """The physical address of a kernel symbol."""
        return address - KERNEL_MAP + self._base

    def translate(self, address: int) -> int | None:
        """The physical address behind a virtual one, None where nothing is mapped."""
        table = self._root
        for shift in _LEVELS:
            entry = self._table(table)[address >> shift & 511]
            if not entry & _PRESENT:
                return None
            if shift == _LEVELS[-1] or (entry & _LARGE and shift != _LEVELS[0]):
                low = (1 << shift) - 1
                return (entry & _ADDRESS & ~low) | (address & low)
            table = (entry & _ADDRESS) // PAGE
        return None

    def _table(self, frame: int) -> tuple[int, ...]:
        if frame not in self._tables:
            self._tables[frame] = struct.unpack("<512Q", self._dump.page(frame) or bytes(PAGE))
        return self._tables[frame]

    def read(self, address: int, size: int) -> bytes:
        """Bytes at a virtual address; a page that is not in the dump reads as zeroes."""
        found = bytearray()
        while size > 0:
            at = self.translate(address)
            part = min(size, PAGE - address % PAGE)
            page = None if at is None else self._dump.page(at // PAGE)
            start = address % PAGE
            found += (page or bytes(PAGE))[start : start + part]
            address, size = address + part, size - part
        return bytes(found)

    def sections(self) -> tuple[Section, ...]:
        """Those that have page structs, ascending."""
        if self._sections is None:
            self._sections = tuple(self._walk())
        return self._sections

    def _walk(self) -> Iterator[Section]:
        info = self._info
        roots = self._need(info.symbol("mem_section"), "SYMBOL(mem_section)")
        count = self._need(info.length("mem_section"), "LENGTH(mem_section)")
        size = self._need(info.size("mem_section"), "SIZE(mem_section)")
        member = self._need(info.offset("mem_section.section_mem_map"), "section_mem_map")
        bits = self._need(info.number("SECTION_SIZE_BITS"), "NUMBER(SECTION_SIZE_BITS)")
        in_section = (1 << bits) // PAGE
        per_root = PAGE // size
        for number, (root,) in enumerate(struct.iter_unpack("<Q", self.read(roots, 8 * count))):
            if not root:
                continue
            table = self.read(root, per_root * size)
            for at in range(per_root):
                (word,) = struct.unpack_from("<Q", table, at * size + member)
                if word & _HAS_MAP:
                    first = (number * per_root + at) * in_section
                    structs = (word & ~_FLAGS) + first * self._size
                    yield Section(first, in_section, structs & (1 << 64) - 1)

    def types(self) -> Counter[int]:
        """How many pages of present memory have which negative ``_mapcount``: the page types."""
        found: Counter[int] = Counter()
        for section in self.sections():
            here = self._dump.present >> section.first
            for frame, value in enumerate(self._words(section, "page._mapcount")):
                if value < -1 and here >> frame & 1:
                    found[value] += 1
        return found

    def of_type(self, value: int) -> int:
        """The set of present pages whose ``_mapcount`` is ``value``."""
        found = 0
        for section in self.sections():
            words = self._words(section, "page._mapcount")
            bits = "".join("1" if word == value else "0" for word in reversed(words))
            found |= int(bits, 2) << section.first
        return found & self._dump.present

    def free(self, buddy: int) -> int:
        """The set of pages in the buddy allocator: blocks of 2 ** ``private`` pages each."""
        found = 0
        heads = self.of_type(buddy)
        for section in self.sections():
            mine = heads >> section.first & (1 << section.count) - 1
            if not mine:
                continue
            orders = self._words(section, "page.private")
            for frame in pages.frames(mine):
                if 0 <= orders[frame] < _ORDERS:
                    found |= (1 << (1 << orders[frame])) - 1 << section.first + frame
        return found & self._dump.present

    def value_of(self, frame: int) -> int | None:
        """``_mapcount`` of one page, None when no section has it."""
        for section in self.sections():
            if section.first <= frame < section.first + section.count:
                return self._words(section, "page._mapcount")[frame - section.first]
        return None

    def _words(self, section: Section, member: str) -> array[int]:
        """A 32-bit member of every page struct of a section."""
        at = self._need(self._info.offset(member), f"OFFSET({member})")
        if section.first not in self._structs:
            raw = self.read(section.structs, section.count * self._size)
            self._structs[section.first] = array("i", raw)
        return self._structs[section.first][at // 4 :: self._size // 4]
