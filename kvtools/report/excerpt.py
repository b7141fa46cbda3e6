# SPDX-License-Identifier: GPL-2.0-or-later
"""Which lines of a log to show: those that tell, what stands around them, and its ends. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """Indexes of the lines that are evidence, and the evidence that is in no line."""

    marked: frozenset[int]
    unseen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A line to show, by its index, after ``left_out`` lines that are not."""

    index: int
    left_out: int


def find(lines: Sequence[str], evidence: Iterable[str]) -> Found:
    """Where the evidence is in the log. It may have lost indentation and line ends on its way."""
    told = {_key(line): line for line in evidence}
    told.pop("", None)
    if not told:
        return Found(frozenset(), ())
    seen: set[str] = set()
    marked = []
    for index, line in enumerate(lines):
        key = _key(line)
        if key in told:
            marked.append(index)
            seen.add(key)
    return Found(frozenset(marked), tuple(line for key, line in told.items() if key not in seen))


def _key(line: str) -> str:
    return " ".join(line.split())


def around(
    marked: Iterable[int], count: int, *, context: int, tail: int, head: int = 0
) -> set[int]:
    """The ends of a log of ``count`` lines and ``context`` lines on either side of the marked."""
    chosen = set(range(min(head, count))) | set(range(max(0, count - tail), count))
    for number in marked:
        chosen.update(range(max(0, number - context), min(count, number + context + 1)))
    return chosen


def pieces(chosen: Iterable[int]) -> Iterator[Piece]:
    """The chosen lines in order, each with the number of lines left out before it."""
    expected = 0
    for index in sorted(chosen):
        yield Piece(index, index - expected)
        expected = index + 1
