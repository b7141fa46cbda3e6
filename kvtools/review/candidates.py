# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the bases at hand a series was made for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvtools import applying
from kvtools.request import RowResult


@dataclass(frozen=True, slots=True)
class Tried:
    """How far a series got on a base: ``applied`` patches ``of`` all, and what stopped it."""

    base: str
    version: str
    applied: int
    of: int
    why: str = ""

    @property
    def whole(self) -> bool:
        return self.applied == self.of

    def __str__(self) -> str:
        said = "all" if self.whole else f"{self.applied} of {self.of}"
        return f"{self.base} {self.version}: {said} applied" + (f"; {self.why}" if self.why else "")


def tried(base: str, version: str, rows: Sequence[RowResult]) -> Tried:
    """What applying the series to ``base`` came to."""
    for index, row in enumerate(rows):
        if why := applying.refused(row):
            return Tried(base, version, index, len(rows), f"patch {row.number}: {why}")
    return Tried(base, version, len(rows), len(rows))


def order(names: Sequence[str], prepared: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The bases to try: those that were asked for, else those that are there already.

    A baseline, which has an untouched tree beside it, comes last: nobody else has it.
    """
    if wanted:
        return list(wanted)
    return sorted((name for name in names if name in prepared),
                  key=lambda name: f"{name}/oracle" in names)
