#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What each check costs, from the report of a run that took nothing from the store::

    ./kv test --only check --no-reuse --json run.json
    .venv/bin/python benchmarks/check_costs.py run.json [MORE.json]

Seconds are wall time of the outcome, both sides of a check that compares and the start of its
program in it; they grow with whatever else the machine does. "ran" are the patches that it had to
look at: it PASSes the others unasked. "a patch" is the sum over all patches of the series. Checks
of patches run beside the build, on all cores given; those of objects behind it, one after the
other.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

UNASKED = 0.05
"""Seconds; starting a program takes longer."""


def main() -> None:
    """Print the table in Markdown."""
    reports = [json.loads(Path(name).read_text("utf-8")) for name in sys.argv[1:]]
    if not reports:
        sys.exit("check_costs: give the JSON report of a run (kvtools test --json)")
    patches = {patch["number"] for report in reports for patch in report["patches"]} - {0}
    found = list(_seconds(reports))
    names = sorted({(scope, name) for scope, name, _ in found}, reverse=True)
    print("| check | scope | ran | mean when it ran | longest | a patch |\n" + "|---" * 6 + "|")
    sums: dict[str, float] = defaultdict(float)
    rows = []
    for scope, name in names:
        took = [s for other, its, s in found if (other, its) == (scope, name) and s > UNASKED]
        mean = sum(took) / len(took) if took else 0.0
        each = sum(took) / len(patches)
        sums[scope] += each
        rows.append((each, f"| {name} | {scope} | {len(took)} | {mean:.1f} s | "
                           f"{max(took, default=0.0):.1f} s | {each:.2f} s |"))
    print("\n".join(text for _, text in sorted(rows, reverse=True)))
    for scope, total in sums.items():
        print(f"| all | {scope} | | | | {total:.1f} s |")
    print(f"| **all** | | | | | **{sum(sums.values()):.1f} s** |")


def _seconds(reports: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str, float]]:
    for report in reports:
        for patch in report["patches"]:
            for one in patch["outcomes"]:
                if one["step"] == "check" and not one["reused"] and one["status"] != "SKIP":
                    yield one["details"]["scope"], one["name"], one["seconds"]


if __name__ == "__main__":
    main()
