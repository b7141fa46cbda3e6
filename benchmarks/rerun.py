#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a series costs the second time: unchanged, with a message or the last patch amended.

    ./kv test                                   # the first run, an hour on two cores
    .venv/bin/python benchmarks/rerun.py [--json FILE]

Takes the newest run of the series that tested every patch as the first one, runs it again
as it is, then with a sentence more in the message of its first, then of its last patch, then
with another string in the code that the last one adds, all against the same store, and prints
each time as a ratio to the first run. Exits 1 when a run ends otherwise than the first, or when
a row that did not change was built or booted again.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KERNEL_STEPS = ("build", "boot", "selftest", "dump")
SENTENCE = "This sentence was added by benchmarks/rerun.py.\n\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--series", type=Path, default=ROOT / "patches/virtio-mem")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    first = _first(len(_patches(arguments.series)))
    rows, good = [], True
    for what, (change, touched) in CASES.items():
        seconds, run = _run(arguments.series, change)
        rows_again = [row["number"] for row in run["patches"] for o in row["outcomes"]
                      if o["step"] in KERNEL_STEPS and o["status"] != "SKIP" and not o["reused"]]
        again = len(rows_again)
        last = run["patches"][-1]["number"]
        right = (run["status"] == first["status"]
                 and set(rows_again) <= ({last} if touched else set()))
        good &= right
        rows.append({"what": what, "seconds": round(seconds, 1), "again": again, "right": right,
                     "ratio": round(seconds / first["run"]["seconds"], 4)})
    print(f"| work | seconds | of the first run ({first['run']['seconds']:.0f} s) "
          "| cells done again |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['what']} | {row['seconds']} | {row['ratio']} | {row['again']} |")
    if arguments.json:
        arguments.json.write_text(json.dumps({"first": first["run"]["seconds"], "rows": rows}))
    return 0 if good else 1


def _patches(series: Path) -> list[Path]:
    return sorted(p for p in series.glob("[0-9]*.patch") if not p.name.startswith("0000"))


def _first(count: int) -> dict[str, Any]:
    listed = _kvtools("runs").splitlines()
    for line in reversed(listed):
        if "stopped before its end" in line:
            continue
        found: dict[str, Any] = json.loads(_kvtools("report", line.split()[0], "--json", "-"))
        built = [o for o in found["patches"][0]["outcomes"] if o["step"] == "build"]
        if len(found["patches"]) == count + 1 and not any(o["reused"] for o in built):
            return found
    sys.exit("there is no first run of all patches in the store: run ./kv test")


def _run(series: Path, change: Callable[[list[Path]], None]) -> tuple[float, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        copy, out = Path(folder) / series.name, Path(folder) / "run.json"
        shutil.copytree(series, copy)
        change(_patches(copy))
        begun = time.monotonic()
        _kvtools("test", str(copy), "--json", str(out))
        return time.monotonic() - begun, json.loads(out.read_text())


def _amend(patch: Path) -> None:
    """A sentence before the trailers, where ``git commit --amend`` would put it."""
    head, mark, rest = patch.read_text("utf-8", "surrogateescape").partition("\nSigned-off-by:")
    assert mark, patch.name
    patch.write_text(f"{head}\n{SENTENCE.rstrip()}\n{mark}{rest}", "utf-8", "surrogateescape")


def _reword(patch: Path) -> None:
    """Another last string among those that the patch adds; the diff keeps its line counts."""
    text = patch.read_text("utf-8", "surrogateescape")
    found = list(re.finditer(r'^\+.*"[^"%\\]*([a-z]{4,})[^"%\\]*(?:\\n)?"', text, re.MULTILINE))
    assert found, f"{patch.name} adds no string"
    start, end = found[-1].span(1)
    patch.write_text(f"{text[:start]}{text[start:end][::-1]}{text[end:]}", "utf-8",
                     "surrogateescape")


CASES: dict[str, tuple[Callable[[list[Path]], None], bool]] = {
    "nothing changed": (lambda patches: None, False),
    "message of the first patch amended": (lambda patches: _amend(patches[0]), False),
    "message of the last patch amended": (lambda patches: _amend(patches[-1]), False),
    "code of the last patch amended": (lambda patches: _reword(patches[-1]), True),
}
"""What is changed, and whether the code of the last patch is."""


def _kvtools(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "kvtools", *words], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"kvtools {' '.join(words)} ended with {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
