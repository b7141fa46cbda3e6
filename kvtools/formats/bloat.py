# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of the kernel's ``scripts/bloat-o-meter -c``; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TABLE = re.compile(r"(?P<kind>Function|Data|RO Data)\s+old\s+new\s+delta$")
_ROW = re.compile(r"(?P<name>\S+)\s+(?P<old>\d+|-)\s+(?P<new>\d+|-)\s+(?P<delta>[+-]\d+)$")
_TOTAL = re.compile(r"Total: Before=(?P<before>\d+), After=(?P<after>\d+), chg ")
_COUNTED = re.compile(r"(__UNIQUE_ID_\w*?)\d+$")
_KINDS = ("Function", "Data", "RO Data")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol whose size changed, in bytes; ``old`` is None for a new one, ``new`` for one
    that is gone."""

    kind: str
    name: str
    old: int | None
    new: int | None

    @property
    def delta(self) -> int:
        return (self.new or 0) - (self.old or 0)


@dataclass(frozen=True, slots=True)
class Sizes:
    """One comparison: totals in bytes by kind (Function, Data, RO Data) as (before, after)."""

    symbols: tuple[Symbol, ...]
    totals: dict[str, tuple[int, int]]

    def delta(self, kind: str) -> int:
        before, after = self.totals[kind]
        return after - before


def parse(output: str) -> Sizes:
    """Read the three tables. Raises ValueError when one is missing: the script failed."""
    kind = ""
    symbols: list[Symbol] = []
    totals: dict[str, tuple[int, int]] = {}
    for line in output.splitlines():
        if match := _TABLE.match(line):
            kind = match["kind"]
        elif match := _TOTAL.match(line):
            totals[kind] = (int(match["before"]), int(match["after"]))
        elif kind and (match := _ROW.match(line)):
            symbols.append(Symbol(kind, match["name"], _size(match["old"]), _size(match["new"])))
    if set(totals) != set(_KINDS):
        raise ValueError("bloat-o-meter printed no complete table")
    return Sizes(tuple(_same_symbol(symbols)), totals)


def _same_symbol(symbols: list[Symbol]) -> Iterator[Symbol]:
    """``symbols`` with those taken for one that differ by the number of __UNIQUE_ID() only,
    which every macro before it in the unit may count on."""
    gone: dict[tuple[str, str], list[Symbol]] = {}
    for symbol in symbols:
        if symbol.new is None and _COUNTED.match(symbol.name):
            gone.setdefault(_identity(symbol), []).append(symbol)
    paired: set[Symbol] = set()
    for symbol in symbols:
        partners = gone.get(_identity(symbol), []) if symbol.old is None else []
        if partners:
            partner = partners.pop(0)
            paired |= {partner, symbol}
            if partner.old != symbol.new:
                yield Symbol(symbol.kind, _identity(symbol)[1], partner.old, symbol.new)
    yield from (symbol for symbol in symbols if symbol not in paired)


def _identity(symbol: Symbol) -> tuple[str, str]:
    return symbol.kind, _COUNTED.sub(r"\1", symbol.name)


def _size(text: str) -> int | None:
    return None if text == "-" else int(text)
