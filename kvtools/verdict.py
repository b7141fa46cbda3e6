# SPDX-License-Identifier: GPL-2.0-or-later
"""Judge a cell against the base and against what the series promises. Pure.

A patch answers only for what the base did not do already; a SKIP where the series
promises a PASS is a FAIL (laws 5 and 7 of the design).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from kvtools.model import Expectation, Known, Outcome, Owner, Status, Step

BLOCKED = "blocked_by"
"""Key in ``Outcome.details`` of a cell that could not run: the cell that stopped it."""


EARLY = "expected_from"
"""Key in ``Outcome.details`` of a cell that was not run: the patch it is promised from."""


def blocked(step: Step, name: str, by: Outcome, patch: int) -> Outcome:
    """The SKIP of a cell that needs ``by``, a cell of ``patch`` that did not pass."""
    of = "the base" if patch == 0 else f"patch {patch}"
    return Outcome(
        step,
        name,
        Status.SKIP,
        0.0,
        f"{by.cell} of {of} is {by.status}",
        details={BLOCKED: by.cell, "blocked_by_patch": patch},
    )


def not_yet(
    step: Step, name: str, expectation: Expectation | None, patch: int
) -> Outcome | None:
    """The SKIP of a cell before the patch that it is promised from.

    None from that patch on, and of the base: what the patches do is compared with it.
    """
    due = expectation.from_patch if expectation else None
    if due is None or not 0 < patch < due:
        return None
    return Outcome(step, name, Status.SKIP, 0.0, f"not run before patch {due}",
                   details={EARLY: due})


def judge(
    outcome: Outcome,
    base: Outcome | None,
    expectation: Expectation | None,
    patch: int,
    known: Sequence[Known] = (),
) -> Outcome:
    """The verdict on ``outcome`` of ``patch`` (0 is the base itself).

    ``base`` is the raw outcome of the same cell on the base, None where the cell has
    none (``apply``); ``known`` are the failures that are expected of the base. Returns
    ``outcome`` with status, owner, summary and details as the report shows them; the stored
    raw outcome is not changed.
    """
    if BLOCKED in outcome.details or outcome.status is Status.ERROR:
        return outcome
    if outcome.status is Status.SKIP:
        return _judge_skip(outcome, expectation, patch)
    if patch == 0:
        if early := _too_early(outcome, expectation, patch):
            return early
        return _judge_base(outcome, [k for k in known if k.cell == _plain(outcome.cell)])
    if outcome.status is Status.FAIL:
        return _judge_fail(outcome, base, expectation, patch)
    return _judge_promise(_judge_pass(outcome, base), expectation, patch)


def _plain(cell: str) -> str:
    """The cell without the config behind ``@``: a known failure is one of any config."""
    return cell.partition("@")[0]


def _judge_base(outcome: Outcome, known: Sequence[Known]) -> Outcome:
    """A failure that is known of the base is a WARN with its reason, and never hides another.

    One that no longer happens is a WARN too: the data that declares it is out of date.
    """
    reasons = {k.fingerprint: k.reason for k in known}
    hit = [f for f in outcome.fingerprints if f in reasons]
    other = [f for f in outcome.fingerprints if f not in reasons]
    gone = [k for k in known if not k.sometimes and k.fingerprint not in hit]
    details = {**outcome.details, "known": hit, "gone": [k.fingerprint for k in gone]}
    if outcome.status is Status.FAIL and (other or not hit):
        return replace(outcome, owner=Owner.KERNEL, details=details if known else outcome.details)
    if not hit and not gone:
        return outcome
    said = []
    if hit:
        why = "; ".join(dict.fromkeys(reasons[f] for f in hit))
        said.append(f"known on this base: {why}: {outcome.summary}")
    if gone:
        said.append(f"a known failure did not happen: {gone[0].fingerprint} ({gone[0].reason})")
    return replace(
        outcome, status=Status.WARN, owner=None, summary="; ".join(said), details=details
    )


def _gave_no_verdict(base: Outcome) -> bool:
    """ERROR, or a cell that could not run because another one of the base did not pass."""
    return base.status is Status.ERROR or BLOCKED in base.details


def _judge_promise(outcome: Outcome, expectation: Expectation | None, patch: int) -> Outcome:
    """A promised cell has to pass whole: a subtest of it that was skipped is a FAIL."""
    due = expectation.from_patch if expectation else None
    skipped = [s for s in outcome.details.get("subtests", ()) if s["status"] == Status.SKIP]
    if due is None or patch < max(due, 1) or not skipped:
        return outcome
    first = skipped[0]
    return replace(
        outcome,
        status=Status.FAIL,
        owner=Owner.PATCH,
        summary=f"expected to pass from patch {due} on, but {first['name']} was skipped: "
        f"{first['message']}",
    )


def _judge_skip(outcome: Outcome, expectation: Expectation | None, patch: int) -> Outcome:
    if expectation is None:
        return outcome
    due = expectation.from_patch
    if due is not None and patch >= max(due, 1) and outcome.owner is Owner.USER:
        return replace(outcome, status=Status.ERROR)  # nobody tested it; not the patch's fault
    if due is not None and patch >= max(due, 1):
        return replace(
            outcome,
            status=Status.FAIL,
            owner=Owner.PATCH,
            summary=f"expected to pass from patch {due} on, but did not run: {outcome.summary}",
        )
    if expectation.reason:
        return replace(outcome, summary=f"{outcome.summary} ({expectation.reason})")
    return outcome


def _judge_fail(
    outcome: Outcome, base: Outcome | None, expectation: Expectation | None, patch: int
) -> Outcome:
    worked = base is not None and base.status is Status.PASS
    early = None if worked else _too_early(outcome, expectation, patch)
    if early is not None:
        return early
    if base is None:
        return replace(outcome, owner=Owner.PATCH)
    if _gave_no_verdict(base):
        return replace(
            outcome,
            status=Status.ERROR,
            owner=Owner.MACHINE,
            summary=f"fails, but the base gave no verdict to compare with: {outcome.summary}",
        )
    known = set(base.fingerprints)
    new = [f for f in outcome.fingerprints if f not in known]
    old = [f for f in outcome.fingerprints if f in known]
    details = {**outcome.details, "new": new, "preexisting": old}
    if base.status is Status.FAIL and outcome.fingerprints and not new:
        return replace(
            outcome,
            status=Status.WARN,
            owner=None,
            summary=f"pre-existing on the base: {outcome.summary}",
            details=details,
        )
    return replace(outcome, owner=Owner.PATCH, details=details)


def _too_early(
    outcome: Outcome, expectation: Expectation | None, patch: int
) -> Outcome | None:
    """The SKIP of a cell that says no before the patch from which on it has to say yes."""
    due = expectation.from_patch if expectation else None
    if expectation is None or due is None or patch >= due or outcome.status is not Status.FAIL:
        return None
    if not _only_subtests(outcome):
        return None
    return replace(
        outcome,
        status=Status.SKIP,
        owner=None,
        summary=f"not before patch {due}: {outcome.summary} ({expectation.reason})",
    )


def _only_subtests(outcome: Outcome) -> bool:
    """Whether nothing went wrong but tests that say no: no splat, no hang, no compile error."""
    marks = outcome.fingerprints
    return bool(marks) and all(mark.startswith("subtest:") for mark in marks)


def _judge_pass(outcome: Outcome, base: Outcome | None) -> Outcome:
    if base is None:
        return outcome
    known = set(base.fingerprints)
    now = set(outcome.fingerprints)
    new = [f for f in outcome.fingerprints if f not in known]
    fixed = [f for f in base.fingerprints if f not in now]
    details = {**outcome.details, "new": new, "fixed": fixed}
    if not new or _gave_no_verdict(base):
        return replace(outcome, details=details)
    more = f" and {len(new) - 1} more" if len(new) > 1 else ""
    return replace(
        outcome,
        status=Status.WARN,
        owner=Owner.PATCH,
        summary=f"new: {new[0]}{_far(outcome, new[0])}{more}",
        details=details,
    )


def _far(outcome: Outcome, mark: str) -> str:
    """What to say of a warning in a file that the patch does not touch: it is the patch's."""
    known = [w["touched_file"] for w in outcome.details.get("warnings", ())
             if mark.startswith(f"{w['tool']}: {w['file']}: ")]
    return " [in a file that the patch does not touch: what it changes reaches there]" \
        if known and not any(known) else ""


def overall(base: Iterable[Outcome], patches: Iterable[Outcome]) -> Status:
    """The status of a run from the judged cells of its base row and of its patch rows.

    FAIL when a patch is at fault; ERROR when something could not be judged, a base that
    does not build or boot included; a base without patches answers for itself; SKIP when
    nothing ran at all.
    """
    of_base, of_patches = list(base), list(patches)
    statuses = {o.status for o in of_patches}
    if Status.FAIL in statuses:
        return Status.FAIL
    if Status.ERROR in statuses or any(o.status is Status.ERROR for o in of_base):
        return Status.ERROR
    broken = [o for o in of_base if o.status is Status.FAIL]
    if broken and not of_patches:
        return Status.FAIL
    if any(o.step in (Step.BUILD, Step.BOOT) for o in broken):
        return Status.ERROR
    if broken or Status.WARN in (statuses or {o.status for o in of_base}):
        return Status.WARN
    ran = statuses | {o.status for o in of_base}
    return Status.PASS if Status.PASS in ran else Status.SKIP
