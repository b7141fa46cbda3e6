# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether what is to be sent is what was tested, and whether it passed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kvtools.model import Base, Outcome, Status, Step
from kvtools.report import Row, RunReport
from kvtools.report.text import rows

AT_FAULT = (Status.FAIL, Status.ERROR)


@dataclass(frozen=True, slots=True)
class Applied:
    """A patch of the series as it applies now: ``commit`` tells its message too."""

    number: int
    subject: str
    commit: str
    tree: str


def refusals(report: RunReport | None, base: Base, patches: Sequence[Applied],
             later: Sequence[RunReport] = ()) -> list[str]:
    """Why the series must not be sent, a line each; none when it may.

    SKIP and WARN are no reason: the report names them, and so does the cover letter. ``later``
    are the runs after ``report``, oldest first: what fails in the last of them counts, too.
    """
    if report is None:
        return ["nothing was tested: no run of this series is stored"]
    if report.base.commit != base.commit:
        return [f"run {report.id} was on another base: {report.base.name} {report.base.version} "
                f"({report.base.commit[:12]}), not {base.version} ({base.commit[:12]})"]
    return [*_changed(report, patches), *_not_built(report),
            *dict.fromkeys([*_failed(report), *_failed_later(later, base, patches)])]


def _changed(report: RunReport, patches: Sequence[Applied]) -> Iterator[str]:
    """The first patch that is not as it was; those on top of it are others for that alone."""
    moved, bare = "", []
    for patch in patches:
        row = report.row(patch.number)
        if row is None or row.tree is None:
            yield f"patch {patch.number} was not tested in run {report.id}"
        elif row.tree != patch.tree and moved != "patch":
            moved = "patch"
            yield f"patch {patch.number} has changed since run {report.id}"
        elif row.commit != patch.commit and not moved:
            moved = "message"
            yield (f"the message or the author of patch {patch.number} has changed since run "
                   f"{report.id} checked it")
        elif not any(o.status is not Status.SKIP for o in row.outcomes if o.name):
            bare.append(patch.number)
    if bare:
        yield f"run {report.id} applied {rows(bare)} and tested nothing there"
    more = [row.number for row in report.patches if row.number > len(patches)]
    if more:
        yield f"run {report.id} tested {len(more)} patches that are not in the series any more"


def _not_built(report: RunReport) -> Iterator[str]:
    """Checks of a mail's text alone say nothing about a kernel."""
    if not built(report):
        yield f"run {report.id} built no kernel: {' '.join(report.command) or 'it was stopped'}"


def built(report: RunReport) -> bool:
    """Whether a patch of the series was built."""
    return _ran(report, Step.BUILD)


def absent(report: RunReport) -> list[str]:
    """Whole kinds of tests that the run left out: worth a warning, not a refusal."""
    kinds = {"no guest was booted": (Step.BOOT, Step.SELFTEST, Step.DUMP),
             "no check ran": (Step.CHECK,)}
    bare = [row.number for row in report.patches
            if not any(_counts(outcome, (Step.BUILD,)) for outcome in row.outcomes)]
    left = [what for what, steps in kinds.items() if not _ran(report, *steps)]
    left += [f"{rows(bare)} not built"] if bare else []
    return [f"run {report.id}: {what}" for what in left]


def _counts(outcome: Outcome, steps: Sequence[Step]) -> bool:
    return outcome.step in steps and outcome.status is not Status.SKIP


def _ran(report: RunReport, *steps: Step) -> bool:
    return any(row.number and _counts(outcome, steps) for row, outcome in report.outcomes())


def _failed(report: RunReport) -> Iterator[str]:
    for row, outcome in report.outcomes():
        if row.number and outcome.status in AT_FAULT and "subtest_of" not in outcome.details:
            yield _line(row, outcome)


def _failed_later(later: Sequence[RunReport], base: Base,
                  patches: Sequence[Applied]) -> Iterator[str]:
    known = {(patch.number, patch.commit) for patch in patches}
    newest = {(row.number, outcome.cell): (row, outcome)
              for report in later if report.base.commit == base.commit
              for row, outcome in report.outcomes() if (row.number, row.commit) in known}
    for row, outcome in newest.values():
        if outcome.status in AT_FAULT:
            yield _line(row, outcome)


def _line(row: Row, outcome: Outcome) -> str:
    return f"patch {row.number}: {outcome.cell} {outcome.status}: {outcome.summary}"


def matching(reports: Sequence[RunReport], patches: Sequence[Applied]) -> RunReport | None:
    """The run to judge by, of ``reports`` (oldest first); None when none knows any of ``patches``.

    The newest that tested all of them and built, else that tested all, else that tested most.
    """
    whole = [report for report in reports if _same(report, patches) == len(patches)]
    for report in [*reversed([one for one in whole if built(one)]), *reversed(whole)]:
        return report
    best = max(reversed(reports), key=lambda one: _same(one, patches), default=None)
    return best if best and _same(best, patches) else None


def _same(report: RunReport, patches: Sequence[Applied]) -> int:
    trees = {(patch.number, patch.tree) for patch in patches}
    return sum((row.number, row.tree) in trees for row in report.patches)
