# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks for b4 and for git hooks: a mail or a commit of a user's tree, and what is printed."""

from __future__ import annotations

import io
import json
import os
import subprocess
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from kvtools import checks, git, onepatch
from kvtools.cli import b4_check, checkpatch_hook
from kvtools.model import Outcome, Status, Step
from kvtools.onepatch import Checked

Git = Callable[..., str]


@pytest.fixture
def tree(fakelinux: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Git]:
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    few = [checks.load(checks.OWN / name) for name in ("inline", "signoff", "cover", "order")]
    monkeypatch.setattr(checks, "available", lambda more: few)  # each is a process

    def run(*args: str) -> str:
        return subprocess.run(
            ["git", "-c", "user.name=A U Thor", "-c", "user.email=author@example.org", *args],
            cwd=fakelinux, check=True, capture_output=True, text=True,
            env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}).stdout

    return fakelinux, run


def commit(tree: tuple[Path, Git], subject: str, text: str, *body: str) -> None:
    place, run = tree
    with (place / "mm" / "memory_hotplug.c").open("a") as file:
        file.write(text)
    run("commit", "-qam", subject, *(f"-m{one}" for one in body))


SIGNED = "Signed-off-by: A U Thor <author@example.org>"


def test_a_mail_is_checked_on_the_parent_of_its_commit_and_the_tree_is_left_alone(
    tree: tuple[Path, Git],
) -> None:
    place, run = tree
    commit(tree, "mm: add f", "static inline int f(void)\n{\n}\n", "It may be useful.", SIGNED)
    raw = git.format_patches(place, "HEAD^!")[0]
    commit(tree, "mm: more", "int g;\n", "Later.")
    before = run("status", "--porcelain"), run("for-each-ref"), run("config", "--list", "--local")
    checked = onepatch.check_mail(raw, place, 2)
    text = b4_check.as_text(checked)
    assert text.count("\n") == 1
    assert "WARNING: inline.INLINE_IN_C: mm/memory_hotplug.c:" in text
    statuses = {e["tool"]: e["status"] for e in json.loads(b4_check.as_json(checked))}
    assert statuses["kvtools inline"] == "warn" and statuses["kvtools signoff"] == "pass"
    assert onepatch.worst(checked) is Status.WARN
    now = run("status", "--porcelain"), run("for-each-ref"), run("config", "--list", "--local")
    assert now == before


def test_a_mail_that_fits_nowhere_says_so(tree: tuple[Path, Git]) -> None:
    place, _ = tree
    raw = (b"From: A <a@b.c>\nSubject: [PATCH] mm: x\n\nx\n---\n--- a/mm/memory_hotplug.c\n"
           b"+++ b/mm/memory_hotplug.c\n@@ -1 +1 @@\n-no such line\n+x\n")
    checked = onepatch.check_mail(raw, place, 1)
    assert "does not apply" in checked.problem
    assert b4_check.as_text(checked).startswith("WARNING: not checked: it does not apply")
    assert json.loads(b4_check.as_json(checked))[0]["status"] == "warn"


def test_the_series_of_a_cover_letter_is_found_in_the_branch(tree: tuple[Path, Git]) -> None:
    place, _ = tree
    commit(tree, "mm: add one", "int offline_one;\n", "One.", SIGNED)
    commit(tree, "mm: add two", "int offline_two;\n", "Two.", SIGNED)
    cover = (b"From: A <a@b.c>\nSubject: [PATCH 0/2] mm: *** SUBJECT HERE ***\n\nWhy.\n\n"
             b"A U Thor (2):\n  mm: add one\n  mm: add two\n\n 1 file changed, 2 insertions(+)\n")
    entries = json.loads(b4_check.as_json(onepatch.check_series(cover, place, 2)))
    said = {entry["tool"]: entry for entry in entries}
    assert said["kvtools cover"]["status"] == "fail"
    assert "PLACEHOLDER" in said["kvtools cover"]["summary"]
    assert said["kvtools order"]["status"] == "pass"
    other = onepatch.check_series(cover.replace(b"add two", b"add three"), place, 1)
    assert other.problem == "its 2 patches are not all commits of HEAD"


def test_a_series_under_review_is_found_in_its_branch(
    tree: tuple[Path, Git], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As b4 review leaves it: HEAD is elsewhere, the branch ends with a commit of the cover."""
    place, run = tree
    run("checkout", "-q", "-b", "b4/review/20261128-two")
    commit(tree, "mm: add one", "int offline_one;\n", "One.", SIGNED)
    commit(tree, "mm: add two", "int offline_two;\n", "Two.", SIGNED)
    run("commit", "-q", "--allow-empty", "-m", "mm: add both")
    run("checkout", "-q", "-")
    cover = (b"From: A <a@b.c>\nSubject: [PATCH 0/2] mm: add both\n\nWhy: mm: add both.\n\n"
             b"A U Thor (2):\n  mm: add one\n  mm: add two\n\n 1 file changed, 2 insertions(+)\n")
    second = subprocess.run(
        ["git", "format-patch", "--stdout", "-1", "b4/review/20261128-two^"],
        cwd=place, capture_output=True, check=True).stdout
    tracking = tmp_path / "tracking.json"
    tracking.write_text(json.dumps({"series": {"change-id": "20261128-two"}}))

    def said(raw: bytes, *, series: bool) -> dict[str, str]:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(raw)))
        assert b4_check.run(Namespace(series=series, tree=str(place), json=True)) == 0
        return {e["tool"]: e["status"] for e in json.loads(capsys.readouterr().out)}

    assert said(cover, series=True) == {"kvtools": "warn"}
    assert said(second, series=False) == {"kvtools": "warn"}  # its first patch is not on HEAD
    monkeypatch.setenv("B4_TRACKING_FILE", str(tracking))
    assert said(cover, series=True)["kvtools order"] == "pass"
    assert said(second, series=False)["kvtools signoff"] == "pass"
    tracking.write_text(json.dumps({"series": {"change-id": "gone"}}))
    assert said(cover, series=True) == {"kvtools": "warn"}


def test_the_hook_stops_a_push_of_a_commit_that_nobody_signed(
    tree: tuple[Path, Git], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place, run = tree
    first = run("rev-parse", "HEAD").strip()
    commit(tree, "mm: add one", "int offline_one;\n", "One.")
    lines = f"refs/heads/main {run('rev-parse', 'HEAD').strip()} refs/heads/main {first}\n"
    monkeypatch.setattr("sys.stdin.read", lambda: lines, raising=False)
    pushed = checkpatch_hook._pushed(place, lines)
    assert len(pushed) == 1
    gone = f"(delete) {'0' * 40} refs/heads/main {first}\n"
    assert checkpatch_hook._pushed(place, gone) == []
    assert checkpatch_hook.run(Namespace(event="post-commit", tree=str(place))) == 1
    assert "ERROR: signoff.NO_SIGNOFF" in capsys.readouterr().out
    run("commit", "-q", "--allow-empty", "-m", "mm: nothing")
    assert checkpatch_hook.run(Namespace(event="post-commit", tree=str(place))) == 0


def test_a_check_that_broke_is_told_and_blames_nobody() -> None:
    broken = Outcome(Step.CHECK, "mine", Status.ERROR, 0.0, "ended with status 7")
    checked = Checked("mm: x", (broken, Outcome(Step.CHECK, "a", Status.SKIP, 0.0, "no perl")))
    assert b4_check.as_text(checked) == "WARNING: mine did not run: ended with status 7\n"
    assert [e["status"] for e in json.loads(b4_check.as_json(checked))] == ["warn"]
    assert onepatch.worst(checked) is Status.PASS
