# SPDX-License-Identifier: GPL-2.0-or-later
"""Name a cell of the matrix in few words (``3:boot``), and find the cell so named."""

from __future__ import annotations

from collections.abc import Iterable

from kvtools.errors import UserError
from kvtools.report.model import RunReport, row_label


def selector(report: RunReport, number: int, cell: str) -> str:
    """The shortest ``ROW:CELL`` that :func:`resolve` finds again: ``3:boot``, ``base:apply``."""
    step, _, name = cell.partition(":")
    for short in (step, name):
        if short and _matches(report.cells, short) == [cell]:
            return f"{row_label(number)}:{short}"
    return f"{row_label(number)}:{cell}"


def resolve(report: RunReport, wanted: str) -> tuple[int, str]:
    """The row number and the cell that ``wanted`` names.

    ``ROW`` is a patch number, ``base`` or ``tip``; ``CELL`` a column (``build:guest``),
    its step or its name alone where that is unique, or a subtest (``vmem.resize.grow``,
    which means its scenario). Raises :class:`UserError` naming what there is.
    """
    row, colon, cell = wanted.partition(":")
    number = _row(report, row, wanted)
    if not colon or not cell:
        raise UserError(f"cell {wanted!r} names no column", fix=f"add one of {_all(report)}")
    found = _matches(report.cells, cell)
    if len(found) > 1:
        raise UserError(f"cell {wanted!r} is ambiguous", fix=f"one of {', '.join(found)}")
    if not found:
        raise UserError(f"cell {wanted!r}: no such column", fix=f"one of {_all(report)}")
    line = report.row(number)
    if line is None or line.outcome(found[0]) is None:
        raise UserError(f"cell {wanted!r} was not run", fix="see the matrix: kvtools report RUN")
    return number, found[0]


def _row(report: RunReport, word: str, wanted: str) -> int:
    numbers = [row.number for row in report.rows]
    if word == "base":
        word = "0"
    if word == "tip" and numbers:
        return max(numbers)
    if word.isascii() and word.isdigit() and int(word) in numbers:
        return int(word)
    raise UserError(
        f"cell {wanted!r}: no row {word!r} in run {report.id}",
        fix=f"one of {', '.join(row_label(n) for n in numbers)}",
    )


def _matches(cells: Iterable[str], word: str) -> list[str]:
    cells = list(cells)
    if word in cells:
        return [word]
    parts = [(cell, *cell.partition(":")[::2]) for cell in cells]
    found = [cell for cell, step, name in parts if word in (step, name)]
    return found or [cell for cell, _, name in parts if name and word.startswith(f"{name}.")]


def _all(report: RunReport) -> str:
    return ", ".join(report.cells) or "nothing (no cell was run)"
