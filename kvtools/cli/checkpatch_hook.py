# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools checkpatch-hook``: the checks as a git hook, post-commit or pre-push."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path

from kvtools import git, onepatch
from kvtools.cli.b4_check import as_text
from kvtools.errors import UserError
from kvtools.git.command import git as run_git
from kvtools.model import Status

MOST = 50
"""A push of more commits than this is no series."""
_NONE = "0" * 40


def run(arguments: Namespace) -> int:
    """1 when a commit has a finding of level fail (which keeps pre-push from pushing), else 0."""
    tree = Path(arguments.tree)
    revs = ["HEAD"] if arguments.event == "post-commit" else _pushed(tree, sys.stdin.read())
    bad = False
    for rev in revs:
        checked = onepatch.check_commit(tree, rev, os.cpu_count() or 1)
        text = as_text(checked)
        if text:
            print(f"{rev[:12]} {checked.subject}")
            print("".join(f"  {row}\n" for row in text.splitlines()), end="", flush=True)
        bad = bad or onepatch.worst(checked) is Status.FAIL
    return 1 if bad else 0


def _pushed(tree: Path, lines: str) -> list[str]:
    """The commits of a push: ``<local ref> <id> <remote ref> <id>`` a line, see githooks(5)."""
    found: list[str] = []
    for words in (line.split() for line in lines.splitlines()):
        if len(words) != 4 or words[1] == _NONE:  # a branch is removed
            continue
        known = [words[3]] if words[3] != _NONE else ["--remotes"]
        listed = run_git(tree, "rev-list", "--no-merges", "--reverse", f"--max-count={MOST + 1}",
                         git.rev_parse(tree, words[1]), "--not", *known, check=False)
        found += listed.text.split()
    if len(found) > MOST:
        raise UserError(f"more than {MOST} commits are pushed", fix="git push --no-verify")
    return list(dict.fromkeys(found))
