# SPDX-License-Identifier: GPL-2.0-or-later
"""A git kernel tree that is not ours, and a series that is not ours, on another version.

As a stranger's: confined, where bubblewrap can run (in a plain chroot it cannot).
"""

from __future__ import annotations

import email
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import DATA, LIMIT, ROOT, Run

from kvtools import bwrap
from kvtools.errors import MachineError

SERIES = DATA / "kernel" / "linux-6.12"


@pytest.fixture(scope="module")
def confined() -> bool:
    try:
        bwrap.probe()
    except MachineError:
        return False
    return True


@pytest.fixture(scope="module")
def tree(
    kvtools: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A shallow clone of Linux 6.12 as a user has one, made from the base of that name."""
    done = kvtools("base", "prepare", "debian-6.12")
    # Another machine's mirrors may lack it; any other failure to prepare it fails below.
    if done.returncode == 2 and "cannot be had here" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    commit, repo = words[words.index("is") + 1], words[words.index("in") + 1]
    clone = tmp_path_factory.mktemp("user") / "linux"
    for command in (
        ["init", "-q", str(clone)],
        ["-C", str(clone), "fetch", "-q", "--depth", "1", repo, commit],
        ["-C", str(clone), "sparse-checkout", "set", "mm"],  # 8 s less than all of it
        ["-C", str(clone), "checkout", "-q", "FETCH_HEAD"],
    ):
        subprocess.run(["git", *command], check=True)
    return clone


def state(tree: Path) -> tuple[str, str]:
    """What git says of the tree and what lies in its .git, the object store included."""
    listing = subprocess.run(
        ["find", tree / ".git", "-type", "f", "-printf", "%p %s %T@\n"],
        capture_output=True,
        text=True,
        check=True,
    )
    config = (tree / ".git" / "config").read_text()
    return config, "\n".join(sorted(listing.stdout.splitlines()))


def test_a_thread_is_answered_on_the_base_it_was_made_on(
    tree: Path, environment: dict[str, str], tmp_path: Path, confined: bool
) -> None:
    """Of 6.1 and 6.12; the checks alone, for the build is that of the test below."""
    out = tmp_path / "replies"
    trust = [] if confined else ["--trusted"]
    who = {"GIT_AUTHOR_NAME": "Re Viewer", "GIT_AUTHOR_EMAIL": "rev@example.org"}
    done = subprocess.run(
        [sys.executable, "-m", "kvtools", "review", DATA / "review" / "mseal.mbox", "--candidate",
         "oracle", "--candidate", "debian-6.12", "--only", "check:patch", "--output", out, *trust],
        cwd=ROOT, env=environment | who, text=True, capture_output=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "tried oracle" in done.stderr and "0 of 2 applied" in done.stderr
    assert "base   debian-6.12 " in done.stdout
    reply = email.message_from_bytes((out / "0002-reply.eml").read_bytes())
    thread = (DATA / "review" / "mseal.mbox").read_text()
    assert reply["In-Reply-To"].strip() in thread
    summary = email.message_from_bytes((out / "0000-reply.eml").read_bytes())
    told = summary.get_payload(decode=True).decode()
    assert "Bases tried, and how many of the patches applied:" in told
    assert re.search(r"^  oracle 6\.1\.\d+ +0 of 2  patch 1: ", told, re.MULTILINE), told
    assert re.search(r"^  debian-6\.12 6\.12\.\d+ +2 of 2$", told, re.MULTILINE), told
    body = reply.get_payload(decode=True).decode()
    line = '> +\t    pr_debug("sealed %zu bytes at %#lx\\n", len, start);'
    assert f"{line}\n" in body and "SUSPECT_CODE_INDENT" in body, body


def test_a_foreign_series_on_a_foreign_tree(
    tree: Path, kvtest: Callable[..., Run], confined: bool
) -> None:
    before = state(tree)
    # The rest of the scenarios is for our series; makedumpfile 1.7.2 is older than 6.12.
    chosen = ["--only", "boot", "--only", "selftest:vmem.resize"]
    chosen += ["--untrusted"] if confined else []
    run = kvtest(SERIES, "--tree", tree, "--base", "HEAD", "--no-reuse", *chosen)
    assert run.code == 0, run.stdout
    assert run.data["base"]["version"].startswith("6.12")
    numbers = [row["number"] for row in run.data["patches"]]
    assert numbers == [0, 1, 2]
    assert "[same image as patch 1]" in run.outcome(2, "boot:guest")["summary"]
    for number in (1, 2):
        statuses = run.statuses(number)
        for cell in ("apply", "build:guest", "boot:guest", "selftest:vmem.resize"):
            assert statuses[cell] == "PASS", run.stdout
    for cell in ("build:guest", "boot:guest") if confined else ():
        # Only what ran confined says so, for whoever runs these lines does it without.
        assert "untrusted series" in run.outcome(1, cell)["details"]["reproduce"][0]
    assert state(tree) == before, "something was written into the user's repository"
