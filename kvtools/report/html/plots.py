# SPDX-License-Identifier: GPL-2.0-or-later
"""The plots of a report as shapes: pure, from a run to rectangles and texts in plot units.

Each plot comes with its figures as a table, for those who do not see it and those who want
the numbers. A plot that has nothing to show is not made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kvtools.model import Json, Outcome, Status, Step
from kvtools.report.html.blocks import Table
from kvtools.report.jsonreport import plain
from kvtools.report.layout import short_time
from kvtools.report.model import BASE_ROW, Row, RunReport, row_label

WIDTH = 720
LABELS = 230
AFTER = 92
BAR, PITCH = 13, 20
MOST_BARS = 120
KIB = 1024
_BYTES = ("bytes", "dump_bytes", "file_bytes", "size", "dump_size", "file_size")
_LEVELS = ("level", "dump_level")


@dataclass(frozen=True, slots=True)
class Shape:
    """A rectangle; ``style`` is a class of the style sheet, ``says`` its tooltip."""

    x: float
    y: float
    width: float
    height: float
    style: str
    says: str


@dataclass(frozen=True, slots=True)
class Label:
    """A text whose baseline starts (or ends, or is centred) at x, y."""

    x: float
    y: float
    text: str
    anchor: str = "start"


@dataclass(frozen=True, slots=True)
class Plot:
    """``legend`` is style to name. ``summary`` says in words what the picture shows."""

    key: str
    title: str
    summary: str
    height: float
    shapes: tuple[Shape, ...]
    labels: tuple[Label, ...]
    table: Table
    legend: tuple[tuple[str, str], ...] = ()
    axis: float | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """One horizontal bar: parts are (style, length, what it says)."""

    label: str
    parts: tuple[tuple[str, float, str], ...]
    after: str


def plots(report: RunReport) -> tuple[Plot, ...]:
    """Those of the plots that this run has figures for."""
    made = (_times(report), *_sizes(report), _given_back(report), _dumps(report))
    return tuple(plot for plot in made if plot)


def _times(report: RunReport) -> Plot | None:
    """Seconds per step and patch, stored outcomes left out: they took no time in this run."""
    steps = [s for s in Step if any(o.step is s and _ran(o) for _, o in report.outcomes())]
    bars, body = [], []
    for row in report.rows:
        sums = {s: sum(o.seconds for o in row.outcomes if o.step is s and _ran(o)) for s in steps}
        total = sum(sums.values())
        parts = tuple((f"k-{s}", v, f"{s} {short_time(v)}") for s, v in sums.items() if v > 0)
        bars.append(Bar(_name(row), parts, short_time(total) if total else "stored"))
        body.append((_name(row), *(short_time(sums[s]) if sums[s] else "" for s in steps)))
    longest = max((sum(v for _, v, _ in bar.parts) for bar in bars), default=0.0)
    if not longest:
        return None
    table = Table("Time per step", ("", *map(str, steps)), tuple(body), named=True)
    legend = tuple((f"k-{s}", str(s)) for s in steps)
    summary = f"Up to {short_time(longest)} a patch; results of earlier runs are left out."
    return _plot("time", "Time per step", summary, bars, table, legend)


def _ran(outcome: Outcome) -> bool:
    return not outcome.reused and outcome.status is not Status.SKIP and outcome.seconds > 0


def _sizes(report: RunReport) -> Iterator[Plot]:
    """Bytes of the kernel image per patch and config, as the difference from the base's."""
    cells = [c for c in report.cells if c.startswith(f"{Step.BUILD}")]
    for number, cell in enumerate(cells):
        known = [(row, _image(row.outcome(cell))) for row in report.rows]
        sizes = [(row, size) for row, size in known if size]
        if len({size for _, size in sizes}) < 2:  # one image, or the same every time
            continue
        first = sizes[0][1]
        bars, body = [], []
        for row, size in sizes:
            delta = size - first
            style = "k-more" if delta >= 0 else "k-less"
            says = f"{size:,} bytes, {delta:+,}"
            bars.append(Bar(_name(row), ((style, float(delta), says),), f"{delta / KIB:+.1f} KiB"))
            body.append((_name(row), f"{size:,}", f"{delta:+,}"))
        last = sizes[-1][1] - first
        config = cell.partition(":")[2] or cell
        summary = (
            f"The difference from {_name(sizes[0][0])}, {first / KIB:,.0f} KiB; "
            f"{last:+,} bytes at {_name(sizes[-1][0])}. Images are compressed."
        )
        columns = ("", "bytes", "difference")
        table = Table(f"Image size, config {config}", columns, tuple(body), named=True)
        yield _signed(f"size{number}", f"Image size, config {config}", summary, bars, table)


def _image(outcome: Outcome | None) -> int:
    size = outcome.details.get("image_bytes") if outcome else None
    return size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else 0


def _given_back(report: RunReport) -> Plot | None:
    """``figures.share`` of subtests: the part of plugged memory that came back under load."""
    bars, body = [], []
    shares = _shares(report)
    scenarios = {outcome.name for _, outcome in report.outcomes() if list(_figures(outcome))}
    for name, measured in shares.items():
        # The first row (the base, where it ran) and the last: what the series made of it.
        ends = dict((measured[0], measured[-1]))
        for row, share in ends.items():
            says = f"{share:.1%} given back"
            part = ("k-share", share, says)
            rest = ("k-rest", max(0.0, 1 - share), f"{max(0.0, 1 - share):.1%} kept")
            label = _within(name, scenarios) + (f", {row}" if len(ends) > 1 else "")
            bars.append(Bar(label, (part, rest), f"{share:.1%}"))
        body += [(name, row, f"{share:.2%}") for row, share in measured]
    if not bars:
        return None
    table = Table("Share given back", ("subtest", "patch", "share"), tuple(body))
    summary = "Of the memory that was plugged, the share that came back under load; more is better."
    legend = (("k-share", "given back"), ("k-rest", "kept"))
    return _plot("share", "Memory given back", summary, bars, table, legend, whole=1.0)


def _shares(report: RunReport) -> dict[str, list[tuple[str, float]]]:
    found: dict[str, list[tuple[str, float]]] = {}
    for row, outcome in report.outcomes():
        for name, figures in _figures(outcome):
            share = figures.get("share")
            if isinstance(share, (int, float)) and 0 <= share <= 1:
                found.setdefault(name, []).append((row_label(row.number), float(share)))
    return found


def _within(name: str, scenarios: set[str]) -> str:
    """``4M.movable`` of ``vmem.zone.4M.movable.given-back``: what tells it from its siblings."""
    scenario = next((s for s in scenarios if name.startswith(f"{s}.")), "")
    return name.removeprefix(f"{scenario}.").removesuffix(".given-back") or name


def _figures(outcome: Outcome) -> Iterator[tuple[str, Mapping[str, Json]]]:
    listed = plain(outcome.details.get("subtests"))
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, Mapping) and isinstance(item.get("figures"), Mapping):
            yield f"{outcome.name}.{item.get('name', '')}", item["figures"]


def _dumps(report: RunReport) -> Plot | None:
    """Bytes per dump level of the last patch that has them (and of the base, if it has)."""
    measured = [(row, list(_levels(row))) for row in report.rows]
    measured = [(row, levels) for row, levels in measured if levels]
    if not measured:
        return None
    shown = [measured[0], measured[-1]] if measured[0][0].number == BASE_ROW else [measured[-1]]
    bars, body = [], []
    for row, levels in {row.number: (row, levels) for row, levels in shown}.values():
        for name, level, size in levels:
            label = f"{row.label} {name} -d {level}"
            bars.append(Bar(label, (("k-dump", float(size), f"{size:,} bytes"),), _size(size)))
    for row, levels in measured:
        body += [(row.label, name, level, f"{size:,}") for name, level, size in levels]
    table = Table("Dump size by level", ("patch", "dump", "level", "bytes"), tuple(body))
    summary = "What makedumpfile wrote at each dump level; a higher level leaves out more."
    return _plot("dump", "Dump size by level", summary, bars, table)


def _levels(row: Row) -> Iterator[tuple[str, str, int]]:
    """(cell, level, bytes) of every record in the details that has a level and a size."""
    for outcome in row.outcomes:
        if outcome.step is not Step.DUMP:
            continue
        seen = set()
        for record in _records(plain(outcome.details)):
            level = next((record[key] for key in _LEVELS if key in record), None)
            size = next((record[key] for key in _BYTES if isinstance(record.get(key), int)), None)
            if level is None or size is None or size < 0 or (str(level), size) in seen:
                continue
            seen.add((str(level), size))
            yield outcome.name, str(level), size


def _records(value: Json) -> Iterator[Mapping[str, Json]]:
    if isinstance(value, Mapping):
        yield value
        # {"levels": {"16": {...}}} names the level by its key.
        for key, item in value.items():
            if isinstance(item, Mapping) and str(key).isdigit():
                yield {"level": key, **item}
            else:
                yield from _records(item)
    elif isinstance(value, list):
        for item in value:
            yield from _records(item)


def _size(size: int) -> str:
    return f"{size / KIB / KIB:,.1f} MiB" if size >= KIB * KIB else f"{size / KIB:,.1f} KiB"


def _name(row: Row) -> str:
    return "base" if row.number == BASE_ROW else f"patch {row.number}"


def _plot(
    key: str,
    title: str,
    summary: str,
    bars: Sequence[Bar],
    table: Table,
    legend: Iterable[tuple[str, str]] = (),
    *,
    whole: float | None = None,
) -> Plot:
    """Bars of stacked parts from the left."""
    bars = bars[:MOST_BARS]
    longest = whole or max(sum(v for _, v, _ in bar.parts) for bar in bars) or 1.0
    scale = (WIDTH - LABELS - AFTER) / longest
    shapes, labels = [], []
    for index, bar in enumerate(bars):
        top, x = index * PITCH + 4, float(LABELS)
        labels.append(Label(LABELS - 8, top + BAR - 2, _short(bar.label), "end"))
        for style, value, says in bar.parts:
            length = value * scale
            shapes.append(Shape(x, top, max(length, 0.5), BAR, style, f"{bar.label}: {says}"))
            x += length
        labels.append(Label(x + 6, top + BAR - 2, bar.after))
    height = len(bars) * PITCH + 8
    return Plot(key, title, summary, height, tuple(shapes), tuple(labels), table, tuple(legend))


def _signed(key: str, title: str, summary: str, bars: Sequence[Bar], table: Table) -> Plot:
    """Bars to either side of an axis; one part each."""
    bars = bars[:MOST_BARS]
    values = [bar.parts[0][1] for bar in bars]
    low, high = min(0.0, *values), max(0.0, *values)
    room = WIDTH - LABELS - 2 * AFTER
    scale = room / (high - low) if high > low else 0.0
    axis = LABELS + AFTER - low * scale
    shapes, labels = [], []
    for index, bar in enumerate(bars):
        style, value, says = bar.parts[0]
        top, length = index * PITCH + 4, abs(value) * scale
        left = axis if value >= 0 else axis - length
        labels.append(Label(LABELS - 8, top + BAR - 2, _short(bar.label), "end"))
        shapes.append(Shape(left, top, max(length, 0.5), BAR, style, f"{bar.label}: {says}"))
        beside = (axis + length + 6, "start") if value >= 0 else (left - 6, "end")
        labels.append(Label(beside[0], top + BAR - 2, bar.after, beside[1]))
    height = len(bars) * PITCH + 8
    legend = (("k-more", "larger"), ("k-less", "smaller"))
    return Plot(
        key, title, summary, height, tuple(shapes), tuple(labels), table, legend, round(axis, 1)
    )


def _short(label: str) -> str:
    most = 32
    return label if len(label) <= most else f"\u2026{label[1 - most:]}"


