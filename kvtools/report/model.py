# SPDX-License-Identifier: GPL-2.0-or-later
"""What a report is made of: one finished (or stopped) run as frozen, plain data.

Every format (text, JSON, JUnit) is a pure function of a :class:`RunReport`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kvtools.model import Base, Expectation, Json, Outcome, Series, Status

BASE_ROW = 0
"""The number of the row that is the base itself."""


@dataclass(frozen=True, slots=True)
class Accel:
    """How guests were accelerated (``kvm``, ``tcg``) and why so."""

    name: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """The machine of the run: ``memory`` in bytes, ``tools`` program to version."""

    cores: int
    memory: int
    kvtools: str
    tools: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeriesHead:
    """A :class:`kvtools.model.Series` without its patches."""

    name: str
    title: str
    source: str
    revision: int = 1
    base_commit: str | None = None
    change_id: str | None = None

    @classmethod
    def of(cls, series: Series) -> SeriesHead:
        return cls(
            series.name,
            series.title,
            series.source,
            series.revision,
            series.base_commit,
            series.change_id,
        )


@dataclass(frozen=True, slots=True)
class BaseHead:
    """A :class:`kvtools.model.Base` without its place on this machine."""

    name: str
    version: str
    commit: str
    tree: str
    origin: str
    public: bool

    @classmethod
    def of(cls, base: Base) -> BaseHead:
        return cls(base.name, base.version, base.commit, base.tree, base.origin, base.public)


@dataclass(frozen=True, slots=True)
class Row:
    """A patch and its judged outcomes; row 0 is the base.

    ``commit`` and ``tree`` are None where the patch did not apply.
    """

    number: int
    subject: str
    commit: str | None = None
    tree: str | None = None
    outcomes: tuple[Outcome, ...] = ()

    @property
    def label(self) -> str:
        return row_label(self.number)

    def outcome(self, cell: str) -> Outcome | None:
        return next((o for o in self.outcomes if o.cell == cell), None)


@dataclass(frozen=True, slots=True)
class TriedBase:
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


@dataclass(frozen=True, slots=True)
class RunReport:
    """One run. ``started`` is UTC in ISO 8601, ``seconds`` its wall time.

    ``rows`` begin with the base; ``command`` is the command line as typed;
    ``own_seconds`` of it neither make nor a check nor a guest ran, None where nobody looked.
    ``expectations`` say why a SKIP is right; ``notices`` are what the user was told.
    ``tried`` are the bases that were tried before this one was chosen, it among them.
    """

    id: str
    started: str
    seconds: float
    status: Status
    accel: Accel
    host: Host
    series: SeriesHead
    base: BaseHead
    rows: tuple[Row, ...]
    command: tuple[str, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    notices: tuple[str, ...] = ()
    own_seconds: float | None = None
    tried: tuple[TriedBase, ...] = ()

    @property
    def cells(self) -> tuple[str, ...]:
        """The columns, in an order that agrees with that of the outcomes of every row."""
        order: list[str] = []
        for row in self.rows:
            at = 0
            for outcome in row.outcomes:
                if outcome.cell in order:
                    at = order.index(outcome.cell) + 1
                else:
                    order.insert(at, outcome.cell)
                    at += 1
        return tuple(order)

    @property
    def patches(self) -> tuple[Row, ...]:
        """The rows without the base."""
        return tuple(row for row in self.rows if row.number != BASE_ROW)

    def row(self, number: int) -> Row | None:
        return next((row for row in self.rows if row.number == number), None)

    def outcomes(self) -> Iterator[tuple[Row, Outcome]]:
        for row in self.rows:
            for outcome in row.outcomes:
                yield row, outcome


def row_label(number: int) -> str:
    """``base`` for row 0, else the number."""
    return "base" if number == BASE_ROW else str(number)


def log_path(outcome: Outcome) -> Path | None:
    """Where the main log lies; relative when the outcome's directory is unknown."""
    if not outcome.log:
        return None
    return outcome.directory / outcome.log if outcome.directory else Path(outcome.log)


def subtests(outcome: Outcome) -> tuple[Outcome, ...]:
    """One outcome per subtest, named ``scenario.subtest``; none unless there are several.

    Source: ``details["subtests"]``, a list of ``{"name", "status", "message",
    "seconds"?, "figures"?}``. A subtest without ``seconds`` was not timed apart and says 0.
    """
    listed = outcome.details.get("subtests")
    if not isinstance(listed, (list, tuple)) or len(listed) < 2:
        return ()
    return tuple(_subtest(outcome, item) for item in listed if isinstance(item, Mapping))


def _subtest(outcome: Outcome, item: Mapping[str, Json]) -> Outcome:
    status = _status(str(item.get("status", "")))
    at_fault = status in (Status.FAIL, Status.ERROR)
    seconds = item.get("seconds")
    details: dict[str, Json] = {"subtest_of": outcome.name}
    if item.get("figures"):
        details["figures"] = item["figures"]
    return replace(
        outcome,
        name=f"{outcome.name}.{item.get('name', '')}",
        status=status,
        seconds=float(seconds) if isinstance(seconds, (int, float)) else 0.0,
        summary=str(item.get("message", "") or ""),
        owner=outcome.owner if at_fault else None,
        evidence=(),
        reproduce=(),
        fingerprints=(),
        details=details,
    )


def _status(word: str) -> Status:
    """An expected failure is a pass (KTAP's XFAIL); a word we do not know is our fault."""
    known = {str(status): status for status in Status}
    known.update({"XFAIL": Status.PASS, "XPASS": Status.FAIL, "OK": Status.PASS})
    return known.get(word.upper(), Status.ERROR)
