# SPDX-License-Identifier: GPL-2.0-or-later
"""A three-way merge of the series with the newest branch that continues from its base."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kvtools import mail
from kvtools.checks.commits import scratch
from kvtools.checks.program import Finding, Note, Request, Skip, run
from kvtools.git.command import git


def check(request: Request) -> Iterator[Finding | Note]:
    titles = {mail.parse(path.read_bytes()).subject.title for path in request.series}
    for repo, name, commit in _candidates(request):
        later = git(repo, "log", "--format=%s", f"{request.base_commit}..{commit}").text
        if titles & set(later.splitlines()):
            continue  # the series itself, or a tree that has taken it
        yield from _merge(request, name, commit)
        return
    raise Skip("no newer version of the base is known here")


def _candidates(request: Request) -> list[tuple[Path, str, str]]:
    """(repository, branch, commit) of the branches with the base in them, the newest first."""
    found = []
    for repo in _repositories(request.repo):
        rows = git(repo, "for-each-ref", "--sort=-committerdate", "--contains",
                   request.base_commit, "--format=%(objectname) %(refname:short)", "refs/heads",
                   "refs/remotes", check=False).text
        found += [(repo, row.partition(" ")[2], row.partition(" ")[0]) for row in rows.splitlines()]
    return [one for one in found if one[2] != request.base_commit]


def _repositories(repo: Path) -> Iterator[Path]:
    """The repository and those whose objects it borrows: a user's own tree."""
    yield repo
    common = Path(git(repo, "rev-parse", "--path-format=absolute", "--git-common-dir").text.strip())
    borrowed = common / "objects" / "info" / "alternates"
    if borrowed.is_file():
        for line in borrowed.read_text().splitlines():
            if Path(line).parent.is_dir():
                yield Path(line).parent


def _merge(request: Request, name: str, commit: str) -> Iterator[Finding | Note]:
    done = git(request.repo, "merge-tree", "--write-tree", "--name-only", "--no-messages", commit,
               request.commit, env=scratch(request), check=False)
    if done.returncode not in (0, 1):
        raise Skip("this git cannot merge without a worktree (2.38 can)")
    if done.returncode == 0:
        yield Note(f"merges with {name} ({commit[:12]})")
    for path in done.text.splitlines()[1:] if done.returncode else ():
        yield Finding("CONFLICT", f"{path} conflicts with {name}", path,
                      message=f"conflicts with {name} ({commit[:12]})")


if __name__ == "__main__":
    run(check)
