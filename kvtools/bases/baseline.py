# SPDX-License-Identifier: GPL-2.0-or-later
"""What the baseline takes out of the untouched tree, as commits on top of it.

Written through an index of its own, without a worktree: a second instead of ten.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from kvtools.bases.data import BaseData, BaselinePatch
from kvtools.bases.importer import WHEN, WHO
from kvtools.errors import BaseError
from kvtools.git.command import git as run
from kvtools.git.command import last_error
from kvtools.process import Completed


def commit(data: BaseData, repo: Path, oracle: str, version: str) -> str:
    """The tip of the baseline of ``data`` on ``oracle`` in ``repo``; made once, then found.

    One commit for the removed files, one for each patch; ids are the same everywhere.
    Raises BaseError naming the file, the patch and ``version`` where the tree has moved away.
    """
    done = find(data, repo, oracle)
    if done:
        return done
    with tempfile.TemporaryDirectory(prefix="kvtools-") as scratch:
        work = _Index(repo, Path(scratch) / "index", oracle)
        if data.remove:
            _remove(work, data, version)
        for patch in data.patches:
            _apply(work, data, patch, version)
    run(repo, "update-ref", _ref(data, oracle), work.tip)
    return work.tip


def find(data: BaseData, repo: Path, oracle: str) -> str:
    """The baseline's tip if it has been made in ``repo``, else an empty string."""
    ref = _ref(data, oracle)
    return run(repo, "rev-parse", "--verify", "--quiet", ref, check=False).text.strip()


def summary(data: BaseData) -> str:
    """What the baseline takes out, for the report."""
    return f"{len(data.remove)} files removed, {len(data.patches)} patches"


def _ref(data: BaseData, oracle: str) -> str:
    return f"refs/heads/baseline-{oracle[:12]}-{data.baseline_digest}"


class _Index:
    """An index beside a bare repository, and the commit it grows from."""

    def __init__(self, repo: Path, file: Path, tip: str) -> None:
        self._repo = repo
        self._env = {"GIT_INDEX_FILE": str(file)}
        self.tip = tip
        self.git("read-tree", tip)

    def git(self, *args: str, stdin: bytes = b"", check: bool = True) -> Completed:
        return run(self._repo, *args, stdin=stdin, env=self._env, check=check)

    def commit(self, message: str) -> None:
        tree = self.git("write-tree").text.strip()
        identity = {
            f"GIT_{role}_{key}": value
            for role in ("AUTHOR", "COMMITTER")
            for key, value in (("NAME", WHO.name), ("EMAIL", WHO.email), ("DATE", WHEN))
        }
        self.tip = run(self._repo, "commit-tree", tree, "-p", self.tip, stdin=message.encode(),
                       env=identity).text.strip()


def _remove(work: _Index, data: BaseData, version: str) -> None:
    listed = work.git("ls-files", "-z", "--cached", "--", *(f":(literal){f}" for f in data.remove))
    missing = [name for name in data.remove if name not in listed.text.split("\0")]
    if missing:
        raise BaseError(
            f"base {data.name}: {version} has no file {missing[0]}, which the baseline removes",
            fix=f"correct [baseline] remove in kbuild/bases/{data.name}.toml",
        )
    entries = "".join(f"0 {_null(work.tip)}\t{name}\0" for name in data.remove)
    work.git("update-index", "-z", "--index-info", stdin=entries.encode())
    names = "".join(f"  {name}\n" for name in data.remove)
    work.commit(f"baseline: remove files\n\n{names}")


def _null(like: str) -> str:
    """The id of nothing, as long as ``like``."""
    return "0" * len(like)


def _apply(work: _Index, data: BaseData, patch: BaselinePatch, version: str) -> None:
    done = work.git("apply", "--cached", "--whitespace=nowarn", "-", stdin=patch.text, check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace")
        place = re.search(r"^error: patch failed: (.+?):(\d+)$", said, re.MULTILINE)
        other = re.search(r"^error: (.+?): (?:does not exist|already exists)", said, re.MULTILINE)
        where = f"{place[1]}:{place[2]}" if place else other[1] if other else last_error(done)
        raise BaseError(
            f"base {data.name}: patch {patch.name} does not fit {version} at {where}",
            fix=f"refresh kbuild/bases/{patch.name}, or use a package version that it fits",
        )
    work.commit(_message(work, patch))


def _message(work: _Index, patch: BaselinePatch) -> str:
    """The changelog of a patch that is a mail; of a bare diff its name."""
    with tempfile.TemporaryDirectory(prefix="kvtools-") as scratch:
        body = Path(scratch) / "body"
        done = work.git("mailinfo", "--encoding=UTF-8", str(body), f"{scratch}/diff",
                        stdin=patch.text, check=False)
        subject = re.search(r"^Subject: (.+)$", done.text, re.MULTILINE)
        if subject is None:
            return f"baseline: {Path(patch.name).stem}\n"
        return f"{subject[1]}\n\n{body.read_text(encoding='utf-8')}".rstrip() + "\n"
