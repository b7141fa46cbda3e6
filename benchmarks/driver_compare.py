#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Our virtio-mem driver and the one in the tree, side by side in the same guests.

    ./kv doctor                                             # makes .venv
    .venv/bin/python benchmarks/driver_compare.py [--runs N] [--json FILE]

Runs the scenarios below with ``kvtools test`` on the untouched tree (base ``oracle``) and on
the last patch of a series, N times each and never from the store, and takes the figures that
the scenarios measured; nothing is measured here. Prints a table in Markdown, with the median
of the runs and, where they differ, the least and the most; ``--json`` also writes every single
figure. ``patches/virtio-mem/RESULTS.md`` is what came out and what it means.

    --series PATH     default patches/virtio-mem; also a git range, with --tree
    --tree PATH       the tree of a git range
    --from FILE       do not run anything: make the table of an earlier --json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs import tested

LIMIT = 3600.0  # seconds for one run of kvtools: a kernel may have to be built first
SIDES = ("in-tree", "ours")
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the table: where a figure is, and how it is shown.

    ``unit`` is ``s``, ``MiB`` (of bytes) or ``%`` (of a share); ``status`` shows instead whether
    the subtest passed.
    """

    title: str
    scenario: str
    subtest: str
    key: str
    unit: str


def figures() -> Iterator[Figure]:
    yield Figure("boot, until user space", "boot", "init", "boot_seconds", "s")
    for block in ("4M", "8M", "128M"):
        of = f", {block.replace('M', ' MiB')} blocks"
        yield Figure(f"grow 2 GiB{of}", "vmem.shrink-to-zero", f"{block}.grow", "seconds", "s")
        yield Figure(f"shrink 2 GiB{of}", "vmem.shrink-to-zero", f"{block}.shrink", "seconds", "s")
    for word, zone in (("movable", "ZONE_MOVABLE"), ("normal", "ZONE_NORMAL")):
        for block in ("4M", "8M", "128M"):
            yield Figure(
                f"given back under load, {zone}, {block.replace('M', ' MiB')} blocks",
                "vmem.zone", f"{block}.{word}.given-back", "share", "%",
            )  # fmt: skip
    for block in ("4M", "8M", "128M"):
        of = f", {block.replace('M', ' MiB')} blocks"
        settles, data = f"{block}.settles", f"{block}.data"
        yield Figure(f"left under pressure{of}", "vmem.pressure", settles, "left", "MiB")
        yield Figure(f"data intact under pressure{of}", "vmem.pressure", data, "", "status")
    pinned = "vmem.pinned"
    yield Figure("left with 32 pages pinned, 4 MiB blocks", pinned, "4M.settles", "left", "MiB")
    yield Figure("settles with pages pinned after", pinned, "4M.settles", "seconds", "s")
    yield Figure("empty 8 s after the pages were released", pinned, "4M.retry", "", "status")
    yield Figure(
        "struct pages of what is not plugged, 148 MiB in 4 MiB blocks",
        "vmem.partial-section", "4M.148M", "struct_pages_of_unplugged", "MiB",
    )  # fmt: skip


Values = dict[str, list[Any]]
"""The title of a figure to what the runs gave; None where a run gave nothing."""


def run(side: str, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """The JSON of one ``kvtools test``. A FAIL of a cell is a result here, an ERROR is not."""
    what = ["--base", "oracle"]
    if side == "ours":
        what = [arguments.series, "--patches", "tip"]
        what += ["--tree", arguments.tree] if arguments.tree else []
    scenarios = sorted({f"selftest:{f.scenario}" for f in figures() if f.scenario != "boot"})
    only = [word for cell in ("boot", *scenarios) for word in ("--only", cell)]
    # One guest at a time: what is timed must not share the cores with another guest.
    return tested(*what, *only, "--no-reuse", "--guests", "1", timeout=LIMIT)


def read(report: Mapping[str, Any], figure: Figure) -> Any:
    """That figure of the last row of a run."""
    row = report["patches"][-1]
    for outcome in row["outcomes"]:
        name = f"{figure.scenario}.{figure.subtest}"
        if figure.scenario == "boot":
            name = f"guest.{figure.subtest}"
        if outcome["name"] == name:
            if figure.unit == "status":
                return outcome["status"]
            return outcome["details"].get("figures", {}).get(figure.key)
    return None


def shown(values: Sequence[Any], unit: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    if unit == "status":
        passed = sum(value == "PASS" for value in known)
        return {len(known): "yes", 0: "**no**"}.get(passed, f"{passed} of {len(known)}")
    forms = {"s": "{:.2f} s", "MiB": "{:.1f} MiB", "%": "{:.1%}"}
    scaled = [value / MIB if unit == "MiB" else value for value in known]
    text = forms[unit].format(statistics.median(scaled))
    least, most = (forms[unit].format(f(scaled)) for f in (min, max))
    return text if least == most else f"{text} ({least.split()[0]}..{most})"


def table(found: Mapping[str, Values]) -> str:
    lines = [f"| | {' | '.join(SIDES)} |", "|---|---|---|"]
    for figure in figures():
        cells = [shown(found[side].get(figure.title, []), figure.unit) for side in SIDES]
        lines.append(f"| {figure.title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--series", default="patches/virtio-mem")
    parser.add_argument("--tree")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--from", dest="earlier", type=Path)
    arguments = parser.parse_args()
    if arguments.earlier:
        print(table(json.loads(arguments.earlier.read_text())["figures"]))
        return
    found: dict[str, Values] = {side: {} for side in SIDES}
    heads = {}
    for number in range(arguments.runs):
        for side in SIDES:
            print(f"run {number + 1} of {arguments.runs}, {side}", file=sys.stderr)
            report = run(side, arguments)
            heads[side] = {key: report[key] for key in ("series", "base")}
            heads[side]["tree"] = report["patches"][-1]["tree"]
            heads["run"] = report["run"]
            for figure in figures():
                found[side].setdefault(figure.title, []).append(read(report, figure))
    if arguments.json:
        arguments.json.write_text(json.dumps({"of": heads, "figures": found}, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
