# SPDX-License-Identifier: GPL-2.0-or-later
"""How probable each candidate is to be the first new commit, after all trials so far."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from kvtools.bisection.flakes import NEVER, Flakes
from kvtools.bisection.history import History, bits


class Answer(StrEnum):
    """What one trial said. Only FAIL and PASS are weighed.

    SKIP: this commit can never answer (it does not build). OTHER: it failed in another way than
    the one looked for. ERROR: the machine's fault, nothing was learnt.
    """

    FAIL = "FAIL"
    PASS = "PASS"
    SKIP = "SKIP"
    OTHER = "OTHER"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Weight:
    """Candidates that all trials see alike: their set, the probability of *each*, and the
    expected failure rate of a broken commit if one of them is the first."""

    mask: int
    each: float
    rate: float
    consistent: bool
    """No trial contradicts it if the failure is deterministic."""


@dataclass(frozen=True, slots=True)
class Group:
    """Candidates that no commit which can be tested tells apart, and their probability."""

    mask: int
    probability: float


class Posterior:
    """The state of one search: trials in, probabilities out.

    ``reverse``: the old commits are the broken ones and the first commit that mends is sought.
    ``prior`` are relative weights by commit id, 1 where it says nothing.
    """

    def __init__(self, history: History, flakes: Flakes, *, reverse: bool = False,
                 prior: Mapping[str, float] | None = None) -> None:
        self.history, self.flakes, self.reverse = history, flakes, reverse
        self.trials: dict[str, Counter[Answer]] = {}
        self.skipped: set[str] = set()
        self._excluded = 0
        self._prior: dict[float, int] = {}
        for number, commit in enumerate(history.commits):
            weight = (prior or {}).get(commit.id, 1.0)
            self._prior[weight] = self._prior.get(weight, 0) | 1 << number
        self.even = len(self._prior) == 1
        self._weights: tuple[Weight, ...] | None = None
        self._groups: list[int] | None = None
        self._all = (0, 0)

    def add(self, commit: str, answer: Answer) -> None:
        """Weigh one trial. Raises KeyError for a commit that is not part of the history."""
        self.history.ancestors(commit)
        if answer is Answer.SKIP:
            self.skip(commit)
        elif answer in (Answer.FAIL, Answer.PASS):
            self.trials.setdefault(commit, Counter())[answer] += 1
            self._weights = None

    def skip(self, commit: str) -> None:
        """This commit cannot be tested."""
        self.skipped.add(commit)
        self._groups = None

    def same(self, commit: str, other: str) -> None:
        """Both give the same kernel: no commit between them can be the first."""
        ancestors = self.history.ancestors
        self._excluded |= ancestors(commit) ^ ancestors(other)
        self._weights = None

    def broken(self, commit: str) -> int:
        """The candidates of which this commit is broken if they were the first new one."""
        mask = self.history.ancestors(commit)
        return self.history.all & ~mask if self.reverse else mask

    @property
    def testable(self) -> tuple[str, ...]:
        """The candidates that were not skipped."""
        return tuple(c.id for c in self.history.commits if c.id not in self.skipped)

    def weights(self) -> tuple[Weight, ...]:
        """The candidates by what the trials say of them. Empty when all are contradicted."""
        if self._weights is None:
            self._weights = tuple(self._weigh())
        return self._weights

    def _weigh(self) -> list[Weight]:
        seen = []
        self._all = self._sum(self.trials)
        for mask, broken in self._classes():
            logarithm, rate, consistent = self._likelihood(broken)
            if logarithm > NEVER:
                seen += [(part, logarithm + math.log(prior), rate, consistent)
                         for prior, level in self._prior.items()
                         if prior > 0 and (part := mask & level)]
        if not seen:
            return []
        top = max(logarithm for _, logarithm, _, _ in seen)
        total = sum(mask.bit_count() * math.exp(logarithm - top) for mask, logarithm, _, _ in seen)
        return [Weight(mask, math.exp(logarithm - top) / total, rate, consistent)
                for mask, logarithm, rate, consistent in seen]

    def _classes(self) -> list[tuple[int, tuple[str, ...]]]:
        """Candidates grouped by which of the tested commits are broken if they are the first."""
        classes: list[tuple[int, tuple[str, ...]]] = [(self.history.all & ~self._excluded, ())]
        for commit in self.trials:
            broken, split = self.broken(commit), []
            for mask, names in classes:
                if mask & broken:
                    split.append((mask & broken, (*names, commit)))
                if mask & ~broken:
                    split.append((mask & ~broken, names))
            classes = split
        return [one for one in classes if one[0]]

    def _likelihood(self, broken: tuple[str, ...]) -> tuple[float, float, bool]:
        """Its logarithm, the failure rate expected, and whether a deterministic failure fits."""
        fails, passes = self._sum(broken)
        good_fails, good_passes = self._all[0] - fails, self._all[1] - passes
        logarithm = self.flakes.broken(fails, passes) + self.flakes.sound(good_fails, good_passes)
        return logarithm, self.flakes.rate(fails, passes), not passes and not good_fails

    def _sum(self, commits: Iterable[str]) -> tuple[int, int]:
        counts = [self.trials[commit] for commit in commits]
        return sum(c[Answer.FAIL] for c in counts), sum(c[Answer.PASS] for c in counts)

    def probability(self, commit: str) -> float:
        """That this candidate is the first new commit."""
        bit = 1 << self.history.index(commit)
        return next((w.each for w in self.weights() if w.mask & bit), 0.0)

    def chance(self, mask: int) -> float:
        """That the first new commit is in this set."""
        return math.fsum((w.mask & mask).bit_count() * w.each for w in self.weights())

    @property
    def rate(self) -> float:
        """The expected rate at which a broken commit fails."""
        return math.fsum(w.mask.bit_count() * w.each * w.rate for w in self.weights())

    def best(self) -> Group:
        """The most probable group of candidates that cannot be told apart, see :class:`Group`.

        One commit, unless commits were skipped. Of equals the earliest; probability 0 when
        the trials contradict each other.
        """
        if not self.skipped:
            top = max(self.weights(), key=lambda w: (w.each, -next(bits(w.mask))), default=None)
            return Group(top.mask & -top.mask, top.each) if top else Group(1, 0.0)
        found = [Group(mask, self.chance(mask)) for mask in self._told_apart()]
        best = max(found, key=lambda group: group.probability)
        # Commits that are excluded (the same kernel as their parent) are no answer.
        return Group(best.mask & ~self._excluded or best.mask, best.probability)

    def _told_apart(self) -> list[int]:
        if self._groups is None:
            if self.skipped & {c.id for c in self.history.commits}:
                self._groups = self._split_by_testable()
            else:
                self._groups = [1 << n for n in range(len(self.history))]
        return self._groups

    def _split_by_testable(self) -> list[int]:
        groups = [self.history.all]
        for commit in self.testable:
            mask = self.history.ancestors(commit)
            groups = [part for group in groups for part in (group & mask, group & ~mask) if part]
        return sorted(groups, key=lambda group: next(bits(group)))

    def passes_to_clear(self, confidence: float) -> int:
        """How many passes in a row say of one more commit, even odds before, that it is sound."""
        fails, seen = self._sum(c for c, count in self.trials.items() if count[Answer.FAIL])
        before = self.flakes.broken(fails, seen)
        passes = 1
        while passes < self.flakes.most_passes:
            more = self.flakes.broken(fails, seen + passes)
            likely = math.exp(more - before) if more > NEVER else 0.0
            if likely / (likely + 1) <= 1 - confidence:
                break
            passes += 1
        return passes
