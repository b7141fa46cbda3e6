# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps of an untrusted series: the same functions, each run under bubblewrap.

A step is a function from a frozen request to an outcome, so all of it runs confined, its own
reading and writing of files that the series made included; here only the answer is looked at.
docs/untrusted.md says what that guarantees.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from kvtools import git
from kvtools.checks.findings import Side
from kvtools.checks.request import CheckRequest
from kvtools.errors import KvtoolsError
from kvtools.events import Tick, no_tick
from kvtools.model import Outcome, Owner, Status, Step
from kvtools.quarantine import outside, views, wire
from kvtools.quarantine.limits import Limits
from kvtools.quarantine.residue import disarm
from kvtools.steps.apply import ApplyRequest
from kvtools.steps.build import BuildRequest
from kvtools.steps.guest import GuestRequest

CAUTION = "# an untrusted series: these lines run it without the confinement"
_ID = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The steps, confined, each within ``limits``."""

    limits: Limits

    def apply(self, request: ApplyRequest, tick: Tick = no_tick) -> Outcome:
        """See :func:`kvtools.steps.apply.run`; the commit is what git here says it is."""
        room = views.apply_room(request)
        outcome = self._step("apply", request, room, tick, Step.APPLY, request.out)
        if outcome.status is Status.PASS:
            _is_commit(request, outcome)
        return outcome

    def before(self, request: CheckRequest) -> Side:
        """See :func:`kvtools.steps.check.before`."""
        request = _own_cache(request)
        room = views.check_room(request)
        try:
            answer = outside.run("check", "before", request, room, self.limits, no_tick)
        finally:
            disarm(request.out)
        if answer.over:
            return Side(error=f"{request.check.name} used {answer.over} and was stopped")
        return wire.side(answer.data.get("side"))

    def check(self, request: CheckRequest, tick: Tick = no_tick) -> Outcome:
        """See :func:`kvtools.steps.check.run`."""
        request = _own_cache(request)
        room = views.check_room(request)
        return self._step("check", request, room, tick, Step.CHECK, request.out)

    def build(self, request: BuildRequest, tick: Tick = no_tick) -> Outcome:
        """See :func:`kvtools.steps.build.run`; the digest of the image is taken here."""
        request.objects.mkdir(parents=True, exist_ok=True)
        room = views.build_room(request)
        outcome = self._step("build", request, room, tick, Step.BUILD, request.out)
        image = request.out / "bzImage"
        if outcome.status not in (Status.PASS, Status.WARN):
            return outcome
        if not image.is_file():
            raise wire.Garbled("the confined build passed and left no bzImage")
        digest = hashlib.sha256(image.read_bytes()).hexdigest()
        return replace(outcome, details={**outcome.details, "image_sha256": digest})

    def guest(self, request: GuestRequest, tick: Tick = no_tick) -> Outcome:
        """See :func:`kvtools.steps.guest.run`."""
        room = views.guest_room(request)
        return self._step("guest", request, room, tick, request.step, request.out)

    def _step(self, module: str, request: object, room: views.Room, tick: Tick, step: Step,
              out: Path) -> Outcome:
        try:
            answer = outside.run(module, "run", request, room, self.limits, tick)
        finally:
            removed = disarm(out)
        if answer.over:
            return Outcome(
                step, "", Status.FAIL, 0.0, f"used {answer.over} and was stopped",
                owner=Owner.PATCH, evidence=(f"the step {step} used {answer.over}",),
                fingerprints=(f"confinement: {step}: {answer.over}",))
        outcome = wire.outcome(answer.data.get("outcome"))
        log = outcome.log if outcome.log and (out / outcome.log).is_file() else None
        evidence = outcome.evidence
        if removed:
            evidence = (*evidence, f"removed what is no plain file: {', '.join(removed[:5])}")
        lines = (CAUTION, *outcome.reproduce) if outcome.reproduce else ()
        return replace(outcome, log=log, evidence=evidence, reproduce=lines)


def _own_cache(request: CheckRequest) -> CheckRequest:
    """The cache of a check is shared by all series; this one gets a fresh one."""
    cache = request.keep.parent / "cache"
    cache.mkdir(exist_ok=True)
    return replace(request, cache=cache)


def _is_commit(request: ApplyRequest, outcome: Outcome) -> None:
    """Raises Garbled unless the outcome names a commit on the parent and its tree."""
    commit, tree = outcome.details.get("commit"), outcome.details.get("tree")
    repo = request.worktree
    try:
        sound = (
            isinstance(commit, str) and _ID.fullmatch(commit) is not None
            and git.rev_parse(repo, commit) == commit
            and git.rev_parse(repo, f"{commit}^") == request.parent
            and git.tree_of(repo, commit) == tree
        )
    except KvtoolsError:
        sound = False
    if not sound:
        raise wire.Garbled("the confined apply names no commit of its own")
