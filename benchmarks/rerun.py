#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a series costs the second time: unchanged, with a message, a comment or code amended.

    ./kv test                                   # the first run, half an hour on two cores
    .venv/bin/python benchmarks/rerun.py [--case WORD] [--json FILE]

Takes the newest run of patches/virtio-mem that tested every patch as the first one, runs it again
as it is, then each of CASES below, all against the same store, and prints each time as a ratio
to the first run. Exits 1 when a run ends otherwise than the first, or when something was done
again that the change cannot have touched.

    --case WORD   only cases whose name has the word; may be repeated
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import string
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs import ROOT, kvtools, tested

SERIES = ROOT / "patches/virtio-mem"  # the cases name patches of it
KERNEL_STEPS = ("build", "boot", "selftest", "dump")
ONCE = "".join(random.choices(string.ascii_lowercase, k=12))
"""In every change: what an earlier call of this program left in the store is of no use."""
SENTENCE = f"This sentence, {ONCE}, was added by benchmarks/rerun.py.\n\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--case", action="append", default=[], metavar="WORD")
    arguments = parser.parse_args()
    first = _first(len(_patches(SERIES)))
    rows, good = [], True
    for case in CASES:
        if arguments.case and not any(word in case.what for word in arguments.case):
            continue
        seconds, run = _run(SERIES, case.change)
        again = [(row["number"], o["step"]) for row in run["patches"] for o in row["outcomes"]
                 if o["step"] in KERNEL_STEPS and o["status"] != "SKIP" and not o["reused"]]
        right = run["status"] == first["status"] and all(
            number >= case.first and step in case.steps for number, step in again)
        good &= right
        rows.append({"what": case.what, "seconds": round(seconds, 1), "again": len(again),
                     "right": right, "ratio": round(seconds / first["run"]["seconds"], 4)})
        print(json.dumps(rows[-1]), file=sys.stderr)
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
    listed = kvtools("runs").splitlines()
    for line in reversed(listed):
        if "stopped before its end" in line:
            continue
        found: dict[str, Any] = json.loads(kvtools("report", line.split()[0], "--json", "-"))
        built = [o for o in found["patches"][0]["outcomes"] if o["step"] == "build"]
        if len(found["patches"]) == count + 1 and not any(o["reused"] for o in built):
            return found
    sys.exit("there is no first run of all patches in the store: run ./kv test")


def _run(series: Path, change: Callable[[list[Path]], None]) -> tuple[float, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / series.name
        shutil.copytree(series, copy)
        change(_patches(copy))
        begun = time.monotonic()
        run = tested(str(copy))
        return time.monotonic() - begun, run


def _amend(patch: Path) -> None:
    """A sentence before the trailers, where ``git commit --amend`` would put it."""
    head, mark, rest = patch.read_text("utf-8", "surrogateescape").partition("\nSigned-off-by:")
    assert mark, patch.name
    patch.write_text(f"{head}\n{SENTENCE.rstrip()}\n{mark}{rest}", "utf-8", "surrogateescape")


def _reword(patch: Path) -> None:
    """Other letters in the last string that the patch adds; the diff keeps its line counts."""
    text = patch.read_text("utf-8", "surrogateescape")
    found = list(re.finditer(r'^\+.*"[^"%\\]*([a-z]{4,})[^"%\\]*(?:\\n)?"', text, re.MULTILINE))
    assert found, f"{patch.name} adds no string"
    start, end = found[-1].span(1)
    patch.write_text(f"{text[:start]}{_once(text[start:end])}{text[end:]}", "utf-8",
                     "surrogateescape")


def _once(text: str) -> str:
    """As many letters that nobody has written yet."""
    return "".join(random.choices(string.ascii_lowercase, k=len(text)))


def _comment(patch: Path) -> None:
    """Other words in a comment that the patch adds to a header."""
    head, mark, hunk = patch.read_text("utf-8", "surrogateescape").partition("\n+++ b/include/")
    line = next(line for line in hunk.splitlines() if re.match(r"\+ \* \w.{40}", line))
    words = " ".join(_once(word) for word in line[4:].split())
    patch.write_text(head + mark + hunk.replace(line, "+ * " + words, 1),
                     "utf-8", "surrogateescape")


def _function(patches: list[Path]) -> None:
    """Another string in code that no later patch shows as context, so that all apply."""
    patch, *later = patches
    text, rest = patch.read_text("utf-8"), "".join(p.read_text("utf-8") for p in later)
    found = re.findall(r'^\+\s+\S.*?"([a-z ]{8,})\\n"', text, re.MULTILINE)
    said = next(s for s in found if s not in rest and text.count(s) == 1)
    patch.write_text(text.replace(said, _once(said)), "utf-8")


@dataclass(frozen=True)
class Case:
    """``steps`` are those that have to be done again, from patch ``first`` on."""

    what: str
    change: Callable[[list[Path]], None]
    first: int = 0
    steps: tuple[str, ...] = ()


CASES = (
    Case("nothing changed", lambda patches: None),
    Case("message of the first patch amended", lambda patches: _amend(patches[0])),
    Case("message of the last patch amended", lambda patches: _amend(patches[-1])),
    Case("comment in page-flags.h amended", lambda patches: _comment(patches[1])),
    Case("code of the last patch amended", lambda patches: _reword(patches[-1]), 25, KERNEL_STEPS),
    Case("function body of patch 21 amended", lambda patches: _function(patches[20:]), 21,
         KERNEL_STEPS),
)


if __name__ == "__main__":
    sys.exit(main())
