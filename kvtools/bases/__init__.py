# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel trees that series are applied to: ours, made from data, or the user's own.

A data file ``debian-6.1`` with a baseline gives two bases: ``debian-6.1``, what the
baseline leaves, and ``debian-6.1/oracle``, the untouched tree. ``oracle`` alone is that of
the default base. Without a baseline there is only the untouched tree, under the plain name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kvtools import git, paths
from kvtools.bases import baseline, sources, tree
from kvtools.bases.data import BaseData, read_all
from kvtools.bases.jobs import Lease, lease, lease_apart, objects, run_key, worktree
from kvtools.bases.kernel import is_kernel_tree
from kvtools.bases.locks import held
from kvtools.errors import BaseError
from kvtools.events import Emit, discard
from kvtools.model import Base

__all__ = [
    "BaseInfo",
    "Lease",
    "from_tree",
    "is_kernel_tree",
    "lease",
    "lease_apart",
    "names",
    "objects",
    "prepare",
    "published",
    "run_key",
    "worktree",
]

ORACLE = "oracle"


@dataclass(frozen=True, slots=True)
class BaseInfo:
    """A base that can be named. ``commit`` and ``version`` are of the newest one prepared,
    "" where there is none; ``repos`` are all that are prepared, the newest first."""

    name: str
    description: str
    default: bool
    commit: str
    version: str
    repos: tuple[Path, ...]


def names() -> list[BaseInfo]:
    """Every base there is data for, the default first."""
    found = []
    for data in _data():
        ready = sources.prepared(_cache() / "bases" / data.name)
        repos = tuple(source.repo for source in ready)
        version = ready[0].version if ready else ""
        oracle = ready[0].commit if ready else ""
        ours = oracle
        if data.has_baseline:
            ours = baseline.find(data, ready[0].repo, oracle) if ready else ""
        found.append(BaseInfo(data.name, data.description, data.default, ours, version, repos))
        if data.has_baseline:
            text = f"{data.description}, before the baseline takes anything out"
            found.append(
                BaseInfo(f"{data.name}/{ORACLE}", text, False, oracle, version, repos)
            )
    return found


def prepare(name: str | None, emit: Emit = discard) -> Base:
    """The base ``name``, the default when None; fetched and imported when not there yet.

    Raises BaseError when it does not exist, cannot be had or its baseline does not fit,
    MachineError when the disk is full.
    """
    data, untouched = _find(name)
    source = sources.get(data, _cache(), emit)
    commit = source.commit
    origin = source.origin
    if data.has_baseline and not untouched:
        with held(source.directory / "lock", emit, f"the baseline of {data.name}"):
            commit = baseline.commit(data, source.repo, commit, source.version)
        origin += f"; baseline: {baseline.summary(data)}"
    return Base(
        name=f"{data.name}/{ORACLE}" if untouched and data.has_baseline else data.name,
        repo=source.repo,
        commit=commit,
        tree=git.tree_of(source.repo, commit),
        version=source.version,
        origin=origin,
        public=source.public and commit == source.commit,
        known=data.known if untouched or not data.has_baseline else (),
    )


def from_tree(path: Path, rev: str | None, emit: Emit = discard) -> Base:
    """The commit ``rev`` (HEAD when None) of the user's git tree; see :mod:`.tree`."""
    return tree.from_tree(path, rev, _cache(), emit)


def published(path: Path, commit: str) -> bool:
    """Whether others can get a commit of the user's tree; see :mod:`.tree`."""
    return tree.published(path, commit)


def _find(name: str | None) -> tuple[BaseData, bool]:
    known = _data()
    if name is None:
        return known[0], False
    if name == ORACLE:
        return known[0], True
    stem, slash, part = name.partition("/")
    for data in known:
        if data.name == stem and (not slash or part == ORACLE):
            return data, bool(slash)
    raise BaseError(
        f"there is no base '{name}'",
        fix=f"use one of {', '.join(info.name for info in names())}, or --tree PATH --base REV",
    )


def _data() -> tuple[BaseData, ...]:
    return read_all(paths.data() / "kbuild" / "bases")


def _cache() -> Path:
    return paths.home().cache
