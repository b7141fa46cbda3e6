# SPDX-License-Identifier: GPL-2.0-or-later
"""One preparation, from the stored run to the mails on the disk."""

from __future__ import annotations

import contextlib
import json
import mailbox
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kvtools import applying, bases, git
from kvtools.errors import MachineError, UserError
from kvtools.events import Emit, Notice, Working
from kvtools.git.command import WRITE
from kvtools.git.command import git as run_git
from kvtools.model import Person, Series, Status
from kvtools.report import RunReport
from kvtools.request import RunRequest
from kvtools.store import Store
from kvtools.submit import gate, letter, recipients, revisions
from kvtools.submit.branch import Branch
from kvtools.submit.gate import Applied
from kvtools.submit.prefixes import prefixes
from kvtools.submit.recipients import Recipient

TREE, MAILS, STATE = "tree", "mails", "submit.json"
EDITME = "EDITME"  # b4's word for what the author has still to write
CREATION_FACTOR = 80  # patches of a series that is reworked are alike: take them for pairs


@dataclass(frozen=True, slots=True)
class Asked:
    """``previous`` is the last revision as it was sent, ``replies`` a mailbox of answers to it."""

    output: Path
    sender: Person
    previous: Series | None = None
    replies: Path | None = None
    revision: int | None = None
    resend: bool = False
    template: Path | None = None
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """What was written: the mails with the cover letter first, who gets them, what to know.

    ``trailers`` are those that b4 took from replies, ``subject: trailer``.
    """

    mails: tuple[Path, ...]
    recipients: tuple[Recipient, ...]
    run: str
    warnings: tuple[str, ...]
    trailers: tuple[str, ...] = ()


class Refused(UserError):
    """The series must not be sent; ``reasons`` say why, a line each."""

    exit_code = 1

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(f"not prepared, {len(reasons)} reason{'s' * (len(reasons) != 1)}",
                         fix="mend the patches, or run kvtools test again (what is as it was is "
                         "taken from the store)")
        self.reasons = tuple(reasons)


def prepare(asked: Asked, request: RunRequest, store: Store, reports: Sequence[RunReport],
            emit: Emit) -> Made:
    """Check, write the cover letter, have b4 write the mails, and apply them again.

    ``reports`` are the runs that may serve, oldest first. Raises Refused, and MachineError when
    a program fails or the mails do not make the tree that was tested.
    """
    series = applying.series_of(request)
    patches = applied(request, store, emit)
    report = gate.matching(reports, patches)
    later = reports[reports.index(report) + 1:] if report else ()
    if reasons := gate.refusals(report, request.base, patches, later):
        raise Refused(reasons)
    assert report is not None
    # The tree may have learnt of the base, or lost it, since it was tested.
    report = replace(report, base=replace(report.base, public=request.base.public))
    asked.output.mkdir(parents=True, exist_ok=True)
    if (asked.output / STATE).exists():
        raise UserError(f"{asked.output} holds a submission", fix="name another --output")
    Branch.discard(asked.output / TREE)
    named = _recipients(asked, request, patches[-1].commit, emit)
    branch = Branch.make(asked.output / TREE, _branch_name(series), request.base.repo,
                         request.base.commit, patches[-1].commit, asked.sender)
    revision, changes = _revision(asked, request, store, patches, emit)
    before = asked.previous.change_id if asked.previous else None
    branch.track(revision=revision, change_id=before or series.change_id,
                 prefixes=prefixes(series, resend=asked.resend))
    warnings = _warnings(report)
    took, missed = _trailers(branch, asked.replies) if asked.replies else ([], [])
    text = letter.render(series, report, named, revision=revision, changes=changes,
                         template=asked.template)
    if EDITME in text:
        warnings.append("the cover letter says EDITME: b4 does not send it like that")
    branch.describe(letter.kept_by_b4(text))
    emit(Working("writing the mails with b4"))
    mails = branch.write(asked.output / MAILS)
    if not branch.applies(mails, request.base.commit, patches[-1].tree):
        raise MachineError("git am makes other commits of the mails than those that were tested",
                           fix=f"compare {asked.output / MAILS} with the series")
    emit(Working("writing the mails with b4", done=True))
    _keep(asked.output, branch, report, named)
    return Made(mails, tuple(named), report.id, (*warnings, *missed), tuple(took))


def applied(request: RunRequest, store: Store, emit: Emit) -> tuple[Applied, ...]:
    """Every patch applied. Raises UserError for one that does not apply."""
    found = []
    for row in applying.must_apply(applying.rows(request, store, emit)):
        assert row.tree is not None
        found.append(Applied(row.number, request.patch(row.number).subject, row.tree.commit,
                             row.tree.tree))
    return tuple(found)


def _recipients(asked: Asked, request: RunRequest, tip: str, emit: Emit) -> list[Recipient]:
    assert request.series is not None
    base = request.base
    what = "asking get_maintainer.pl"
    with bases.lease(base, bases.run_key(base), emit) as lease:
        git.checkout(lease.source, tip)
        emit(Working(what))
        found = recipients.ask(lease.source, request.series.patches, lambda number: None)
        emit(Working(what, done=True))
    known = {one.address for one in found}
    for words, is_to in ((asked.to, True), (asked.cc, False)):
        for who in words:
            address = who.rpartition("<")[2].rstrip(">").lower()
            if address not in known:
                found.insert(0, Recipient(who, address, is_to, False, {"named by you": ()}))
    return sorted(found, key=lambda one: (one.is_list, not one.is_to))


def _revision(asked: Asked, request: RunRequest, store: Store, patches: Sequence[Applied],
              emit: Emit) -> tuple[int, list[str]]:
    """The number of this revision, and what a draft says of the changes since the last."""
    assert request.series is not None
    if asked.previous is None:
        return asked.revision or request.series.revision, []
    last = asked.previous
    revision = asked.revision or last.revision + (not asked.resend)
    link = [] if asked.resend or not last.cover else revisions.link(last.cover.mail, last.revision)
    try:
        old = applied(replace(request, series=last), store, emit)
    except UserError as error:
        emit(Notice(f"no range-diff: the last revision does not apply here ({error.message})",
                    "warning"))
        return revision, link
    base = request.base.commit
    text = run_git(request.base.repo, "range-diff", "--no-color",
                   f"--creation-factor={CREATION_FACTOR}", f"{base}..{old[-1].commit}",
                   f"{base}..{patches[-1].commit}", deadline=WRITE).text
    (asked.output / "range-diff.txt").write_text(text, "utf-8")
    return revision, [*revisions.draft(text), *link]


def _warnings(report: RunReport) -> list[str]:
    found = []
    if not report.base.public:
        found.append(f"the base {report.base.name} {report.base.version} is not public: nobody "
                     "can apply this series; rebase it on a tree that others have")
    found += gate.absent(report)
    for row, outcome in report.outcomes():
        if row.number and outcome.status is Status.WARN:
            found.append(f"patch {row.number}: {outcome.cell} WARN: {outcome.summary}")
    return found


def _trailers(branch: Branch, replies: Path) -> tuple[list[str], list[str]]:
    """What b4 took, and warnings of what it did not."""
    took = revisions.taken(branch.take_trailers(replies))
    with contextlib.closing(mailbox.mbox(replies, create=False)) as box:
        missed = revisions.left(box, took)
    return took, [f"not taken, the patch changed since or has it: {one}" for one in missed]


def _branch_name(series: Series) -> str:
    kept = "".join(c if c.isalnum() else "-" for c in series.name.lower()).strip("-")
    return kept or "series"


def _keep(output: Path, branch: Branch, report: RunReport, named: Sequence[Recipient]) -> None:
    lines = []
    for one in named:
        why = "; ".join(role + (f" (patch {', '.join(map(str, numbers))})" if numbers else "")
                        for role, numbers in one.reasons.items())
        lines.append(f"{'To' if one.is_to else 'Cc'}: {one.who}\n    {why}\n")
    (output / "recipients.txt").write_text("".join(lines), "utf-8")
    state = {"tip": branch.tip, "run": report.id, "public": report.base.public,
             "base": f"{report.base.name} {report.base.version}"}
    (output / STATE).write_text(json.dumps(state, indent=1), "utf-8")


def reopened(output: Path) -> tuple[Branch, dict[str, str]]:
    """What :func:`prepare` left. Raises UserError when it is not there or was changed since."""
    try:
        state = json.loads((output / STATE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{output} holds no submission ({error})",
                        fix="kvtools submit prepare --output DIR makes one") from error
    branch = Branch.at(output / TREE)
    if branch.tip != state["tip"]:
        raise UserError(f"the patches in {output / TREE} changed after they were checked",
                        fix="change the series, test it and prepare it again")
    if sent := branch.sent:
        raise UserError(f"b4 sent this already: {', '.join(sent)}",
                        fix="kvtools submit prepare --previous makes the next revision, or with "
                        "--resend the same again")
    return branch, state

