#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Times and sizes of crash dumps at each level with a virtio-mem device empty, half and full.

    .venv/bin/python benchmarks/dump_sizes.py IMAGE [--json FILE] [--accel kvm|tcg]

IMAGE is the directory of a build (``bzImage`` and ``config``) as ``kvtools test`` stores it: the
directory of ``log`` of a build cell in the JSON. Each state is one guest that crashes: the
crash kernel writes the levels 0 (uncompressed), 1, 16 (LZO) and 31 (zlib). Half is 260 of
512 MiB, so that of the third section of 128 MiB only 4 MiB are plugged. ``seconds`` are
those of makedumpfile in the crash kernel, ``off`` from the crash to the power-off.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kvtools import accel, paths
from kvtools.guest_session import Guest, Source
from kvtools.scenarios import dump_kdump, dump_state, machines
from kvtools.vmcore import report
from kvtools.vng import MIB

STATES = {"empty": 0, "half": 260 * MIB, "full": 512 * MIB}
DEADLINE = 300.0


def measure(image: Path, speed: str, plugged: int, out: Path) -> list[dict[str, Any]]:
    """One guest: a row for each level. Raises what a guest raises."""
    machine = machines.load("dump")
    rows = []
    with Guest(machine, image, speed, out, Source(out, "0" * 40), deadline=DEADLINE) as guest:
        if plugged:
            dump_state.resize(guest, plugged)
        dump_state.load(guest, "-s")
        dump_kdump.plan(guest, dump_kdump.METHODS)
        off = guest.crash(dump_kdump.CRASH_DEADLINE)
        for level, method in dump_kdump.METHODS.items():
            run = dump_kdump.written(guest, f"level-{level}")
            said = report.parse(run.said)
            if run.status != 0 or said is None:
                raise SystemExit(f"level {level}: {run.complaint}")
            size = (guest.share / f"level-{level}.kdump").stat().st_size
            rows.append(
                {
                    "plugged": plugged // MIB,
                    "level": level,
                    "method": method or "none",
                    "seconds": round(run.seconds, 2),
                    "mb": round(size / 1e6, 1),
                    "pages": said.original,
                    "offline": said.offline,
                    "written": said.remaining,
                    "off": round(off, 1),
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Times and sizes of crash dumps.")
    parser.add_argument("image", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--accel", choices=("kvm", "tcg"))
    arguments = parser.parse_args()
    speed = accel.probe(override=arguments.accel, cache=paths.home().cache).name
    rows: list[dict[str, Any]] = []
    for state, plugged in STATES.items():
        with tempfile.TemporaryDirectory(prefix="kvdump-", dir=paths.home().cache) as out:
            for row in measure(arguments.image, speed, plugged, Path(out)):
                if not rows:
                    print(f"accel {speed}; plugged in MiB, mb in 10^6 bytes", flush=True)
                    print("state ", *(f"{name:>8}" for name in row))
                rows.append({"state": state, **row})
                print(f"{state:<6}", *(f"{value:>8}" for value in row.values()), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"accel": speed, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
