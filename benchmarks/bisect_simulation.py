# SPDX-License-Identifier: GPL-2.0-or-later
"""Bisections of simulated histories: how often right, with how many trials, against what.

    python benchmarks/bisect_simulation.py [HISTORIES PER RATE] [CANDIDATES]

Every history has one planted bug that shows at a planted rate; half of the histories have
merges; the machine loses one trial in twenty. The search is the real one
(:mod:`kvtools.bisect.search`) with its defaults: it is not told the rate. Beside it:
``git bisect run`` (one trial a commit), the same with three trials a commit, and the least
number of trials that any method needs which knows the rate (entropy over capacity).
"""

from __future__ import annotations

import math
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "unit"))

from bisections import Planted, linear, merged, name

from kvtools.bisect.search import Ending, MemoryLog, Search
from kvtools.bisect.settings import Settings
from kvtools.bisection import Answer, History
from kvtools.bisection.choice import capacity

RATES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.95, 1.0)
LOST = 0.05
CONFIDENCE = 0.99


@dataclass(frozen=True, slots=True)
class Run:
    right: bool
    trials: int
    built: int


def ours(history: History, first: str, rate: float, seed: int,
         settings: Settings | None = None) -> Run:
    tester = Planted(history, first, rate=rate, seed=seed, lost=LOST)
    result = Search(history, tester, settings or Settings(), MemoryLog()).run()
    right = result.ending is Ending.FOUND and result.first[0].id == first
    trials = [t for t in result.trials if t.answer is not Answer.ERROR]
    return Run(right, len(trials), len(tester.built))


def git(history: History, first: str, rate: float, seed: int, times: int) -> Run:
    """``git bisect run``: bad when one of ``times`` trials fails, and believed."""
    tester = Planted(history, first, rate=rate, seed=seed)
    left, trials = history.all, 0
    while left.bit_count() > 1:
        half = left.bit_count() / 2
        commit = min((c.id for c in history.of(left)),
                     key=lambda c: abs((left & history.ancestors(c)).bit_count() - half))
        fails = False
        for _ in range(times):
            trials += 1
            fails = tester.run(commit, 1)[0].answer is Answer.FAIL
            if fails:
                break
        above = history.ancestors(commit)
        left &= above if fails else ~above
    return Run(next(history.of(left)).id == first, trials, len(set(tester.tried)))


def histories(rate: float, count: int, size: int) -> list[tuple[History, str, int]]:
    rng = random.Random(f"histories {rate}")
    found = []
    for seed in range(count):
        history = linear(size) if seed % 2 else merged(size, rng)
        found.append((history, name(rng.randint(1, size)), seed))
    return found


def bound(rate: float, size: int) -> float:
    """The least expected trials for this confidence: Fano's inequality over the capacity."""
    wrong = 1 - CONFIDENCE
    unsure = -wrong * math.log2(wrong) - (1 - wrong) * math.log2(1 - wrong)
    return (math.log2(size) - unsure - wrong * math.log2(size - 1)) / capacity(rate)


def row(rate: float, count: int, size: int) -> list[str]:
    chosen = histories(rate, count, size)

    def all_of(method: Callable[[History, str, int], Run]) -> tuple[str, str, str]:
        runs = [method(*one) for one in chosen]
        return (f"{sum(r.right for r in runs)}/{count}",
                f"{statistics.mean(r.trials for r in runs):.1f}",
                f"{statistics.mean(r.built for r in runs):.1f}")

    mine = all_of(lambda h, f, s: ours(h, f, rate, s))
    once = all_of(lambda h, f, s: git(h, f, rate, s, 1))
    thrice = all_of(lambda h, f, s: git(h, f, rate, s, 3))
    return [f"{rate:.0%}", *mine, *once[:2], *thrice[:2], f"{bound(rate, size):.1f}"]


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    start = time.monotonic()
    print(f"{count} histories of {size} candidates for each rate, confidence {CONFIDENCE:.0%}")
    print("| fails on bad | right | trials | built | git right | trials | git x3 right | trials "
          "| bound |")
    print("|---|---|---|---|---|---|---|---|---|")
    flaky_right = flaky = 0
    for rate in RATES:
        cells = row(rate, count, size)
        print("| " + " | ".join(cells) + " |", flush=True)
        if rate <= 0.6:
            flaky_right += int(cells[1].partition("/")[0])
            flaky += count
    print(f"right in {flaky_right} of {flaky} histories that fail at 5% to 60%; "
          f"{time.monotonic() - start:.0f} s")
    return 0 if flaky_right >= CONFIDENCE * flaky else 1


if __name__ == "__main__":
    sys.exit(main())
