# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether what is to be sent is what was tested, and whether it passed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kvtools.model import Base, Status
from kvtools.report import RunReport

AT_FAULT = (Status.FAIL, Status.ERROR)


@dataclass(frozen=True, slots=True)
class Applied:
    """A patch of the series as it applies now: ``commit`` tells its message too."""

    number: int
    subject: str
    commit: str
    tree: str


def refusals(report: RunReport | None, base: Base, patches: Sequence[Applied]) -> list[str]:
    """Why the series must not be sent, a line each; none when it may.

    SKIP and WARN are no reason: the report names them, and so does the cover letter.
    """
    if report is None:
        return ["nothing was tested: no run of this series is stored"]
    if report.base.commit != base.commit:
        return [f"run {report.id} was on another base: {report.base.name} {report.base.version} "
                f"({report.base.commit[:12]}), not {base.version} ({base.commit[:12]})"]
    return [*_changed(report, patches), *_failed(report)]


def _changed(report: RunReport, patches: Sequence[Applied]) -> Iterator[str]:
    for patch in patches:
        row = report.row(patch.number)
        if row is None or row.tree is None:
            yield f"patch {patch.number} was not tested in run {report.id}"
        elif row.tree != patch.tree:
            yield f"patch {patch.number} has changed since run {report.id}"
        elif row.commit != patch.commit:
            yield (f"the message of patch {patch.number}, or of one before it, has changed since "
                   f"run {report.id} checked it")
        elif not any(o.status is not Status.SKIP for o in row.outcomes if o.name):
            yield f"patch {patch.number} was applied in run {report.id} and not tested"
    more = [row.number for row in report.patches if row.number > len(patches)]
    if more:
        yield f"run {report.id} tested {len(more)} patches that are not in the series any more"


def _failed(report: RunReport) -> Iterator[str]:
    for row, outcome in report.outcomes():
        if row.number and outcome.status in AT_FAULT and "subtest_of" not in outcome.details:
            yield f"patch {row.number}: {outcome.cell} {outcome.status}: {outcome.summary}"


def matching(reports: Sequence[RunReport], patches: Sequence[Applied]) -> RunReport | None:
    """The newest of ``reports`` (oldest first) that tested the tip, else that tested any of it."""
    if not patches:
        return None
    tip = patches[-1]
    trees = {patch.tree for patch in patches}

    def same(report: RunReport) -> int:
        return sum(row.tree in trees for row in report.patches)

    for report in reversed(reports):
        row = report.row(tip.number)
        if row is not None and row.tree == tip.tree and same(report) == len(patches):
            return report
    return max(reversed(reports), key=same, default=None) if any(map(same, reports)) else None
