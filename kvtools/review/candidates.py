# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the bases at hand a series was made for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvtools import applying
from kvtools.errors import MachineError, UserError
from kvtools.model import Status
from kvtools.request import RowResult


@dataclass(frozen=True, slots=True)
class Tried:
    """How far a series got on a base: ``applied`` patches ``of`` all, and what stopped it.

    ``failed``: the machine did, and it says nothing about the series.
    """

    base: str
    version: str
    applied: int
    of: int
    why: str = ""
    failed: bool = False

    @property
    def whole(self) -> bool:
        return self.applied == self.of and not self.failed

    def __str__(self) -> str:
        name = f"{self.base} {self.version}".rstrip()
        if self.failed:
            return f"{name}: could not be tried: {self.why}"
        said = "all" if self.whole else f"{self.applied} of {self.of}"
        return f"{name}: {said} applied" + (f"; {self.why}" if self.why else "")


def tried(base: str, version: str, rows: Sequence[RowResult]) -> Tried:
    """What applying the series to ``base`` came to."""
    for index, row in enumerate(rows):
        if why := applying.refused(row):
            failed = any(o.status is Status.ERROR for o in row.outcomes)
            return Tried(base, version, index, len(rows), f"patch {row.number}: {why}", failed)
    return Tried(base, version, len(rows), len(rows))


def best(results: Sequence[Tried]) -> str:
    """The first base that takes the whole series.

    Raises UserError when there is none: that the bases are of another time is no fault of a
    patch. Raises MachineError when one of them could not be tried: it may have been that one.
    """
    for one in results:
        if one.whole:
            return one.base
    table = "".join(f"\n  {one}" for one in results)
    if any(one.failed for one in results):
        raise MachineError(f"no base was found for the series, and not all could be tried:{table}")
    raise UserError(f"the series applies whole to none of these bases:{table}\n",
                    fix="name its own with --tree PATH --base REV, or more with --candidate")


def order(names: Sequence[str], prepared: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The bases to try: those that were asked for, else those that are there already.

    A baseline, which has an untouched tree beside it, comes last: nobody else has it.
    """
    if wanted:
        return list(wanted)
    return sorted((name for name in names if name in prepared),
                  key=lambda name: f"{name}/oracle" in names)
