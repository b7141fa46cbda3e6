# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories with a history, made by one ``git fast-import``: five processes a commit else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from kvtools import git

WHO = "A U Thor <author@example.org> 1527174734 +0000"


def linear(repo: Path, contents: Sequence[str], subject: str = "step {}") -> list[str]:
    """A commit on ``main`` for each content of ``file``, checked out; their ids, oldest first."""
    stream = []
    for number, content in enumerate(contents):
        message = subject.format(number) + "\n"
        stream.append(f"commit refs/heads/main\nmark :{number + 1}\nauthor {WHO}\ncommitter {WHO}\n"
                      f"data {len(message.encode())}\n{message}"
                      f"M 100644 inline file\ndata {len(content.encode())}\n{content}\n")
    git.init(repo)
    run(repo, "fast-import", "--quiet", stdin="".join(stream))
    run(repo, "reset", "--quiet", "--hard", "main")
    return run(repo, "rev-list", "--reverse", "main").split()


def run(repo: Path, *args: str, stdin: str = "") -> str:
    done = subprocess.run(["git", *args], cwd=repo, env={**os.environ, **git.environment()},
                          input=stdin, check=True, capture_output=True, text=True)
    return done.stdout
