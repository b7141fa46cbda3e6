# SPDX-License-Identifier: GPL-2.0-or-later
"""What is believed of how often the failure shows on a broken commit."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from kvtools.errors import UserError

POINTS = 64
"""Of the grid on which q is integrated: more change no answer in the fourth digit."""

NEVER = -math.inf


@dataclass(frozen=True, slots=True)
class Flakes:
    """The prior of q, the rate at which the check fails on a broken commit.

    ``spike`` is the weight of q = 1; the rest is flat in log q down to half of ``lowest``, the
    smallest rate that is to be found: so a rate of 5% is as likely as one of 50%, and the
    answer is as sure at either. ``noise`` is the rate at which it fails on a sound commit,
    known beforehand.
    """

    spike: float = 0.5
    lowest: float = 0.05
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.spike <= 1 and 0 < self.lowest < 1 and 0 <= self.noise < 1):
            raise UserError(f"{self} is no belief about a failure rate",
                            fix="rates are between 0 and 1")
        if self.noise >= self.lowest and self.spike < 1:
            raise UserError(
                f"the check fails at {self.noise:g} on good commits and perhaps only at "
                f"{self.lowest:g} on bad ones: it cannot tell them apart",
                fix="give --flaky a rate above --noise, or use a sharper check")

    def broken(self, fails: int, passes: int) -> float:
        """The logarithm of the likelihood of such trials on broken commits, q integrated out."""
        return _broken(self.spike, self.lowest, fails, passes)

    def sound(self, fails: int, passes: int) -> float:
        """The same on sound commits."""
        if fails and not self.noise:
            return NEVER
        return (fails * math.log(self.noise) if fails else 0.0) + passes * math.log1p(-self.noise)

    def rate(self, fails: int, passes: int) -> float:
        """The expected q after such trials: how likely the next one on a broken commit fails."""
        now = self.broken(fails, passes)
        return math.exp(self.broken(fails + 1, passes) - now) if now > NEVER else self.lowest

    @property
    def most_passes(self) -> int:
        """So many passes in a row are not believed of a broken commit: one in a hundred."""
        if self.spike == 1:
            return 1
        return math.ceil(math.log(0.01) / math.log(1 - self.lowest))


DETERMINISTIC = Flakes(spike=1.0)
"""For a check that gives the same answer each time: a compiler, the size of a symbol."""


@functools.cache
def _grid(lowest: float) -> tuple[tuple[float, float], ...]:
    start = math.log(lowest / 2)
    logarithms = [start * (1 - (n + 0.5) / POINTS) for n in range(POINTS)]
    return tuple((q, math.log1p(-math.exp(q))) for q in logarithms)


@functools.lru_cache(maxsize=1 << 16)
def _broken(spike: float, lowest: float, fails: int, passes: int) -> float:
    terms = [math.log(spike)] if spike and not passes else []
    if spike < 1:
        flat = math.log((1 - spike) / POINTS)
        terms += [flat + fails * q + passes * r for q, r in _grid(lowest)]
    if not terms:
        return NEVER
    top = max(terms)
    return top + math.log(sum(math.exp(term - top) for term in terms))
