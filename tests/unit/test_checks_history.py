# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks that compare a series with something else: a newer base, the revision before.

``tests/data/checks/<check>/{trip,pass}/WORD[.what]/`` is ``0001.patch`` and what it is compared
with: ``newer.patch`` continues the base on a branch, ``previous.patch`` is the revision before.
A range-diff is no judgement and has no findings: there WORD is what its note has to say, or not.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from test_checks_data import DATA, OF_HISTORY, known, make_base, plain_git, request

from kvtools.checks.request import CheckRequest, Mails
from kvtools.model import Outcome, Status
from kvtools.steps import check as step

CASES = sorted(p for name in OF_HISTORY for p in (DATA / name).glob("*/*"))
RANGE = DATA / "rangediff" / "trip" / "changed"
NEWER = DATA / "newest" / "trip" / "CONFLICT"


def asked(case: Path, tmp_path: Path, *, alone: bool = False) -> CheckRequest:
    """The request for a case; ``alone`` without what it is compared with."""
    mine = case / "0001.patch"
    other = case / ("newer.patch" if case.parts[-3] == "newest" else "previous.patch")
    repo = tmp_path / "linux"
    _, base = make_base(repo, case / "tree", [mine.read_text(), other.read_text()], "")
    if other.name == "newer.patch" and not alone:
        plain_git(repo, "checkout", "-q", "-b", "newer")
        plain_git(repo, "am", "-q", str(other))
        plain_git(repo, "checkout", "-q", "--detach", base)
    plain_git(repo, "am", "-q", str(mine))
    tip = plain_git(repo, "rev-parse", "HEAD").strip()
    previous = (other,) if other.name == "previous.patch" and not alone else ()
    given = request(known()[case.parts[-3]], repo, [base, tip], Mails((mine,), None, previous),
                    tmp_path)
    return replace(given, worktree=None)


def said(outcome: Outcome) -> set[str]:
    return {one["rule"] for one in outcome.details["findings"]} | set(
        " ".join(outcome.details["notes"]).split())


@pytest.mark.parametrize("case", CASES, ids=lambda p: "/".join(p.parts[-3:]))
def test_case(case: Path, tmp_path: Path) -> None:
    outcome = step.run(asked(case, tmp_path))
    word = case.name.partition(".")[0]
    if case.parent.name == "trip":
        assert word in said(outcome), outcome
        if case.parts[-3] == "newest":
            assert outcome.status is Status.WARN and "newer" in outcome.summary
    elif word == "clean":  # the branch has taken the patch: there is nothing newer
        assert outcome.status is Status.SKIP, outcome
    else:
        assert outcome.status is Status.PASS and word not in said(outcome), outcome


@pytest.mark.parametrize(("case", "says"), [
    (NEWER, "no newer version of the base is known here"),
    (RANGE, "no earlier revision is at hand")])
def test_with_nothing_to_compare_it_is_a_skip(case: Path, says: str, tmp_path: Path) -> None:
    outcome = step.run(asked(case, tmp_path, alone=True))
    assert (outcome.status, outcome.summary) == (Status.SKIP, says)


def test_a_newer_tree_that_merges_is_named(tmp_path: Path) -> None:
    outcome = step.run(asked(DATA / "newest" / "pass" / "CONFLICT.other-lines", tmp_path))
    assert outcome.summary.startswith("merges with newer (")


def test_the_range_diff_is_kept_and_the_repository_left_alone(tmp_path: Path) -> None:
    given = asked(RANGE, tmp_path)
    before = sorted(p.name for p in (given.repo / ".git" / "objects").rglob("*"))
    outcome = step.run(given)
    assert outcome.summary == "range-diff.txt: 1 changed"
    assert "count_freed(nr);" in (tmp_path / "out" / "range-diff.txt").read_text()
    assert sorted(p.name for p in (given.repo / ".git" / "objects").rglob("*")) == before


@pytest.mark.parametrize(("patch", "status"), [
    ("trip/FORM.patch", Status.WARN), ("trip/UNKNOWN_COMMIT.patch", Status.SKIP)])
def test_the_form_of_fixes_is_told_without_a_history(
    patch: str, status: Status, tmp_path: Path
) -> None:
    case = DATA / "fixes" / patch
    repo = tmp_path / "linux"
    _, base = make_base(repo, case, [], "")
    mail = tmp_path / "mail"
    mail.write_text(case.read_text().replace("@base12@", base[:12]))
    given = request(known()["fixes"], repo, [base, base, base], Mails((mail,)), tmp_path)
    outcome = step.run(replace(given, options={"history": 1000}))
    assert outcome.status is status, outcome
    assert "without its history" in " ".join((outcome.summary, *outcome.details.get("notes", ())))
