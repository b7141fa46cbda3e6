# SPDX-License-Identifier: GPL-2.0-or-later
"""The apply step."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kvtools import git, series
from kvtools.errors import MachineError
from kvtools.model import Owner, Patch, Person, Status
from kvtools.steps import apply

LOUDER = Path(__file__).parents[1] / "data" / "series" / "louder"
ANNE = Person("Änne Author", "anne@example.org")
PAGE = "".join(f"line {n}\n" for n in range(1, 41))


@pytest.fixture
def worktree(tmp_path: Path) -> Path:
    repo = tmp_path / "repo"
    git.init(repo)
    (repo / "mm").mkdir()
    (repo / "mm/page.c").write_text(PAGE)
    (repo / "mm/other.c").write_text("int other;\n")
    (repo / "README").write_text("a tree\n")
    base = git.commit_all(repo, "Base", when="2018-05-23T17:11:01+02:00", who=ANNE)
    git.worktree_add(repo, tmp_path / "worktree", base)
    return tmp_path / "worktree"


def request(worktree: Path, patch: Patch) -> apply.ApplyRequest:
    out = worktree.parent / f"out-{patch.number}"
    out.mkdir(exist_ok=True)
    return apply.ApplyRequest(worktree, git.rev_parse(worktree, "HEAD"), patch, out)


def patches() -> tuple[Patch, ...]:
    return series.read(str(LOUDER)).patches


def test_a_series_applies(worktree: Path) -> None:
    summaries = []
    for patch in patches():
        wanted = request(worktree, patch)
        outcome = apply.run(wanted)
        assert outcome.status is Status.PASS and outcome.owner is None
        assert outcome.details["commit"] == git.rev_parse(worktree, "HEAD")
        assert outcome.details["tree"] == git.tree_of(worktree, "HEAD")
        assert (wanted.out / str(outcome.log)).read_text().startswith("Applying: ")
        assert (wanted.out / apply.MAIL).read_bytes() == patch.mail
        json.dumps(outcome.details)
        summaries.append(outcome.summary)
    assert summaries == [
        "applied, 1 file, +1 -1",
        "applied, 4 files, +4 -1",
        "applied, 3 files, +1 -3",
    ]


def test_the_same_commit_from_a_dirty_worktree(worktree: Path) -> None:
    wanted = request(worktree, patches()[0])
    first = apply.run(wanted)
    (worktree / "mm/page.c").write_text("dirty\n")
    (worktree / "stray").write_text("x")
    assert apply.run(wanted).details == first.details


def conflicting(worktree: Path) -> apply.ApplyRequest:
    (worktree / "mm/page.c").write_text(PAGE.replace("line 30\n", "other 30\n"))
    git.commit_all(worktree, "diverge", when="2018-05-23T17:11:01+02:00", who=ANNE)
    (worktree / "README").chmod(0o755)
    return request(worktree, patches()[2])


def test_a_conflict_is_the_patchs_fault(worktree: Path) -> None:
    wanted = conflicting(worktree)
    patch = replace(wanted.patch, mail=wanted.patch.mail.replace(b"dos.inf", b"README"))
    outcome = apply.run(replace(wanted, patch=patch))
    assert outcome.status is Status.FAIL and outcome.owner is Owner.PATCH
    page = next(c for c in outcome.details["conflicts"] if c["file"] == "mm/page.c")
    assert page["hunk"].startswith("@@ -27,7 +27,7 @@")
    assert page["reason"] == "context not found: no 'line 30' near line 30"
    assert "30: other 30" in page["found"]
    assert "mm/page.c: context not found: no 'line 30' near line 30" in outcome.evidence
    assert "    30: other 30" in outcome.evidence
    assert outcome.summary.startswith("does not apply: ") and "\n" not in outcome.summary
    assert outcome.fingerprints
    json.dumps(outcome.details)
    assert git.rev_parse(worktree, "HEAD") == wanted.parent


@pytest.mark.parametrize("own", [True, False], ids=["own-file", "mailbox"])
def test_the_reproducer_reproduces(worktree: Path, tmp_path: Path, own: bool) -> None:
    good, bad = request(worktree, patches()[0]), conflicting(worktree)
    if not own:
        good, bad = (
            replace(one, patch=replace(one.patch, source="x.mbox, mail 3")) for one in (good, bad)
        )
    for wanted, status in ((good, 0), (bad, 128)):
        outcome = apply.run(wanted)
        scratch = tmp_path / f"scratch-{status}"
        scratch.mkdir()
        shutil.copy(wanted.out / apply.MAIL, scratch)
        ident = "git config --global user.name x; git config --global user.email x@y.z\n"
        done = subprocess.run(
            ["sh", "-c", ident + "\n".join(outcome.reproduce)],
            cwd=scratch, env={"PATH": "/usr/bin:/bin", "HOME": str(scratch)}, check=False,
            capture_output=True, text=True,
        )
        assert done.returncode == status, done.stderr
        if not status:
            tree = git.tree_of(scratch / "linux", "HEAD")
            assert tree == outcome.details["tree"]


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("echo 'error: unable to write file mm/page.c: No space left on device' >&2; exit 128",
         "No space left on device"),
        ("kill -9 $$", "killed by signal 9"),
    ],
    ids=["disk-full", "killed"],
)
def test_a_machine_fault_is_not_a_fail(
    worktree: Path, monkeypatch: pytest.MonkeyPatch, does: str, says: str
) -> None:
    wanted = request(worktree, patches()[0])
    real = shutil.which("git")
    fake = worktree.parent / "venv" / "bin" / "git"
    fake.parent.mkdir(parents=True)
    fake.write_text(f'#!/bin/sh\nif [ "$1" = am ]; then\n{does}\nfi\nexec {real} "$@"\n')
    fake.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "prefix", str(fake.parents[1]))
        with pytest.raises(MachineError, match=says):
            apply.run(wanted)
    assert apply.run(wanted).status is Status.PASS


def test_an_unwritable_outcome_directory_is_the_machines(worktree: Path) -> None:
    wanted = request(worktree, patches()[0])
    wanted.out.rmdir()
    with pytest.raises(MachineError, match="No such file or directory"):
        apply.run(wanted)
