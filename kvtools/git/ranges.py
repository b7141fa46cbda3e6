# SPDX-License-Identifier: GPL-2.0-or-later
"""The commits between two others, and a commit taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kvtools.git.command import WRITE, git, line
from kvtools.git.repository import checkout

_WHO = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "kvtools"), ("EMAIL", "kvtools@localhost"),
                       ("DATE", "2000-01-01T00:00:00Z"))
}


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit of a range. ``parents`` are those in the (perhaps simplified) history;
    ``files`` what it changes against its first parent."""

    id: str
    parents: tuple[str, ...]
    subject: str
    files: tuple[str, ...]


def between(repo: Path, new: str, old: Sequence[str], *, first_parent: bool = False,
            paths: Sequence[str] = ()) -> list[Revision]:
    """The commits of ``new`` that none of ``old`` has, parents first.

    ``first_parent`` and ``paths`` simplify the history as in ``git log``.
    """
    words = ["log", "--topo-order", "--reverse", "--parents", "--no-color", "--no-show-signature",
             "--format=%x01%H%x00%P%x00%s", "--diff-merges=first-parent", "--name-only",
             "--no-renames", "--full-diff"]
    words += ["--first-parent"] if first_parent else []
    done = git(repo, *words, "--end-of-options", new, *(f"^{one}" for one in old), "--", *paths,
               deadline=WRITE)
    found = []
    for record in done.text.split("\x01")[1:]:
        head, _, files = record.partition("\n")
        commit, parents, subject = head.split("\0", 2)
        listed = parents.split()[:1] if first_parent else parents.split()
        names = tuple(row for row in files.splitlines() if row)
        found.append(Revision(commit, tuple(listed), subject, names))
    if not paths:
        return found
    kept = git(repo, "rev-list", *(["--first-parent"] if first_parent else []),
               "--end-of-options", new, *(f"^{one}" for one in old), "--", *paths).text.split()
    return _without_joints(found, set(kept))


def _without_joints(found: list[Revision], kept: set[str]) -> list[Revision]:
    """Leave out the merges that git keeps only to connect what touches the paths."""
    above: dict[str, tuple[str, ...]] = {}
    left = []
    for revision in found:
        nearest = [p for parent in revision.parents for p in above.get(parent, (parent,))]
        parents = tuple(dict.fromkeys(nearest))
        if revision.id in kept:
            left.append(Revision(revision.id, parents, revision.subject, revision.files))
        else:
            above[revision.id] = parents
    return left


def is_ancestor(repo: Path, commit: str, of: str) -> bool:
    """Whether ``commit`` is ``of`` or one of its ancestors."""
    return git(repo, "merge-base", "--is-ancestor", commit, of, check=False).returncode == 0


def merge_bases(repo: Path, one: str, other: str) -> list[str]:
    """Their best common ancestors, none when they have no history in common."""
    return git(repo, "merge-base", "--all", one, other, check=False).text.split()


def revert(worktree: Path, tip: str, commit: str) -> str | None:
    """A commit on top of ``tip`` that takes ``commit`` back; None when it does not apply.

    The same input gives the same id. ``worktree`` (ours) is left at the new commit.
    """
    checkout(worktree, tip)
    parents = line(worktree, "rev-list", "--parents", "-n", "1", commit).split()[1:]
    main = ["-m", "1"] if len(parents) > 1 else []
    done = git(worktree, "revert", "--no-commit", *main, commit, env=_WHO, check=False,
               deadline=WRITE)
    if done.returncode != 0:
        git(worktree, "revert", "--quit", check=False)
        checkout(worktree, tip)
        return None
    tree = line(worktree, "write-tree")
    text = f"Revert {commit}\n".encode()
    made = git(worktree, "commit-tree", tree, "-p", tip, stdin=text, env=_WHO).text.strip()
    git(worktree, "revert", "--quit", check=False)
    checkout(worktree, made)
    return made


def described(repo: Path, commit: str) -> tuple[str, str, str]:
    """The abbreviated id for a ``Fixes:`` line (12 digits or more), subject, and author."""
    words = line(repo, "log", "-1", "--abbrev=12", "--no-show-signature",
                 "--format=%h%x00%s%x00%an <%ae>", commit).split("\0", 2)
    return words[0], words[1], words[2]
