# SPDX-License-Identifier: GPL-2.0-or-later
"""``time:``: a figure that grew, judged statistically.

Both ends are measured several times in turn. Where their figures differ (Mann-Whitney, exact)
and the medians by the stated ratio, a threshold between the medians makes a trial of a
measurement: it FAILs above. How often that is wrong on either side is counted on the ends,
and the search weighs its trials by it like those of any other flaky check.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from kvtools.bisect.observation import Observation, Ready, Tester
from kvtools.bisect.search import Ending, Log, Told
from kvtools.bisection import Answer, Flakes

RUNS = 8
"""Measurements of each end; with 8 and 8 the smallest p is 1 in 12,870."""
P_LIMIT = 0.01


@dataclass(frozen=True, slots=True)
class Calibration:
    """``threshold`` in the figure's unit; ``flakes`` as counted on the ends."""

    old: tuple[float, ...]
    new: tuple[float, ...]
    threshold: float
    flakes: Flakes

    @property
    def ratio(self) -> float:
        return statistics.median(self.new) / statistics.median(self.old)


def calibrate(old: Sequence[float], new: Sequence[float], limit: float) -> Calibration:
    """Raises Told when the ends do not differ as stated."""
    low, high = statistics.median(old), statistics.median(new)
    ratio, p = (high / low if low > 0 else math.inf), p_value(old, new)
    if ratio < limit or p > P_LIMIT:
        raise Told(Ending.NEW_IS_OLD, f"the bad end is no {limit:g} times the good one: medians "
                   f"{high:g} and {low:g}, ratio {ratio:.3f}, p {p:.3g} (Mann-Whitney, "
                   f"{len(old)} and {len(new)} measurements)")
    threshold = math.sqrt(low * high) if low > 0 else high / 2
    noise = (sum(v > threshold for v in old) + 0.5) / (len(old) + 1)
    rate = (sum(v > threshold for v in new) + 0.5) / (len(new) + 1)
    if rate <= 2 * noise:
        raise Told(Ending.NEW_IS_OLD, f"the figures of the ends overlap too much: over "
                   f"{threshold:g} are {noise:.0%} of the good and {rate:.0%} of the bad end's")
    flakes = Flakes(spike=0.0, lowest=max(rate / 2, 1.2 * noise), noise=noise)
    return Calibration(tuple(old), tuple(new), threshold, flakes)


def p_value(old: Sequence[float], new: Sequence[float]) -> float:
    """One-sided, that ``new`` is not above ``old``: Mann-Whitney's U, exact, ties as halves."""
    doubled = sum(2 * (b > a) + (a == b) for a in old for b in new)
    m, n = len(old), len(new)
    u = doubled // 2
    ways = sum(_ways(m, n, k) for k in range(u, m * n + 1))
    return ways / math.comb(m + n, m)


@cache
def _ways(m: int, n: int, u: int) -> int:
    """Orders of m and n values in which exactly u pairs have the second one above."""
    if u < 0 or u > m * n:
        return 0
    if m == 0 or n == 0:
        return int(u == 0)
    return _ways(m - 1, n, u) + _ways(m, n - 1, u - m)


def measure(tester: Tester, log: Log, old: str, new: str,
            tell: Callable[[str], None]) -> tuple[list[float], list[float]]:
    """Figures of both ends, in turn so that a drift of the machine hits both alike."""
    found: dict[str, list[float]] = {old: [], new: []}
    for one in log.trials:
        if one.commit in found and one.value is not None:
            found[one.commit].append(one.value)
    tell(f"measuring both ends {RUNS} times")
    lost = 0
    while min(map(len, found.values())) < RUNS:
        commit = min((old, new), key=lambda end: len(found[end]))
        ready = tester.prepare(commit)
        got = [ready.answer] if ready.answer else tester.run(commit, 1)
        for one in got:
            log.add(one)
            if one.value is not None:
                found[commit].append(one.value)
                continue
            lost += 1
            if lost > RUNS or one.answer is Answer.SKIP:
                raise Told(Ending.UNDECIDED, f"{commit[:12]} gives no figure: {one.summary}")
    return found[old], found[new]


@dataclass
class Timed:
    """A tester whose measurements answer by the threshold."""

    inner: Tester
    threshold: float
    slots: int = 1  # guests beside each other would measure each other

    def answer(self, one: Observation) -> Observation:
        if one.value is None:
            return one
        slow = one.value > self.threshold
        return replace(one, answer=Answer.FAIL if slow else Answer.PASS,
                       summary=f"{one.value:g}, the threshold is {self.threshold:g}")

    def cost(self, commit: str) -> float:
        return self.inner.cost(commit)

    def known(self, commit: str) -> Sequence[Observation]:
        return ()  # measured on a machine as busy as it was then

    def prepare(self, commit: str) -> Ready:
        return replace(self.inner.prepare(commit), identity="")

    def run(self, commit: str, count: int) -> Sequence[Observation]:
        return [self.answer(one) for one in self.inner.run(commit, count)]


@dataclass
class TimedLog:
    """The journal seen through the threshold; what is written stays raw."""

    inner: Log
    timed: Timed
    trials: list[Observation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.trials = [self.timed.answer(one) for one in self.inner.trials]

    def add(self, observation: Observation) -> None:
        self.inner.add(observation)
