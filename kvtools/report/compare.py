# SPDX-License-Identifier: GPL-2.0-or-later
"""What changed between two runs: cells that got worse or better, findings, times and sizes. Pure.

Patches are matched by subject, for a new revision of a series numbers them anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kvtools.model import Outcome, Status
from kvtools.report.findings import Found, Kind, findings
from kvtools.report.layout import short_time
from kvtools.report.model import BASE_ROW, Row, RunReport
from kvtools.report.printable import fold, printable
from kvtools.report.text import rows

SLOWER = 1.3
"""By which factor a cell has to differ to be named: runs on a busy machine vary by less."""

LEAST_SECONDS = 10.0
_RANK = {Status.FAIL: 0, Status.ERROR: 1, Status.WARN: 2, Status.SKIP: 3, Status.PASS: 4}


@dataclass(frozen=True, slots=True)
class Change:
    """A cell of a patch in the old and in the new run; None where it was not run."""

    row: Row
    cell: str
    before: Outcome | None
    after: Outcome | None

    @property
    def worse(self) -> bool:
        """Whether it fell to FAIL, ERROR or WARN, or a PASS is gone."""
        return _rank(self.after) < _rank(self.before)


@dataclass(frozen=True, slots=True)
class Comparison:
    """``pairs`` are the rows in both, old and new."""

    before: RunReport
    after: RunReport
    pairs: tuple[tuple[Row, Row], ...]
    added: tuple[Row, ...]
    dropped: tuple[Row, ...]
    changed: tuple[Change, ...]
    appeared: tuple[Found, ...]
    gone: tuple[Found, ...]


def compare(before: RunReport, after: RunReport) -> Comparison:
    """The difference from one run to a later one."""
    pairs = tuple(_pairs(before, after))
    old = {id(one) for one, _ in pairs}
    new = {id(one) for _, one in pairs}
    known = {_mark(found) for found in findings(before)}
    now = {_mark(found) for found in findings(after)}
    return Comparison(
        before,
        after,
        pairs,
        tuple(row for row in after.rows if id(row) not in new),
        tuple(row for row in before.rows if id(row) not in old),
        tuple(change for pair in pairs for change in _changes(*pair)),
        tuple(f for f in findings(after) if f.kind is Kind.NEW and _mark(f) not in known),
        tuple(f for f in findings(before) if f.kind is Kind.NEW and _mark(f) not in now),
    )


def _pairs(before: RunReport, after: RunReport) -> Iterator[tuple[Row, Row]]:
    """Bases belong together; patches by subject, several of one subject in their order."""
    left: dict[tuple[bool, str], list[Row]] = {}
    for row in before.rows:
        left.setdefault(_name(row), []).append(row)
    for row in after.rows:
        found = left.get(_name(row))
        if found:
            yield found.pop(0), row


def _name(row: Row) -> tuple[bool, str]:
    base = row.number == BASE_ROW
    return base, "" if base else row.subject


def _mark(found: Found) -> tuple[str, str, str]:
    return found.cell, found.file, found.text


def _changes(old: Row, new: Row) -> Iterator[Change]:
    cells = dict.fromkeys([o.cell for o in new.outcomes] + [o.cell for o in old.outcomes])
    for cell in cells:
        before, after = old.outcome(cell), new.outcome(cell)
        if (before and before.status) != (after and after.status):
            yield Change(new, cell, before, after)


def _rank(outcome: Outcome | None) -> int:
    """Not run is between a warning and a pass, like SKIP: no verdict and no blame."""
    return _RANK[outcome.status] if outcome else _RANK[Status.SKIP]


def render_comparison(comparison: Comparison, columns: int = 80) -> str:
    """The comparison as text; ends in a newline and says so when nothing changed."""
    worse = [change for change in comparison.changed if change.worse]
    better = [change for change in comparison.changed if not change.worse]
    blocks = [
        ("", list(_heads(comparison))),
        ("worse", [_described(change) for change in worse]),
        ("better", [_described(change) for change in better]),
        ("new findings", [_finding(found) for found in comparison.appeared]),
        ("findings that are gone", [_finding(found) for found in comparison.gone]),
        ("patches only in the new run", [_row(row) for row in comparison.added]),
        ("patches only in the old run", [_row(row) for row in comparison.dropped]),
        ("times", list(_times(comparison))),
        ("image sizes", list(_sizes(comparison))),
    ]
    text = []
    for title, lines in blocks:
        if lines:
            shown = [f"{title}:"] if title else []
            indent = "  " if title else ""
            for line in lines:
                pieces = fold(printable(line), columns - len(indent), "  ")
                shown += [indent + piece for piece in pieces]
            text.append("\n".join(shown))
    if not comparison.changed and not comparison.appeared and not comparison.gone:
        text.append("No status and no finding changed.")
    else:
        text.append(f"{len(worse)} worse, {len(better)} better.")
    return "\n\n".join(text) + "\n"


def _heads(comparison: Comparison) -> Iterator[str]:
    for name, report in (("old", comparison.before), ("new", comparison.after)):
        yield (
            f"{name}  {report.id}  {report.status}  {report.series.name} "
            f"v{report.series.revision} on {report.base.name} {report.base.version}, "
            f"{len(report.patches)} patches"
        )
    for what, before, after in _settings(comparison):
        if before != after:
            yield f"{what} differs: {before or 'none'} -> {after or 'none'}"


def _settings(comparison: Comparison) -> Iterator[tuple[str, str, str]]:
    """What makes a difference that is no patch's."""
    one, two = comparison.before, comparison.after
    yield "base commit", one.base.commit[:12], two.base.commit[:12]
    yield "accel", one.accel.name, two.accel.name
    yield "kvtools", one.host.kvtools, two.host.kvtools
    for tool in dict.fromkeys([*one.host.tools, *two.host.tools]):
        yield tool, one.host.tools.get(tool, ""), two.host.tools.get(tool, "")


def _described(change: Change) -> str:
    old = change.before.status if change.before else "not run"
    new = change.after.status if change.after else "not run"
    said = f": {change.after.summary}" if change.after and change.after.summary else ""
    return f"{_row(change.row)}, {change.cell}: {old} -> {new}{said}"


def _row(row: Row) -> str:
    return "base" if row.number == BASE_ROW else f"patch {row.number} ({row.subject})"


def _finding(found: Found) -> str:
    return f"{rows(found.rows)}, {found.cell}: {found.text}"


def _times(comparison: Comparison) -> Iterator[str]:
    for old, new in comparison.pairs:
        for after in new.outcomes:
            before = old.outcome(after.cell)
            if before is None or before.reused or after.reused or before.status != after.status:
                continue
            small, large = sorted((before.seconds, after.seconds))
            if large >= LEAST_SECONDS and large > SLOWER * small:
                change = f"{short_time(before.seconds)} -> {short_time(after.seconds)}"
                yield f"{_row(new)}, {after.cell}: {change}"


def _sizes(comparison: Comparison) -> Iterator[str]:
    for old, new in comparison.pairs:
        for after in new.outcomes:
            before = old.outcome(after.cell)
            one, two = _size(before.details if before else {}), _size(after.details)
            if one and two and one != two:
                yield f"{_row(new)}, {after.cell}: {one:,} -> {two:,} bytes ({two - one:+,})"


def _size(details: Mapping[str, object]) -> int:
    size = details.get("image_bytes")
    return size if isinstance(size, int) else 0
