# SPDX-License-Identifier: GPL-2.0-or-later
"""The data a step left behind as tables where it has the shape of one, else as indented lines.

Pure, and without knowledge of what the data means: a new scenario needs nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kvtools.model import Json
from kvtools.report.cell import tree

MOST_ROWS = 60
MOST_COLUMNS = 20


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption; the first cell of a row names the row when ``named``."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    named: bool = False
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Lines:
    """Text under a heading, line by line."""

    caption: str
    lines: tuple[str, ...]


def blocks(data: Mapping[str, Json]) -> Iterator[Table | Lines]:
    """``data`` (JSON) as blocks: first one table of the plain values, then one block a key."""
    simple = {key: value for key, value in data.items() if _is_scalar(value)}
    if simple:
        rows = tuple((key, text(value)) for key, value in simple.items())
        yield Table("", ("", "value"), rows, named=True)
    for key, value in data.items():
        if key not in simple and value:
            yield _block(key, value)


def _block(caption: str, value: Json) -> Table | Lines:
    if isinstance(value, Mapping):
        if all(map(_is_scalar, value.values())):
            rows = tuple((str(key), text(item)) for key, item in value.items())
            return Table(caption, ("", "value"), rows[:MOST_ROWS], True, _beyond(rows))
        if all(map(_is_row, value.values())):
            return _table(caption, list(value.values()), list(map(str, value)))
    if isinstance(value, Sequence) and value and all(map(_is_row, value)):
        return _table(caption, value, [])
    return Lines(caption, tuple(tree(value)))


def _table(
    caption: str, items: Sequence[Mapping[str, Json]], names: Sequence[str]
) -> Table | Lines:
    columns = tuple(dict.fromkeys(key for item in items for key in item))
    empty: tuple[Json, ...] = (None, "", [], {})
    columns = tuple(c for c in columns if any(item.get(c) not in empty for item in items))
    if len(columns) > MOST_COLUMNS:
        return Lines(caption, tuple(tree(list(items))))
    body = [tuple(text(item.get(column)) for column in columns) for item in items]
    if names:
        body = [(name, *row) for name, row in zip(names, body, strict=True)]
        columns = ("", *columns)
    return Table(caption, columns, tuple(body[:MOST_ROWS]), bool(names), _beyond(body))


def figures_table(figures: Mapping[str, Mapping[str, Json]]) -> Table | None:
    """The figures of subtests side by side, by name; None where most are of other kinds."""
    kinds = dict.fromkeys(key for values in figures.values() for key in values)
    full = sum(2 * len(values) >= len(kinds) for values in figures.values())
    if len(figures) < 2 or len(kinds) < 3 or 2 * full < len(figures):
        return None
    made = _table("Figures", list(figures.values()), list(figures))
    return made if isinstance(made, Table) else None


def _beyond(rows: Sequence[object]) -> int:
    return max(0, len(rows) - MOST_ROWS)


def _is_scalar(value: Json) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _is_row(value: Json) -> bool:
    """A mapping of scalars, short lists of scalars allowed."""
    return isinstance(value, Mapping) and bool(value) and all(
        _is_scalar(item) or (_is_flat(item) and len(item) <= 4) for item in value.values()
    )


def _is_flat(value: Json) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_is_scalar, value))


def text(value: Json) -> str:
    """A value as a person reads it: whole numbers in groups of three, None as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(text, value))
    if isinstance(value, Mapping):
        return pairs(value)
    return str(value)


def pairs(values: Mapping[str, Json]) -> str:
    """``requested 1,073,741,824, plugged 0``: figures in one line."""
    return ", ".join(_pairs(values))


def _pairs(values: Mapping[str, Json]) -> Iterable[str]:
    for key, value in values.items():
        yield f"{key} {text(value)}"
