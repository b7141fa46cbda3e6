# SPDX-License-Identifier: GPL-2.0-or-later
"""The apply cells of a run: every patch up to the last one wanted, on its parent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from kvtools import git, verdict
from kvtools.events import Tick
from kvtools.model import Outcome, Status, Step
from kvtools.plan import APPLY
from kvtools.request import RunRequest, Tree
from kvtools.steps import apply
from kvtools.store import key
from kvtools.work import Work


class ApplyLane:
    """Applies in order; what is stored of a series is looked up in one go.

    ``worktree`` gives the one to apply in, when there is something to apply; ``step`` is
    :func:`kvtools.steps.apply.run`.
    """

    def __init__(self, request: RunRequest, work: Work,
                 step: Callable[[apply.ApplyRequest, Tick], Outcome],
                 worktree: Callable[[], Path]) -> None:
        self._request, self._work, self._step, self._worktree = request, work, step, worktree
        self._left_at = ""  # the commit that this lane left the worktree at

    def outcomes(self) -> Iterator[tuple[int, Outcome]]:
        """Each patch as it ends: conflicts show before any build. After the first that does
        not apply the others are blocked."""
        parent = self._request.base.commit
        stored = self._stored()
        for number, outcome in enumerate(stored, 1):
            parent = outcome.details["commit"]
            yield number, outcome
        failed: tuple[int, Outcome] | None = None
        for number in range(len(stored) + 1, self._request.plan.last + 1):
            if failed:
                yield number, verdict.blocked(Step.APPLY, "", failed[1], failed[0])
                continue
            outcome = self._apply(number, parent)
            if outcome.status is Status.PASS:
                parent = outcome.details["commit"]
            else:
                failed = (number, outcome)
            yield number, outcome

    def _stored(self) -> list[Outcome]:
        """The outcomes from the first patch on that are stored and whose commits are there.

        Only those that applied: whether a conflict can be solved by a three-way merge depends
        on the objects of the repository, which is not in the key; and it may have been made
        anew since.
        """
        base = self._request.base
        parent, found = base.commit, []
        for number in range(1, self._request.plan.last + 1):
            outcome = self._work.stored(APPLY, self._key(number, parent))
            if outcome is None or outcome.status is not Status.PASS:
                break
            parent = outcome.details["commit"]
            found.append(outcome)
        there = git.commits_there(base.repo, [one.details["commit"] for one in found])
        absent = [n for n, one in enumerate(found) if one.details["commit"] not in there]
        return found[: absent[0]] if absent else found

    def _key(self, number: int, parent: str) -> str:
        mail = hashlib.sha256(self._request.patch(number).mail).hexdigest()
        return key(step="apply", version=apply.VERSION, parent=parent, mail=mail)

    def _apply(self, number: int, parent: str) -> Outcome:
        patch = self._request.patch(number)

        def work(out: Path, tick: Tick) -> Outcome:
            worktree, there = self._worktree(), self._left_at == parent
            self._left_at = ""
            outcome = self._step(apply.ApplyRequest(worktree, parent, patch, out, there), tick)
            self._left_at = outcome.details.get("commit", "")
            return outcome

        return self._work.perform(number, APPLY, self._key(number, parent), work)


def trees(request: RunRequest, applied: dict[int, Outcome]) -> dict[int, Tree]:
    """The commit, tree and touched lines of every row whose patch applied; 0 is the base."""
    base = request.base
    found = {0: Tree(base.commit, base.tree, {})}
    done = {n: one.details for n, one in applied.items() if one.status is Status.PASS}
    lines = git.touched_lines_of(base.repo, [details["commit"] for details in done.values()])
    for number, details in done.items():
        commit = details["commit"]
        found[number] = Tree(commit, details["tree"], lines[commit])
    return found
