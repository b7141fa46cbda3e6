#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What building a patch that adds to a central header costs, with kvtools and with make alone.

    .venv/bin/python benchmarks/header_patch.py [--patches N[,N...]] [-j N] [--json FILE]

Builds the base and then those patches of patches/virtio-mem, nothing stored, in the worktree and
object directory of the last run: first with headers looked at, then with --no-header-aware, which
leaves make what is make's. Both take their seconds from the same machine, one after the other,
and nothing else runs. Prints a table; exits 1 when the two made different images of a patch.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from runs import tested


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--patches", default="2", metavar="N[,N...]")
    parser.add_argument("-j", "--jobs", default=str((os.cpu_count() or 1) + 1), metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    aware = _builds(arguments, "--header-aware")
    plain = _builds(arguments, "--no-header-aware")
    rows = [{
        "patch": number, "seconds": round(build["seconds"], 1),
        "objects": build["details"]["objects_built"],
        "make": round(plain[number]["seconds"], 1),
        "make's objects": plain[number]["details"]["objects_built"],
        "ratio": round(build["seconds"] / plain[number]["seconds"], 3),
        "same": _image(build) == _image(plain[number]),
    } for number, build in aware.items() if number]
    print("| patch | kvtools | objects | make | objects | ratio |\n|---|---|---|---|---|---|")
    for row in rows:
        print("| {patch} | {seconds} s | {objects} | {make} s | {make's objects} | {ratio} |"
              .format(**row))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0 if all(row["same"] for row in rows) else 1


def _image(build: dict[str, Any]) -> str:
    return str(build["details"]["image_sha256"])


def _builds(arguments: argparse.Namespace, switch: str) -> dict[int, dict[str, Any]]:
    """The outcome of the build of each row."""
    run = tested("--only", "build", "--no-reuse", "--patches", arguments.patches,
                 "-j", arguments.jobs, switch)
    return {row["number"]: outcome for row in run["patches"] for outcome in row["outcomes"]
            if outcome["step"] == "build"}


if __name__ == "__main__":
    sys.exit(main())
