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
from kvtools.git.command import git as run
from kvtools.git.command import line
from kvtools.model import Base


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
        public=True,
    )


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
