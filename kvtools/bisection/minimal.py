# SPDX-License-Identifier: GPL-2.0-or-later
"""A smallest set of changes that still shows a failure. Pure.

QuickXplain (Junker, AAAI 2004): with k guilty of n changes about 2k log2(n/k) + 2k questions,
and for one guilty change little more than a bisection. Then every member is left out once, so
that the answer is minimal also where the question is not monotone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Shows = Callable[[frozenset[str]], bool]
"""Whether the failure shows with exactly these changes. Asked once for each set."""


def minimal(changes: Sequence[str], shows: Shows) -> tuple[str, ...]:
    """A subset that shows the failure and of which no member can be left out.

    ``shows(all changes)`` and not ``shows(none)`` have been verified by the caller. Changes
    that depend on each other should stand beside each other. Where a subset of changes hides
    the failure that a smaller one shows, the answer is still minimal, not the smallest.
    """
    known: dict[frozenset[str], bool] = {frozenset(): False, frozenset(changes): True}

    def ask(some: frozenset[str]) -> bool:
        if some not in known:
            known[some] = shows(some)
        return known[some]

    found = _explain(frozenset(), False, list(changes), ask)
    if not ask(frozenset(found)):
        found = list(changes)  # not monotone: fall back on leaving out
    return tuple(_leave_out(found, ask))


def _explain(background: frozenset[str], grew: bool, changes: list[str], ask: Shows) -> list[str]:
    """Those of ``changes`` that are needed beside ``background``."""
    if grew and ask(background):
        return []
    if len(changes) == 1:
        return changes
    half = len(changes) // 2
    left, right = changes[:half], changes[half:]
    of_right = _explain(background | frozenset(left), bool(left), right, ask)
    of_left = _explain(background | frozenset(of_right), bool(of_right), left, ask)
    return of_left + of_right


def _leave_out(found: list[str], ask: Shows) -> list[str]:
    """Blocks first and then single members, until none can go."""
    size = max(len(found) // 2, 1)
    kept = list(found)
    while True:
        start, shrunk = 0, False
        while start < len(kept):
            rest = kept[:start] + kept[start + size:]
            if rest and ask(frozenset(rest)):
                kept, shrunk = rest, True
            else:
                start += size
        if size == 1 and not shrunk:
            return kept
        size = max(size // 2, 1)
