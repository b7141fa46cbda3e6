# SPDX-License-Identifier: GPL-2.0-or-later
"""The VMCOREINFO note: what a kernel tells dump tools about itself, as text.

Lines such as ``SYMBOL(swapper_pg_dir)=ffffffff82210000`` (hexadecimal), ``NUMBER(phys_base)=0``,
``SIZE(page)=64``, ``OFFSET(page.flags)=0``, ``LENGTH(mem_section)=2048``, ``OSRELEASE=6.1.192``
(Documentation/admin-guide/kdump/vmcoreinfo.rst).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

OFFLINE = "PAGE_OFFLINE_MAPCOUNT_VALUE"
BUDDY = "PAGE_BUDDY_MAPCOUNT_VALUE"
HWPOISON = "PG_hwpoison"

_LINE = re.compile(r"(?:(?P<kind>[A-Z]+)\((?P<name>[^)]*)\)|(?P<plain>[A-Z]+))=(?P<value>.*)")
_HEXADECIMAL = "SYMBOL"


@dataclass(frozen=True, slots=True)
class Vmcoreinfo:
    """``plain`` are lines without a kind (OSRELEASE, PAGESIZE, CRASHTIME), the rest numbers."""

    text: str
    plain: Mapping[str, str]
    values: Mapping[tuple[str, str], int]

    def number(self, name: str) -> int | None:
        return self.values.get(("NUMBER", name))

    def symbol(self, name: str) -> int | None:
        """An address, None when the kernel does not tell it."""
        return self.values.get(("SYMBOL", name))

    def size(self, name: str) -> int | None:
        return self.values.get(("SIZE", name))

    def offset(self, name: str) -> int | None:
        """Of a member, ``page._mapcount``."""
        return self.values.get(("OFFSET", name))

    def length(self, name: str) -> int | None:
        return self.values.get(("LENGTH", name))

    def has(self, line: str) -> bool:
        """Whether there is a line ``line``, written as ``NUMBER(phys_base)`` or ``OSRELEASE``."""
        kind, bracket, rest = line.partition("(")
        return (kind, rest.rstrip(")")) in self.values if bracket else line in self.plain


def parse(text: str) -> Vmcoreinfo:
    """Lines that are none of ours are left out: every kernel adds some."""
    plain: dict[str, str] = {}
    values: dict[tuple[str, str], int] = {}
    for line in text.rstrip("\0").splitlines():
        match = _LINE.fullmatch(line)
        if not match:
            continue
        if match["plain"]:
            plain[match["plain"]] = match["value"]
            continue
        try:
            value = int(match["value"], 16 if match["kind"] == _HEXADECIMAL else 0)
        except ValueError:
            continue
        values[match["kind"], match["name"]] = value
    return Vmcoreinfo(text.rstrip("\0"), plain, values)


def page_type(header: str, name: str) -> int | None:
    """What ``NUMBER(PAGE_<NAME>_MAPCOUNT_VALUE)`` has to be for a page type, from page-flags.h.

    A page of a type has its bit cleared in the word that ``_mapcount`` shares (until 6.11), or
    the type's number in its top byte (since 6.12). The exported number is a signed int. None
    when the header knows no such type.
    """
    bit = re.search(rf"^#define\s+PG_{name}\s+(0x[0-9a-f]+)$", header, re.MULTILINE)
    if bit:
        return ~int(bit[1], 16)
    top = re.search(rf"^\s*PGTY_{name}\s*=\s*(0x[0-9a-f]+),", header, re.MULTILINE)
    return (int(top[1], 16) << 24) - (1 << 32) if top else None
