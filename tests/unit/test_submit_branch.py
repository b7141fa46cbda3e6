# SPDX-License-Identifier: GPL-2.0-or-later
"""The branch that b4 sends, on a repository of one file with the real b4, and the prefixes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kvtools.errors import UserError
from kvtools.model import CoverLetter, Person, Series
from kvtools.submit import session
from kvtools.submit.branch import BASE, Branch
from kvtools.submit.prefixes import prefixes, words

SENDER = Person("A U Thor", "author@example.org")
COVER = "mm: add things\n\nThey are needed.\n\nTo: Mem Maint <mm@example.org>\n"


def git(tree: Path, *args: str) -> str:
    return subprocess.run(
        ["git", "-C", tree, "-c", "user.name=A U Thor", "-c", "user.email=author@example.org",
         *args], check=True, text=True, capture_output=True).stdout.strip()


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Branch:
    """A branch of two commits, enrolled, with a cover letter."""
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "HOME"):  # b4 keeps things there
        monkeypatch.setenv(name, str(tmp_path / name))
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    source = tmp_path / "source"
    source.mkdir()
    git(source, "init", "-q", "-b", "main")
    for number in range(3):
        (source / "MAINTAINERS").write_text(f"{number}\n")
        git(source, "add", "-A")
        git(source, "commit", "-qsm", f"mm: number {number}\n\nBecause of {number}.")
    base, tip = git(source, "rev-parse", "HEAD~2"), git(source, "rev-parse", "HEAD")
    branch = Branch.make(tmp_path / "out/tree", "things", source, base, tip, SENDER)
    branch.describe(COVER)
    return branch


@pytest.mark.parametrize(("subject", "found"), [
    ("[PATCH 1/2] mm: one", []),
    ("[PATCH v3 0/2] mm: one [sic]", []),
    ("[RFC PATCH v2 net-next 00/10] mm: one", ["RFC", "net-next"]),
    ("[RFC][PATCHv2] mm: one", ["RFC"]),
    ("[PATCH RESEND RFC] mm: one", ["RFC"]),
    ("[PATCH 6.1.y v2] mm: one", ["6.1.y"]),
    ("mm: one", []),
])
def test_words_beside_patch(subject: str, found: list[str]) -> None:
    assert words(subject) == found


def test_the_cover_letter_says_the_prefixes() -> None:
    mail = b"From 0 Mon Sep 17 00:00:00 2001\nSubject: =?utf-8?q?=5BPATCH?= RFC 0/1] mm\n\n"
    series = Series("s", "mm", "dir", (), cover=CoverLetter("mm", "", mail))
    assert prefixes(series, resend=False) == ["RFC"]
    assert prefixes(series, resend=True) == ["RFC", "RESEND"]


def test_an_rfc_stays_one(made: Branch, tmp_path: Path) -> None:
    made.track(revision=2, change_id="20261125-things-0123456789ab", prefixes=["RFC"])
    mails = made.write(tmp_path / "out/mails")
    text = mails[0].read_text()
    assert "[PATCH RFC v2 0/2] mm: add things" in text
    assert "X-Change-ID: 20261125-things-0123456789ab" in text


def test_the_mails_have_to_make_the_commits_they_were_made_of(made: Branch,
                                                              tmp_path: Path) -> None:
    base, tree = git(made.path, "rev-parse", BASE), git(made.path, "rev-parse", "HEAD^{tree}")
    mails = made.write(tmp_path / "out/mails")
    assert made.applies(mails, base, tree)
    for old, new in (("+2", "+3"), ("Because of 2.", "Because of 3."), ("mm: number 2", "mm: two")):
        kept = mails[2].read_text()
        assert old in kept
        mails[2].write_text(kept.replace(old, new))
        assert not made.applies(mails, base, tree), new
        mails[2].write_text(kept)
    assert made.applies(mails, base, tree)
    assert git(made.path, "symbolic-ref", "--short", "HEAD") == "things"


def test_what_came_to_no_end_is_cleared_and_nothing_else(made: Branch, tmp_path: Path) -> None:
    Branch.discard(tmp_path / "none")
    stranger = tmp_path / "source"
    with pytest.raises(UserError, match="in the way"):
        Branch.discard(stranger)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="in the way"):
        Branch.discard(tmp_path / "folder")
    assert (stranger / "MAINTAINERS").exists()
    Branch.discard(made.path)
    assert not made.path.exists()


def test_b4_sends_and_says_that_it_did(made: Branch, tmp_path: Path) -> None:
    """``sendemail.smtpserver`` with a path is a local program: no mail leaves."""
    program, box = tmp_path / "sendmail", tmp_path / "box"
    program.write_text(f"#!/bin/sh\ncat >> {box}\n")
    program.chmod(0o755)
    git(made.path, "config", "sendemail.smtpserver", str(program))
    git(made.path, "config", "b4.prep-pre-flight-checks", "disable-all")
    answers = tmp_path / "answers"
    answers.write_text("\n\n\n")
    (tmp_path / "out" / session.STATE).write_text(json.dumps({"tip": made.tip}))
    assert session.reopened(tmp_path / "out")[0].sent == ()
    with answers.open() as stdin:
        kept = os.dup(0)
        try:
            os.dup2(stdin.fileno(), 0)
            status = made.send()
        finally:
            os.dup2(kept, 0)
            os.close(kept)
    assert status == 0
    assert box.read_text().count("\nSubject: [PATCH") + box.read_text().startswith("Subject") == 3
    assert len(made.sent) == 1 and made.sent[0].endswith("-v1")
    with pytest.raises(UserError, match="sent this already"):  # b4 would make a v2 of it
        session.reopened(tmp_path / "out")
