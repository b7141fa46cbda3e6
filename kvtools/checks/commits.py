# SPDX-License-Identifier: GPL-2.0-or-later
"""The commits of a series, what they add and remove, and mails as commits that nobody keeps."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kvtools import diff, mail
from kvtools.checks.program import Request
from kvtools.git.command import git

WHO = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
       for key, value in (("NAME", "kvtools"), ("EMAIL", "kvtools@localhost"),
                          ("DATE", "2000-01-01T00:00:00Z"))}
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|/\*.*?(?:\*/|$)|//.*$')


@dataclass(frozen=True, slots=True)
class Change:
    """One file of a patch: line numbers (old side) and text removed, (new side) and added."""

    path: str
    old: str
    removed: tuple[tuple[int, str], ...]
    added: tuple[tuple[int, str], ...]


def commits(request: Request) -> list[str]:
    """The commits of the series in the order of its patches."""
    return git(request.repo, "rev-list", "--reverse", "--end-of-options",
               f"{request.base_commit}..{request.commit}").text.split()


def changes(request: Request, commit: str) -> list[Change]:
    """What one patch does, file by file."""
    text = git(request.repo, "diff-tree", "-p", "-U0", "-r", "-M", "--no-commit-id",
               "--no-color", "--no-ext-diff", commit).stdout
    return [_change(file) for file in diff.parse(text)]


def _change(file: diff.FileDiff) -> Change:
    removed: list[tuple[int, str]] = []
    added: list[tuple[int, str]] = []
    for hunk in file.hunks:
        old, new = hunk.old_start, hunk.new_start
        for row in hunk.lines:
            text = row[1:].decode("utf-8", "replace")
            if row.startswith(b"-"):
                removed.append((old, text))
                old += 1
            elif row.startswith(b"+"):
                added.append((new, text))
                new += 1
    return Change(file.path, file.old or "", tuple(removed), tuple(added))


def code(row: str) -> str:
    """A line of C without comments and strings, as far as one line tells."""
    stripped = row.strip()
    return "" if stripped.startswith(("*", "/*")) and "*/" not in stripped[2:-2] else \
        _STRING.sub(" ", row)


def scratch(request: Request) -> Mapping[str, str]:
    """An environment in which git writes objects to ``keep`` and leaves the repository alone."""
    common = git(request.repo, "rev-parse", "--path-format=absolute", "--git-common-dir").text
    objects = request.keep / "objects"
    objects.mkdir(exist_ok=True)
    return {**WHO, "GIT_OBJECT_DIRECTORY": str(objects),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(Path(common.strip()) / "objects"),
            "GIT_INDEX_FILE": str(request.keep / f"index.{os.getpid()}")}


def commit_mails(request: Request, mails: tuple[Path, ...], onto: str) -> list[str] | None:
    """The mails as commits on top of ``onto``; None when one does not apply."""
    env = scratch(request)
    git(request.repo, "read-tree", onto, env=env)
    made = [onto]
    for path in mails:
        read = mail.parse(path.read_bytes())
        done = git(request.repo, "apply", "--cached", "--whitespace=nowarn", "-C1", "-", env=env,
                   stdin=read.diff, check=False)
        if done.returncode != 0:
            return None
        tree = git(request.repo, "write-tree", env=env).text.strip()
        text = f"{read.subject.title}\n\n{read.message}\n"
        made.append(git(request.repo, "commit-tree", tree, "-p", made[-1],
                        env={**env, **_author(read)}, stdin=text.encode()).text.strip())
    return made[1:]


def _author(read: mail.Mail) -> dict[str, str]:
    """Whom a range-diff compares: another author is a change of the patch."""
    if read.author is None:
        return {}
    return {"GIT_AUTHOR_NAME": read.author.name or read.author.email,
            "GIT_AUTHOR_EMAIL": read.author.email}
