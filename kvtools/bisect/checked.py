# SPDX-License-Identifier: GPL-2.0-or-later
"""The tester of ``check:NAME``: a commit is bad when a patch up to it fails the check.

A check compares a patch with its parent, so that the answer for a commit says nothing of those
before it and every patch is checked once, by a run of the usual engine. What is left to the
search are the ends, the history, and the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kvtools.bisect import judge
from kvtools.bisect.observation import Observation, Ready
from kvtools.bisection import Answer, History
from kvtools.bisection.spec import Check
from kvtools.errors import UserError
from kvtools.model import Outcome, Status


class Checked:
    """See :class:`kvtools.bisect.observation.Tester`.

    ``outcomes`` has the outcome of the check by commit. Raises UserError when the check was
    skipped everywhere: nothing was looked at, and that is no answer.
    """

    slots = 1

    def __init__(self, check: Check, history: History, outcomes: Mapping[str, Outcome]) -> None:
        self._answers: dict[str, Observation] = {}
        skipped = [o for o in outcomes.values() if o.status is Status.SKIP]
        if outcomes and len(skipped) == len(outcomes):
            raise UserError(f"check:{check.name} was skipped: {skipped[0].summary}",
                            fix="kvtools doctor names what is missing")
        said: Observation | None = None
        for commit in (c.id for c in history.commits):
            outcome = outcomes.get(commit)
            if outcome and outcome.status is not Status.SKIP and said is None:
                found = judge.of_check(commit, outcome)
                said = found if found.answer is not Answer.PASS else None
            one = said or Observation(commit, Answer.PASS, "no patch fails so far")
            self._answers[commit] = replace(one, commit=commit, source=f"check:{commit}")

    def cost(self, commit: str) -> float:
        return 0.0

    def known(self, commit: str) -> Sequence[Observation]:
        return ()

    def prepare(self, commit: str) -> Ready:
        before = Observation(commit, Answer.PASS, "before the series", source=f"check:{commit}")
        return Ready(answer=self._answers.get(commit, before))

    def run(self, commit: str, count: int) -> Sequence[Observation]:
        answer = self.prepare(commit).answer
        return [answer] * count if answer else []
