# SPDX-License-Identifier: GPL-2.0-or-later
"""What was found, finding by finding: new, pre-existing or fixed, and on which patches. Pure.

Compilers and guests leave fingerprints, which the verdict compares with the base's; checks
of the patch itself (``details["findings"]``) say themselves what their parent had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from kvtools.model import Json, Outcome, Status
from kvtools.report.jsonreport import plain
from kvtools.report.model import BASE_ROW, RunReport


class Kind(StrEnum):
    """What became of a finding between base and patch."""

    NEW = "new"
    PREEXISTING = "pre-existing"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Found:
    """One finding; ``rows`` are the numbers of the patches that have it, 0 the base.

    ``status`` is that of the first cell that has it. ``file`` is empty where there is none,
    ``line`` 0; they are those on the first patch.
    """

    kind: Kind
    status: Status
    cell: str
    text: str
    rows: tuple[int, ...]
    file: str = ""
    line: int = 0


def findings(report: RunReport) -> tuple[Found, ...]:
    """Every finding of the run, the same one on several patches once; new ones first."""
    grouped: dict[tuple[Kind, str, str, str], list[tuple[int, Found]]] = {}
    for row, outcome in report.outcomes():
        for one in _of(row.number, outcome):
            key = (one.kind, one.cell, one.file, one.text)
            grouped.setdefault(key, []).append((row.number, one))
    merged = [_merged(members) for members in grouped.values()]
    order = list(Kind)
    return tuple(sorted(merged, key=lambda one: (order.index(one.kind), one.rows[0])))


def _merged(members: list[tuple[int, Found]]) -> Found:
    first = members[0][1]
    rows = tuple(dict.fromkeys(number for number, _ in members))
    return Found(first.kind, first.status, first.cell, first.text, rows, first.file, first.line)


def _of(number: int, outcome: Outcome) -> Iterator[Found]:
    """The findings of one cell; a cell without a verdict has none."""
    if outcome.status in (Status.ERROR, Status.SKIP):
        return
    details = plain(outcome.details)
    if isinstance(details.get("findings"), list):
        yield from _of_check(number, outcome, details)
        return
    places = _places(details)
    for kind, text in _compared(number, outcome, details):
        file, line = places.get(text, ("", 0))
        yield Found(kind, outcome.status, outcome.cell, text, (number,), file, line)


def _compared(
    number: int, outcome: Outcome, details: Mapping[str, Json]
) -> Iterator[tuple[Kind, str]]:
    if number == BASE_ROW:
        yield from ((Kind.PREEXISTING, mark) for mark in outcome.fingerprints)
        return
    lists = {
        Kind.NEW: _texts(details.get("new")),
        Kind.PREEXISTING: _texts(details.get("preexisting")),
        Kind.FIXED: _texts(details.get("fixed")),
    }
    if not lists[Kind.NEW] and outcome.status is Status.FAIL:
        lists[Kind.NEW] = outcome.fingerprints or (outcome.summary,)
    elif not any(lists.values()) and outcome.status is Status.WARN:
        lists[Kind.NEW] = outcome.fingerprints
    for kind, marks in lists.items():
        yield from ((kind, mark) for mark in marks)


def _of_check(number: int, outcome: Outcome, details: Mapping[str, Json]) -> Iterator[Found]:
    for item in details["findings"]:
        if not isinstance(item, Mapping) or item.get("level") == "ignore":
            continue
        kind = Kind.NEW if item.get("state", "new") == "new" else Kind.PREEXISTING
        said = str(item.get("message") or item.get("text") or "")
        rule = str(item.get("rule") or "")
        yield Found(
            kind,
            Status.FAIL if item.get("level") == "fail" and kind is Kind.NEW else Status.WARN,
            outcome.cell,
            f"{rule}: {said}" if rule else said,
            (number,),
            str(item.get("file") or ""),
            _line(item),
        )
    for text in _texts(details.get("fixed")):
        yield Found(Kind.FIXED, Status.PASS, outcome.cell, text, (number,))


def _places(details: Mapping[str, Json]) -> dict[str, tuple[str, int]]:
    """Fingerprint of a compiler's message to its file and line."""
    found: dict[str, tuple[str, int]] = {}
    for key in ("errors", "warnings"):
        listed = details.get(key)
        for item in listed if isinstance(listed, list) else ():
            if isinstance(item, Mapping):
                parts = [item.get(name) for name in ("tool", "file", "function", "text")]
                mark = ": ".join(str(part) for part in parts if part)
                found.setdefault(mark, (str(item.get("file") or ""), _line(item)))
    return found


def _line(item: Mapping[str, Json]) -> int:
    line = item.get("line")
    return line if isinstance(line, int) and line > 0 else 0


def _texts(value: Json) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
