# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the bases at hand a series was made for. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from kvtools import applying
from kvtools.errors import MachineError, UserError
from kvtools.model import Status
from kvtools.report import TriedBase
from kvtools.request import RowResult


def told(one: TriedBase) -> str:
    """In a line."""
    name = f"{one.base} {one.version}".rstrip()
    if one.failed:
        return f"{name}: could not be tried: {one.why}"
    said = "all" if one.whole else f"{one.applied} of {one.of}"
    return f"{name}: {said} applied" + (f"; {one.why}" if one.why else "")


def tried(base: str, version: str, rows: Sequence[RowResult]) -> TriedBase:
    """What applying the series to ``base`` came to."""
    for index, row in enumerate(rows):
        if why := applying.refused(row):
            failed = any(o.status is Status.ERROR for o in row.outcomes)
            return TriedBase(base, version, index, len(rows), f"patch {row.number}: {why}", failed)
    return TriedBase(base, version, len(rows), len(rows))


def best(results: Sequence[TriedBase]) -> str:
    """The first base that takes the whole series.

    Raises UserError when there is none: that the bases are of another time is no fault of a
    patch. Raises MachineError when one of them could not be tried: it may have been that one.
    """
    for one in results:
        if one.whole:
            return one.base
    table = "".join(f"\n  {told(one)}" for one in results)
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
