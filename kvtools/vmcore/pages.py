# SPDX-License-Identifier: GPL-2.0-or-later
"""Sets of page frames as integers: bit N is page frame N.

Half a gigabyte is 16 KiB of bits, so union, difference and counting cost microseconds, and
the bitmaps of a dump file are such integers as they stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

PAGE = 4096


def span(start: int, end: int) -> int:
    """The whole pages between two addresses, ``end`` exclusive.

    >>> bin(span(0x1000, 0x4000))
    '0b1110'
    """
    first, last = -(-start // PAGE), end // PAGE
    return ((1 << (last - first)) - 1) << first if last > first else 0


def spans(ranges: Iterable[tuple[int, int]]) -> int:
    found = 0
    for start, end in ranges:
        found |= span(start, end)
    return found


def of(numbers: Iterable[int]) -> int:
    """The set of these page frame numbers.

    >>> bin(of([3, 0]))
    '0b1001'
    """
    found = bytearray()
    for number in numbers:
        place = number >> 3
        if place >= len(found):
            found += bytes(place + 1 - len(found))
        found[place] |= 1 << (number & 7)
    return int.from_bytes(found, "little")


def count(pages: int) -> int:
    return pages.bit_count()


def frames(pages: int) -> Iterator[int]:
    """The page frame numbers, ascending.

    >>> list(frames(0b1101))
    [0, 2, 3]
    """
    bits = bin(pages)[:1:-1]
    at = bits.find("1")
    while at >= 0:
        yield at
        at = bits.find("1", at + 1)


def first(pages: int) -> int | None:
    """The lowest page frame number, None of an empty set."""
    return (pages & -pages).bit_length() - 1 if pages else None


def runs(pages: int) -> list[tuple[int, int]]:
    """As address ranges, ends exclusive.

    >>> runs(0b1101)
    [(0, 4096), (8192, 16384)]
    """
    found: list[tuple[int, int]] = []
    at = 0
    while pages >> at:
        rest = pages >> at
        start = at + (rest & -rest).bit_length() - 1
        solid = ~(pages >> start)
        at = start + (solid & -solid).bit_length() - 1
        found.append((start * PAGE, at * PAGE))
    return found
