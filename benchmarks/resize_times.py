#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a virtio-mem device takes to grow and to shrink by 2 GiB, again and again.

    .venv/bin/python benchmarks/resize_times.py IMAGE [IMAGE ...] [--rounds N] [--json FILE]

IMAGE is the directory of a build (``bzImage`` and ``config``) as ``kvtools test`` stores it: the
directory of ``log`` of a build cell in the JSON. Each image gets one guest, in which the
devices of machine vmem-blocks (4, 8 and 128 MiB blocks, empty otherwise, ZONE_MOVABLE) take
turns. Seconds until QEMU's size is the requested one, looked at every 2 ms; between two the
guest has come to rest. The first round, in which everything runs for the first time (TCG
translates it), is shown by itself; median, least and most are of the others.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kvtools import accel, paths
from kvtools.guest_session import Guest, Source
from kvtools.qmp import MemoryDevice
from kvtools.scenarios import machines, memory
from kvtools.scenarios.vmem import device
from kvtools.vng import MIB

DEADLINE = 600.0
PAUSE, PATIENCE = 0.002, 60.0
Times = dict[str, list[float]]


def measure(image: Path, speed: str, rounds: int, out: Path) -> Times:
    """``grow 4M`` and the like to seconds, in the order of the rounds. Raises what a guest does."""
    found: Times = {}
    source = Source(out, "0" * 40)
    with Guest(machines.load("vmem-blocks"), image, speed, out, source, deadline=DEADLINE) as guest:
        device.load(guest)
        empty = memory.look(guest)
        for _ in range(rounds):
            for at in device.devices(guest):
                for word, size in (("grow", at.region), ("shrink", 0)):
                    seconds = _timed(guest, at, size)
                    found.setdefault(f"{word} {device.label(at)}", []).append(seconds)
                    wrong = device.agree(guest, empty, {at: size})
                    if wrong:
                        sys.exit(f"{at.name}: {wrong}")
    return found


def _timed(guest: Guest, at: MemoryDevice, size: int) -> float:
    begun = time.monotonic()
    guest.qmp.set_requested_size(at.name, size)
    while guest.qmp.size(at.name) != size:
        if time.monotonic() - begun > PATIENCE:
            sys.exit(f"{at.name} did not reach {size // MIB} MiB in {PATIENCE:.0f} s")
        time.sleep(PAUSE)
    return time.monotonic() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--accel", choices=("kvm", "tcg"))
    arguments = parser.parse_args()
    if arguments.rounds < 2:
        parser.error("the first round is not counted: --rounds 2 is the least")
    speed = accel.probe(override=arguments.accel, cache=paths.home().cache).name
    results: list[Times] = []
    for image in arguments.images:
        with tempfile.TemporaryDirectory(prefix="kvresize-", dir=paths.home().cache) as out:
            results.append(measure(image, speed, arguments.rounds, Path(out)))
    print(f"accel {speed}; seconds: first | median (least..most) of {arguments.rounds - 1}")
    for name in results[0]:
        cells = []
        for times in results:
            first, *rest = times[name]
            median = statistics.median(rest)
            cells.append(f"{first:.3f} | {median:.3f} ({min(rest):.3f}..{max(rest):.3f})")
        print(f"{name:<12}", *cells, sep="   ")
    if arguments.json:
        arguments.json.write_text(json.dumps({"accel": speed, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
