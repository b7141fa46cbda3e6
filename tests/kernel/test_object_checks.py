# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks that compile or read objects, on a real kernel: what each trips on, and a near miss.

The patches of tests/data/checks/ are applied to the oracle one by one; only the units that they
touch are compiled, beside the oracle's objects.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from harness import DATA, ROOT, Run

from kvtools import bases, checks, git, make, toolchain
from kvtools.checks.program import Touched
from kvtools.checks.request import Built, CheckRequest, Mails
from kvtools.model import Base, Outcome, Status
from kvtools.steps import check as step

WARN, FAIL = Status.WARN, Status.FAIL
# The level of what trips it, and words that a reader has to find in the evidence.
TRIPS = {
    "w1": (WARN, "virtballoon_validations"),
    "sparse": (FAIL, "virtballoon_peek"),
    "size": (WARN, "6176 bytes"),
    "layout": (FAIL, "free_page_hint_cmd_id, 4 bytes at 8, is now 4 bytes at 12"),
    "header": (FAIL, "spinlock_t"),
    "abi": (WARN, "release_resource"),
    "modpost": (FAIL, "virtballoon_later"),
    "coccicheck": (WARN, "NULL check"),
    "smatch": (WARN, "uninitialized symbol 'ret'"),  # in no distribution: SKIP where it is not
}
CASES = sorted(p for name in TRIPS for p in (DATA / "checks" / name).glob("*/*.patch"))


@dataclass(frozen=True, slots=True)
class Place:
    """The worktree and the objects of the oracle, ours while the tests of this file run."""

    base: Base
    lease: bases.Lease
    built: Built

    def ask(self, name: str, patch: Path, scratch: Path) -> Outcome:
        """Run one check on one patch, on both sides."""
        source = self.lease.source
        git.checkout(source, self.base.commit)
        applied = git.am(source, patch.read_bytes(), log=None)
        assert applied.commit, applied.log
        for directory in ("out", "keep", "cache"):
            (scratch / directory).mkdir()
        files = git.touched_files(self.base.repo, applied.commit)
        request = CheckRequest(
            check=checks.load(ROOT / "kvtools" / "checks" / name), repo=self.base.repo,
            commit=applied.commit, parent=self.base.commit, base_commit=self.base.commit,
            number=1, count=1, mails=Mails((patch,)), out=scratch / "out",
            keep=scratch / "keep", cache=scratch / "cache", worktree=source,
            touched=tuple(Touched(new, old, status) for status, old, new in files),
            lines=git.touched_lines(self.base.repo, applied.commit), built=self.built, jobs=2)
        if request.check.compares:
            git.checkout(source, self.base.commit)
            request = replace(request, before=step.before(request))
        git.checkout(source, applied.commit)
        return step.run(request)


def test_the_runner_asks_them_around_the_build(
    oracle: Run, kvtest: Callable[..., Run]
) -> None:
    # First of this file: `place` keeps the worktree that this run needs until the file is through.
    run = kvtest(DATA / "checks" / "w1" / "trip", "--base", "oracle",
                 "--only", "build", "--only", "check:w1", "--only", "check:modpost")
    assert run.code == 0, run.stdout
    cell = run.outcome(1, "check:w1")
    assert cell["status"] == "WARN" and "missing-prototypes" in cell["summary"]
    assert run.outcome(1, "check:modpost")["status"] == "PASS"
    assert run.outcome(1, "build:guest")["status"] == "PASS", "the default warnings say nothing"


@pytest.fixture(scope="module")
def place(oracle: Run) -> Iterator[Place]:
    base = bases.prepare("oracle", lambda event: None)
    with bases.lease(base, "run-debian-6.1-oracle") as lease:
        # Not those of guest-debuginfo and the like.
        (objects,) = (p for p in lease.objects.iterdir() if re.fullmatch(r"guest-\w{12}", p.name))
        chain = toolchain.probe("x86_64", ROOT)
        argv = make.make_args(make.Tree(lease.source, objects, chain), (), jobs=2)
        yield Place(base, lease, Built(objects, argv, make.FIXED_ENV, "guest", "x86_64"))
        git.checkout(lease.source, base.commit)


def needs(place: Place, name: str) -> None:
    programs = checks.load(ROOT / "kvtools" / "checks" / name).programs
    for program in (*programs, *(("smatch",) if name == "smatch" else ())):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.mark.parametrize("case", CASES, ids=lambda p: "/".join(p.parts[-3:]))
def test_case(place: Place, case: Path, tmp_path: Path) -> None:
    name, kind = case.parts[-3], case.parts[-2]
    needs(place, name)
    outcome = place.ask(name, case, tmp_path)
    new = {f["rule"] for f in outcome.details["findings"] if f["state"] == "new"}
    if kind == "trip":
        status, words = TRIPS[name]
        assert outcome.status is status, outcome
        assert new == {case.name.split(".")[0]}
        assert words in "\n".join(outcome.evidence)
    else:
        assert outcome.status is Status.PASS, outcome
        assert new == set()


def test_every_check_of_objects_is_tried() -> None:
    objects = {c.name for c in checks.available() if c.scope == "objects"}
    assert objects <= TRIPS.keys()
    assert len(CASES) >= 2 * len(TRIPS)
