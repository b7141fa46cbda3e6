# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures of subtests that measured the same things, as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kvtools.model import Json, Outcome
from kvtools.report.printable import pad, printable, width

LEAST = 4  # figures: fewer are easier to read beside their subtest


def tabled(parts: Sequence[Outcome]) -> list[Outcome]:
    """Of subtests, those that go into a table: the most that share all their figures."""
    groups: dict[tuple[str, ...], list[Outcome]] = {}
    for part in parts:
        figures = part.details.get("figures", {})
        numbers = all(isinstance(value, int | float) for value in figures.values())
        if len(figures) >= LEAST and numbers:
            groups.setdefault(tuple(figures), []).append(part)
    most = max(groups.values(), key=len, default=[])
    return most if len(most) > 1 else []


def table(parts: Sequence[Outcome]) -> list[str]:
    """A line for each figure, a column for each of the subtests that :func:`tabled` gave."""
    if not parts:
        return []
    figures: list[Mapping[str, Json]] = [part.details["figures"] for part in parts]
    names = list(figures[0])
    cells = [[printable(part.name.rpartition(".")[2]) for part in parts]]
    cells += [[f"{column[name]}" for column in figures] for name in names]
    label = max(width(printable(name)) for name in names)
    rooms = [max(width(row[at]) for row in cells) for at in range(len(parts))]
    lines = []
    for name, row in zip(["", *names], cells, strict=True):
        columns = "  ".join(
            " " * (room - width(text)) + text for text, room in zip(row, rooms, strict=True)
        )
        lines.append(f"  {pad(printable(name), label)}  {columns}")
    return ["figures", *lines]
