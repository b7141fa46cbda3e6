# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories and worktrees: reading the user's, making our own."""

from __future__ import annotations

import functools
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from kvtools import process
from kvtools.errors import MachineError, ToolFailed, UserError
from kvtools.git.command import WRITE, git, last_error, line
from kvtools.model import Person

_ID = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


def is_repository(path: Path) -> bool:
    """True when ``path`` is the top of a work tree, a bare repository or a ``.git``."""
    if not path.is_dir():
        return False
    done = git(path, "rev-parse", "--show-prefix", check=False)
    return done.returncode == 0 and not done.text.strip()


def rev_parse(repo: Path, rev: str) -> str:
    """The full commit id of ``rev``; UserError if it is unknown or starts with ``-``."""
    if rev.startswith("-") or not rev.strip():
        raise UserError(f"'{rev}' is not a git revision", fix="name a branch, tag or commit id")
    if not repo.is_dir():
        raise UserError(f"{repo} is not a directory", fix="give --tree a clone")
    done = git(repo, "rev-parse", "--show-prefix", rev + "^{commit}", check=False)
    rows = done.text.rstrip("\n").split("\n")
    if done.returncode == 0 and rows[0] == "" and _ID.fullmatch("\n".join(rows[1:])):
        return rows[1]
    if not is_repository(repo):
        raise UserError(f"{repo} is not the top of a git repository", fix="give --tree a clone")
    raise UserError(
        f"'{rev}' is not a commit in {repo}", fix="fetch it there, or name another revision"
    )


def commits_there(repo: Path, commits: Sequence[str]) -> set[str]:
    """Those of full commit ids that are commits of this repository."""
    rows = git(repo, "cat-file", "--batch-check", stdin=_lines(commits)).text.splitlines()
    return {row.split()[0] for row in rows if row.split()[1:2] == ["commit"]}


def git_paths(repo: Path, *names: str) -> list[Path]:
    """Where files of the git directory are, worktrees and ``.git`` files taken into account."""
    wanted = [word for name in names for word in ("--git-path", name)]
    text = line(repo, "rev-parse", "--path-format=absolute", *wanted)
    return [Path(row) for row in text.split("\n")]


def tree_of(repo: Path, commit: str) -> str:
    """The tree id of a commit."""
    return line(repo, "rev-parse", "--verify", commit + "^{tree}")


@functools.lru_cache(maxsize=256)
def ids_of(repo: Path, commit: str, paths: tuple[str, ...]) -> Mapping[str, str]:
    """The ids of the files and directories that a commit has of ``paths``: equal ids, equal
    names and contents. ``commit`` is a full id: what it names never changes.

    Raises UserError when it is not a commit there.
    """
    asked = _lines([commit, *(f"{commit}:{path}" for path in paths)])
    rows = git(repo, "cat-file", "--batch-check", stdin=asked).text.splitlines()
    own, *found = (row.split() for row in rows)
    if own[1:2] != ["commit"]:
        raise UserError(f"{commit[:12]} is not a commit in {repo}")
    return MappingProxyType({path: words[0] for path, words in zip(paths, found, strict=True)
                             if words[1:2] in (["blob"], ["tree"])})


def _lines(words: Iterable[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()


def init(path: Path, *, bare: bool = False, object_format: str = "sha1") -> None:
    """A repository of ours: no template, no automatic gc."""
    path.mkdir(parents=True, exist_ok=True)
    kind = ["--bare"] if bare else []
    git(path, "init", "--quiet", "--template=", "--initial-branch=main", *kind,
         f"--object-format={object_format}", ".")
    git(path, "config", "gc.auto", "0")


def borrow(source: Path, path: Path, commit: str) -> None:
    """Make at ``path`` a bare repository of ours that reads ``source``'s objects.

    ``source`` (a clone, bare, shallow, or a worktree) is only read; ``commit`` is a full
    id in it. Run again it follows changes of ``source``. git renews the times of objects
    there that it is asked to write again, as it does for any alternate.

    Raises UserError for a partial clone that lacks files of the commit: fetching them
    would write into ``source``.
    """
    objects, shallow = git_paths(source, "objects", "shallow")
    if not is_repository(path):
        init(path, bare=True, object_format=line(source, "rev-parse", "--show-object-format"))
    info = path / "objects" / "info"
    info.mkdir(exist_ok=True)
    (info / "alternates").write_text(f"{objects}\n")
    if shallow.is_file():
        shutil.copyfile(shallow, path / "shallow")
    else:
        (path / "shallow").unlink(missing_ok=True)
    missing = git(
        path, "rev-list", "--objects", "--no-walk", "--missing=print", commit, check=False
    )
    if missing.returncode != 0 or re.search(rb"^\?", missing.stdout, re.MULTILINE):
        raise UserError(
            f"{source} does not hold all files of commit {commit[:12]} (a partial clone?)",
            fix=f"git -C {source} checkout {commit[:12]} fetches them, or use a full clone",
        )
    git(path, "update-ref", f"refs/heads/base-{commit[:12]}", commit)


def commit_all(worktree: Path, message: str, *, when: str, who: Person) -> str:
    """Commit everything in ``worktree``, ignored files too; same input, same id everywhere.

    ``when`` is a date as git takes it, with its zone (``2022-12-11T22:15:18+00:00``).
    """
    git(worktree, "add", "--all", "--force", ".", deadline=WRITE)
    tree = line(worktree, "write-tree")
    head = git(worktree, "rev-parse", "--verify", "--quiet", "HEAD^{commit}", check=False)
    parent = ["-p", head.text.strip()] if head.returncode == 0 else []
    ident = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", who.name), ("EMAIL", who.email), ("DATE", when))
    }
    text = message.rstrip("\n") + "\n"
    done = git(worktree, "commit-tree", tree, *parent, stdin=text.encode(), env=ident)
    commit = done.text.strip()
    git(worktree, "update-ref", "HEAD", commit)
    return commit


def worktree_add(repo: Path, path: Path, commit: str) -> None:
    """A detached worktree of ``repo`` (ours) at ``path``; one that is there is reused."""
    git(repo, "worktree", "prune")
    if (path / ".git").is_file() and _same_repository(repo, path):
        checkout(path, commit)
        return
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise MachineError(f"{path} is in the way of a worktree", fix=f"remove it: rm -r '{path}'")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Forced twice: an add that was killed leaves its worktree locked.
    git(repo, "worktree", "add", "--quiet", "-f", "-f", "--detach", str(path), commit,
        deadline=WRITE)


def common_dir(repo: Path) -> Path:
    """The git directory that a repository and its worktrees share."""
    return Path(line(repo, "rev-parse", "--path-format=absolute", "--git-common-dir"))


def _same_repository(repo: Path, worktree: Path) -> bool:
    try:
        return common_dir(repo) == common_dir(worktree)
    except ToolFailed:
        return False  # its administrative files are gone


def checkout(worktree: Path, commit: str) -> None:
    """Put ``worktree`` (ours) at ``commit``, detached, whatever state it was left in.

    Files that do not differ keep their times, so that make rebuilds only what changed.
    """
    for left in git_paths(worktree, "rebase-apply", "rebase-merge", "MERGE_HEAD", "MERGE_MSG"):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)
    command = ("checkout", "--quiet", "--force", "--detach", commit)
    done = git(worktree, *command, deadline=WRITE, check=False)
    if done.returncode != 0 and b".lock': File exists" in done.stderr:
        # Left by a git that was killed: worktrees of ours have one user at a time.
        time.sleep(0.3)
        for lock in git_paths(worktree, "index.lock", "HEAD.lock"):
            lock.unlink(missing_ok=True)
        done = git(worktree, *command, deadline=WRITE, check=False)
    if done.returncode != 0:
        raise ToolFailed(f"git checkout of {commit[:12]} in {worktree}: {last_error(done)}")
    git(worktree, "clean", "--quiet", "-ffdx", deadline=WRITE)


def archive(repo: Path, commit: str, paths: Sequence[str], dest: Path) -> None:
    """Extract ``paths`` (files or directories) of a commit below ``dest``.

    Raises UserError when the commit does not have one of them.
    """
    dest.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kvtools-") as scratch:
        tar = Path(scratch) / "paths.tar"
        done = git(repo, "archive", "--format=tar", f"--output={tar}", commit, "--", *paths,
                    deadline=WRITE, check=False)
        if done.returncode != 0:
            text = last_error(done)
            if "did not match any files" in text:
                raise UserError(f"commit {commit[:12]}: {text}")
            raise ToolFailed(f"git archive of {commit[:12]}: {text}")
        process.run(["tar", "-xf", str(tar), "-C", str(dest)], deadline=WRITE)


def show(repo: Path, commit: str, path: str) -> bytes:
    """A file of a commit; UserError when it is not there."""
    content = blob(repo, commit, path)
    if content is None:
        raise UserError(f"commit {commit[:12]} has no file {path}")
    return content


def blob(repo: Path, commit: str, path: str) -> bytes | None:
    done = git(repo, "cat-file", "blob", f"{commit}:{path}", check=False)
    return done.stdout if done.returncode == 0 else None


def content(repo: Path, blob_id: str) -> bytes:
    """The bytes of a blob."""
    return git(repo, "cat-file", "blob", blob_id).stdout
