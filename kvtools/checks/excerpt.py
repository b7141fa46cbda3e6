# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of a C file that a patch is about, with its line numbers; pure.

Kernel style, as in :mod:`kvtools.checks.enclosing`: the braces of a function's body stand alone
in the first column.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from kvtools.checks.enclosing import function_of
from kvtools.diff import FileDiff


def places(file: FileDiff) -> tuple[int, ...]:
    """Lines of the new side (from 1) that are added, or that something was removed above."""
    found: dict[int, None] = {}
    for hunk in file.hunks:
        # "+7,0": nothing is left of the hunk on this side, what was there was behind line 7
        at = hunk.new_start + (not hunk.new)
        for row in hunk.lines:
            if row[:1] in (b"+", b"-"):
                found[max(at, 1)] = None
            at += row[:1] != b"-"
    return tuple(found)


def functions_at(text: str, lines: Iterable[int]) -> frozenset[str]:
    """The functions that these lines (from 1) lie in."""
    return frozenset(name for line in lines if (name := function_of(text, line)))


def of(text: str, functions: Collection[str]) -> str:
    """``text`` with the bodies of all functions but these emptied."""
    rows = text.split("\n")
    for first, last in _bodies(rows):
        if function_of(text, first + 1) not in functions:
            rows[first + 1:last] = [""] * (last - first - 1)
    return "\n".join(rows)


def _bodies(rows: list[str]) -> Iterator[tuple[int, int]]:
    """First and last row of every body, braces included."""
    start = None
    for at, row in enumerate(rows):
        if row.startswith("{") and start is None:
            start = at
        elif row.startswith("}") and start is not None:
            yield start, at
            start = None
