#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the dump cells of one patch cost: seconds on the clock and of the processor.

    .venv/bin/python benchmarks/dump_cells.py IMAGE [--only NAME]... [--json FILE] [--accel kvm|tcg]

IMAGE is as for dump_sizes.py. The cells run one after the other. ``guest`` are processor seconds
of QEMU and other programs, ``host`` our own; unlike ``wall`` they hardly depend on what else the
machine does. Two guests at a time on two idle cores need at least half their sum.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kvtools import accel, paths, scenarios
from kvtools.guest_session import GuestRequest, run_cell
from kvtools.model import Step

CELLS = ("dump.vmcoreinfo", "dump.host", "dump.kdump", "dump.reload")


def spent(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def measure(name: str, image: Path, speed: str, out: Path) -> dict[str, Any]:
    before = spent(resource.RUSAGE_CHILDREN), spent(resource.RUSAGE_SELF)
    request = GuestRequest(Step.DUMP, image, name, speed, out, "0" * 40, out)
    outcome = run_cell(scenarios.get(name), request, lambda done, total, what: None)
    return {
        "cell": name,
        "status": str(outcome.status),
        "wall": round(outcome.seconds, 1),
        "guest": round(spent(resource.RUSAGE_CHILDREN) - before[0], 1),
        "host": round(spent(resource.RUSAGE_SELF) - before[1], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What the dump cells of one patch cost.")
    parser.add_argument("image", type=Path)
    parser.add_argument("--only", action="append", choices=CELLS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--accel", choices=("kvm", "tcg"))
    arguments = parser.parse_args()
    speed = accel.probe(override=arguments.accel, cache=paths.home().cache).name
    rows: list[dict[str, Any]] = []
    print(f"accel {speed}\n{'cell':<16} status   wall  guest   host", flush=True)
    for name in arguments.only or CELLS:
        with tempfile.TemporaryDirectory(prefix="kvcell-", dir=paths.home().cache) as out:
            row = measure(name, arguments.image, speed, Path(out))
        rows.append(row)
        print(f"{name:<16} {row['status']:<6} {row['wall']:>6} {row['guest']:>6} {row['host']:>6}",
              flush=True)  # fmt: skip
    cpu = sum(row["guest"] + row["host"] for row in rows)
    print(f"{cpu:.1f} processor seconds, {cpu / 2:.1f} s on two cores that do nothing else")
    if arguments.json:
        arguments.json.write_text(json.dumps({"accel": speed, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
