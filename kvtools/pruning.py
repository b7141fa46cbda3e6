# SPDX-License-Identifier: GPL-2.0-or-later
"""What kvtools keeps on the disk, and what of it can go.

Everything here can be made again: stored outcomes, what ccache keeps, worktrees with their
objects, and the repositories of kernel versions that a newer one has replaced. Runs and reports
are kept.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from filelock import FileLock, Timeout

from kvtools.store import Store, locked

TWINS = 90 * 86400.0
"""Seconds after which the name of a tree without its comments goes."""


class Kind(IntEnum):
    """In the order in which it goes: the cheapest to make again first."""

    OUTCOME = 1
    COMPILED = 2
    OBJECTS = 3
    BASE = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """``size`` in bytes on the disk, ``used`` in seconds since 1970; ``needed``: must stay."""

    kind: Kind
    path: Path
    size: int
    used: float
    needed: bool = False


def survey(store: Store, cache: Path) -> tuple[Entry, ...]:
    """Everything that is kept, in no order.

    What a run under way may have used is needed, and so is the newest version of a base.
    """
    since = _oldest_running(store)
    outcomes = (
        Entry(Kind.OUTCOME, path, disk_size(path), used, used >= since)
        for path, used in store.entries()
    )
    return (*outcomes, *_compiled(cache, since), *_bases(cache))


def _compiled(cache: Path, since: float) -> Iterator[Entry]:
    """What ccache keeps, all of it: it throws away the oldest by itself."""
    path = cache / "ccache"
    if path.is_dir():
        yield Entry(Kind.COMPILED, path, disk_size(path), path.stat().st_mtime,
                    needed=since < float("inf"))


def _oldest_running(store: Store) -> float:
    starts = [
        (store.root / "runs" / run_id / "lock").stat().st_mtime
        for run_id in store.runs()
        if store.is_running(run_id)
    ]
    return min(starts, default=float("inf"))


def _bases(cache: Path) -> Iterator[Entry]:
    for base in sorted(p for p in (cache / "bases").glob("*") if p.is_dir()):
        versions = [p for p in base.iterdir() if (p / "source.json").is_file()]
        newest = max((p.stat().st_mtime for p in versions), default=0.0)
        for version in versions:
            jobs = [p for p in (version / "jobs").glob("*") if p.is_dir()]
            for job in jobs:
                yield Entry(Kind.OBJECTS, job, disk_size(job), _used(job), _busy(job))
            used = version.stat().st_mtime
            busy = used == newest or _busy(version) or any(map(_busy, jobs))
            yield Entry(Kind.BASE, version, disk_size(version, leave_out="jobs"), used, busy)


def _busy(directory: Path) -> bool:
    return locked(directory / "lock")


def _used(job: Path) -> float:
    marks = [p for p in (job / "lock.pid", job / "lock", job) if p.exists()]
    return marks[0].stat().st_mtime


def disk_size(directory: Path, leave_out: str = "") -> int:
    """Bytes that the files below a directory take; of hard links only the first counts."""
    total, seen = 0, set()
    for folder, folders, files in os.walk(directory):
        if leave_out and Path(folder) == directory:
            folders[:] = [f for f in folders if f != leave_out]
        for name in files:
            try:
                info = os.lstat(f"{folder}/{name}")
            except OSError:
                continue
            if info.st_ino not in seen:
                seen.add(info.st_ino)
                total += info.st_blocks * 512
    return total


def choose(entries: Iterable[Entry], limit: int) -> tuple[Entry, ...]:
    """What has to go so that ``limit`` bytes are kept: by kind, least recently used first.

    A base goes with its worktrees, so it goes only after them. Pure.
    """
    every = list(entries)
    over = sum(e.size for e in every) - limit
    going: list[Entry] = []
    for entry in sorted(every, key=lambda e: (e.kind, e.used)):
        if over <= 0:
            break
        if not entry.needed:
            going.append(entry)
            over -= entry.size
    return tuple(going)


def remove(entries: Sequence[Entry], store: Store) -> None:
    """Remove them; a worktree that somebody has taken meanwhile is left.

    What the store knows of twins is not worth an entry: it goes when it is old.
    """
    store.forget_twins(time.time() - TWINS)
    for entry in entries:
        if entry.kind is Kind.OUTCOME:
            store.forget(entry.path)
        elif entry.kind is Kind.COMPILED:
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            _remove_locked(entry.path)


def _remove_locked(directory: Path) -> None:
    try:
        with FileLock(directory / "lock", timeout=0):
            for path in directory.iterdir():
                if path.name not in ("lock", "lock.pid"):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
    except Timeout:
        pass
