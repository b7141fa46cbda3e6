# SPDX-License-Identifier: GPL-2.0-or-later
"""What makedumpfile says it did: the report of ``--message-level 16``, numbers in pages."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FIELDS = {
    "Original pages": "original",
    "Excluded pages": "excluded",
    "Pages filled with zero": "zero",
    "Non-private cache pages": "cache",
    "Private cache pages": "private_cache",
    "User process data pages": "user",
    "Free pages": "free",
    "Hwpoison pages": "hwpoison",
    "Offline pages": "offline",
    "pages excluded from vmemmap": "vmemmap",
    "Remaining pages": "remaining",
    "Memory Hole": "hole",
    "Total pages": "total",
}
_LINE = re.compile(r"\s*([A-Za-z][A-Za-z -]*?)\s*:\s*(?:0x)?([0-9a-f]+)\s*")
CATEGORIES = ("zero", "cache", "private_cache", "user", "free", "hwpoison", "offline")


@dataclass(frozen=True, slots=True)
class Report:
    """Pages the dumped machine has, those left out by category, those written."""

    original: int
    zero: int
    cache: int
    private_cache: int
    user: int
    free: int
    hwpoison: int
    offline: int
    excluded: int
    remaining: int

    @property
    def problem(self) -> str:
        """Where it contradicts itself, "" when it adds up."""
        parts = sum(getattr(self, name) for name in CATEGORIES)
        if parts != self.excluded:
            return f"its categories make {parts} excluded pages, its sum says {self.excluded}"
        if self.original - self.excluded != self.remaining:
            return (
                f"{self.original} pages less {self.excluded} excluded are not "
                f"{self.remaining} remaining"
            )
        return ""


def parse(text: str) -> Report | None:
    """The report in what makedumpfile printed; None when it printed none that is whole."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match and match[1] in _FIELDS:
            found[_FIELDS[match[1]]] = int(match[2], 16)
    names = Report.__dataclass_fields__
    return Report(**{n: found[n] for n in names}) if found.keys() >= names.keys() else None
