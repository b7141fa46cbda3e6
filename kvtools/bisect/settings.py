# SPDX-License-Identifier: GPL-2.0-or-later
"""How sure an answer has to be, and what is known beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kvtools.bisection import Flakes

MARGIN = 3.0


@dataclass(frozen=True, slots=True)
class Settings:
    """``confidence`` is the probability with which the answer has to be right, also if the
    failure should be flaky; ``most`` bounds the trials; ``skip`` are commits not to try."""

    flakes: Flakes = field(default_factory=Flakes)
    confidence: float = 0.99
    reverse: bool = False
    prior: Mapping[str, float] = field(default_factory=dict)
    skip: frozenset[str] = frozenset()
    most: int = 2000

    @property
    def sure(self) -> float:
        """The posterior at which to stop.

        The stated confidence is owed for flaky failures taken by themselves, and the spike is
        the belief that this is none: an error of e among the flaky is (1 - spike) e of all. It is
        owed at every rate, too, and the posterior keeps it on the average over the rates: a
        third of e is the margin for those at which it errs more often (simulated, see docs).
        """
        if self.flakes.spike == 1:
            return self.confidence
        return 1 - (1 - self.confidence) * (1 - self.flakes.spike) / MARGIN
