# SPDX-License-Identifier: GPL-2.0-or-later
"""Which commit to try next: the one that tells most for its cost."""

from __future__ import annotations

import math
from collections.abc import Callable

from kvtools.bisection.posterior import Posterior, Weight

Costs = Callable[[str], float]
"""Seconds that a trial of a commit takes now: its build from what is built, and the test."""


def choose(posterior: Posterior, cost: Costs) -> str | None:
    """The candidate to try, or None when no trial of any can tell anything more.

    While all trials fit a deterministic failure (and no prior prefers some candidates) only
    such commits are considered that need no more trials than halving does in the worst case
    (what ``git bisect`` needs); among them, and in every other state, the expected
    information on the first new commit per second decides. Of equals the one that halves
    best, then the earliest.
    """
    weights = posterior.weights()
    terms = terms_of(weights)
    scored = []
    for commit in posterior.testable:
        broken = posterior.broken(commit)
        told = information(terms, broken, posterior.flakes.noise)
        if told > 1e-12:
            scored.append((commit, broken, told))
    if not scored:
        return None
    alive = _alive(weights)
    left = alive.bit_count()
    if left > 1 and posterior.flakes.spike and posterior.even:
        limit = 1 << (left - 1).bit_length() - 1
        halving = [one for one in scored
                   if max((alive & one[1]).bit_count(), (alive & ~one[1]).bit_count()) <= limit]
        dividing = [one for one in scored if 0 < (alive & one[1]).bit_count() < left]
        scored = halving or _most_even(dividing, alive) or scored
    best = max(scored, key=lambda one: (round(one[2] / max(cost(one[0]), 1e-9), 12),
                                        -abs(2 * (alive & one[1]).bit_count() - left)))
    return best[0]


def _alive(weights: tuple[Weight, ...]) -> int:
    """The candidates that a deterministic failure leaves."""
    mask = 0
    for weight in weights:
        if weight.consistent:
            mask |= weight.mask
    return mask


def _most_even(scored: list[tuple[str, int, float]], alive: int) -> list[tuple[str, int, float]]:
    """Where merges or skips leave no halving commit, those that come nearest to it."""
    if not scored:
        return []
    left = alive.bit_count()
    least = min(abs(2 * (alive & broken).bit_count() - left) for _, broken, _ in scored)
    return [one for one in scored if abs(2 * (alive & one[1]).bit_count() - left) == least]


def terms_of(weights: tuple[Weight, ...]) -> list[tuple[int, float, float, float]]:
    """For :func:`information`: set; of each candidate in it probability, that a broken
    commit fails with it, and the entropy of that."""
    return [(w.mask, w.each, w.each * w.rate, w.each * entropy(w.rate)) for w in weights]


def information(
    terms: list[tuple[int, float, float, float]], broken: int, noise: float
) -> float:
    """Bits that one trial is expected to tell about which candidate is the first.

    ``broken`` are the candidates of which the tried commit is broken if they are the first.
    """
    reached = failing = certain = 0.0
    for mask, each, fails, unsure in terms:
        count = (mask & broken).bit_count()
        if count:
            reached += count * each
            failing += count * fails
            certain += count * unsure
    sound = max(1.0 - reached, 0.0)
    return max(entropy(failing + sound * noise) - certain - sound * entropy(noise), 0.0)


def entropy(chance: float) -> float:
    """Of a coin, in bits."""
    if not 0.0 < chance < 1.0:
        return 0.0
    return -chance * math.log2(chance) - (1 - chance) * math.log2(1 - chance)


def capacity(rate: float, noise: float = 0.0) -> float:
    """Bits about "broken or not" that one trial can tell at most, the rates being known.

    With noise 0 this is the Z-channel. No strategy needs fewer trials, on average over the
    candidates, than their entropy divided by this (Shannon; with feedback too).
    """
    low, high = 0.0, 1.0

    def told(share: float) -> float:
        return (entropy(share * rate + (1 - share) * noise)
                - share * entropy(rate) - (1 - share) * entropy(noise))

    for _ in range(100):  # concave in the share of broken commits
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (left, high) if told(left) < told(right) else (low, right)
    return told((low + high) / 2)
