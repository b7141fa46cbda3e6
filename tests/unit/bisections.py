# SPDX-License-Identifier: GPL-2.0-or-later
"""Synthetic histories, and a tester of planted bugs with planted flake rates."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from kvtools.bisect.observation import Observation, Ready
from kvtools.bisection import Answer, Commit, History
from kvtools.errors import GuestLost


def name(number: int) -> str:
    return f"{number:040x}"


def linear(count: int) -> History:
    """``count`` candidates; the old end is commit 0."""
    commits = [Commit(name(n), (name(n - 1),), f"commit {n}") for n in range(1, count + 1)]
    return History(commits, old=(name(0),), new=name(count))


def merged(count: int, rng: random.Random) -> History:
    """Branches that leave and come back: every fifth commit or so is a merge."""
    commits: list[Commit] = []
    heads = [name(0)]
    for number in range(1, count + 1):
        last = number == count
        if last or (len(heads) > 1 and rng.random() < 0.3):
            parents = tuple(heads) if last else tuple(rng.sample(heads, 2))
            heads = [h for h in heads if h not in parents]
        else:
            parents = (rng.choice(heads),)
            if rng.random() < 0.7 or len(heads) > 4:
                heads.remove(parents[0])
        commits.append(Commit(name(number), parents, f"commit {number}"))
        heads.append(name(number))
    return History(commits, old=(name(0),), new=name(count))


class Planted:
    """A tester whose ``first`` commit is the first new one; ``rate`` and ``noise`` as in Flakes.

    ``special`` overrides the answer of a commit; ``lost`` is the chance of a machine fault.
    """

    def __init__(self, history: History, first: str, *, rate: float = 1.0, noise: float = 0.0,
                 seed: int = 1, reverse: bool = False, lost: float = 0.0, slots: int = 1,
                 special: dict[str, Observation] | None = None,
                 cost: Callable[[str], float] = lambda commit: 1.0) -> None:
        self.history, self.first, self.rate, self.noise = history, first, rate, noise
        self.reverse, self.lost, self.slots = reverse, lost, slots
        self.special, self.cost = special or {}, cost
        self.random = random.Random(seed)
        self.tried: list[str] = []
        self.built: list[str] = []

    def broken(self, commit: str) -> bool:
        bit = 1 << self.history.index(self.first)
        return bool(self.history.ancestors(commit) & bit) is not self.reverse

    def known(self, commit: str) -> Sequence[Observation]:
        return ()

    def prepare(self, commit: str) -> Ready:
        if commit not in self.built:
            self.built.append(commit)
        return Ready()

    def run(self, commit: str, count: int) -> Sequence[Observation]:
        return [self._one(commit) for _ in range(count)]

    def _one(self, commit: str) -> Observation:
        if self.random.random() < self.lost:
            raise GuestLost("QEMU was killed")
        self.tried.append(commit)
        if commit in self.special:
            return self.special[commit]
        fails = self.random.random() < (self.rate if self.broken(commit) else self.noise)
        return Observation(commit, Answer.FAIL if fails else Answer.PASS, "planted",
                           ("subtest:bug",) if fails else ())
