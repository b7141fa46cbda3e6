# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's own tree as a base: read through a repository of ours that borrows its objects."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from kvtools import git
from kvtools.bases import kernel
from kvtools.bases.locks import held
from kvtools.errors import BaseError, UserError
from kvtools.events import Emit, Notice
from kvtools.git.command import WRITE, line
from kvtools.git.command import git as run
from kvtools.model import Base

RELEASE = re.compile(r"refs/tags/(v\d+(\.\d+)+(-rc\d+)?(-rt\d+)?|next-\d{8})")
# A URL that is not of this machine, or the HOST:PATH of ssh.
ELSEWHERE = re.compile(r"(https?|git|ssh)://(?!localhost|127\.)|[\w.@-]+:(?!//)")


def from_tree(path: Path, rev: str | None, cache: Path, emit: Emit) -> Base:
    """The commit ``rev`` (HEAD when None) of the git tree at ``path``; nothing is written there.

    Uncommitted changes are not part of it: a Notice says so. Raises BaseError.
    """
    if not path.is_dir():
        raise BaseError(f"{path} is not a directory", fix="give --tree a clone of the kernel")
    path = path.resolve()
    if not git.is_repository(path):
        raise BaseError(f"{path} is not the top of a git repository", fix=_how(path))
    try:
        commit = git.rev_parse(path, "HEAD" if rev is None else rev)
        version = kernel.version_at(path, commit)
        if version is None:
            raise BaseError(
                f"{path} is not a kernel tree at {rev or 'HEAD'} ({commit[:12]}): "
                f"{', '.join(kernel.FILES)} are not all there",
                fix="give --tree a clone of the kernel",
            )
        common = line(path, "rev-parse", "--path-format=absolute", "--git-common-dir")
        readable = re.sub(r"[^A-Za-z0-9._-]", "_", path.name)
        name = f"{readable}-{hashlib.sha256(common.encode()).hexdigest()[:12]}"
        place = cache / "trees" / name
        with held(place / "lock", emit, f"the copy of {path}"):
            git.borrow(path, place / "repo.git", commit)
    except UserError as error:
        raise error if isinstance(error, BaseError) else BaseError(
            error.message, fix=error.fix) from error
    _warn_dirty(path, emit)
    shown = rev if rev and not commit.startswith(rev) else None
    return Base(
        name=f"{path.name}@{shown or commit[:12]}",
        repo=place / "repo.git",
        commit=commit,
        tree=git.tree_of(path, commit),
        version=version,
        origin=f"{path} at {f'{shown}, ' if shown else ''}commit {commit[:12]}",
        public=published(path, commit),
    )


def published(path: Path, commit: str) -> bool:
    """Whether others can get ``commit``: a branch of a remote on another machine holds it, or a
    tag that is named as releases are (of a clone of one tag there is nothing else)."""
    # What is right at a tip or a tag, as bases mostly are, costs no walk through the history.
    for holds in ("--points-at", "--contains"):
        done = run(path, "for-each-ref", f"{holds}={commit}", "--format=%(refname)",
                   "refs/remotes", "refs/tags", check=False, deadline=WRITE)
        found = done.text.splitlines() if done.returncode == 0 else []
        if any(_is_release(ref) or _is_elsewhere(path, ref) for ref in found):
            return True
    return False


def _is_release(ref: str) -> bool:
    return RELEASE.fullmatch(ref) is not None


def _is_elsewhere(path: Path, ref: str) -> bool:
    """Whether a remote-tracking branch is of a remote that has an address and no local path."""
    names = run(path, "remote", check=False).text.split()
    remote = next((n for n in sorted(names, key=len, reverse=True)
                   if ref.startswith(f"refs/remotes/{n}/")), None)
    if remote is None:
        return False
    url = run(path, "remote", "get-url", remote, check=False).text.strip()
    return ELSEWHERE.match(url) is not None


def _how(path: Path) -> str:
    if kernel.is_kernel_tree(path):
        return f"make it one: cd {path} && git init && git add -Af && git commit -m base"
    return "give --tree a clone of the kernel, not a directory inside it"


def _warn_dirty(path: Path, emit: Emit) -> None:
    # Fails in a bare repository, which has nothing uncommitted.
    done = run(path, "status", "--porcelain", "--untracked-files=no", check=False)
    changed = done.text.splitlines() if done.returncode == 0 else []
    if changed:
        first = changed[0][3:]
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        emit(Notice(f"{path} has uncommitted changes, which are not tested: {first}{more}",
                    level="warning"))
