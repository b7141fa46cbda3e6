# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a base is worked on: ``jobs/<key>/src``, a worktree that lasts, and ``jobs/<key>/o``.

kbuild's dependency files hold absolute paths and modification times count, so source and
objects of one key stay where they are from run to run, and one run at a time has them.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kvtools import git
from kvtools.bases import room
from kvtools.bases.locks import held
from kvtools.errors import BaseError
from kvtools.events import Emit, Working, discard
from kvtools.git.command import git as run
from kvtools.model import Base

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
OBJECTS = 3 * room.GB // 10  # 216 MB measured for the guest config
SLACK = 1.2  # files are rounded up to blocks: 1.3 GB of text are 1.5 GB on ext4


@dataclass(frozen=True, slots=True)
class Lease:
    """A worktree and the directory for its objects, ours alone until it ends.

    Without symbolic links in their paths, as kbuild writes them.
    """

    source: Path
    objects: Path


@contextmanager
def lease(base: Base, key: str, emit: Emit = discard) -> Iterator[Lease]:
    """Have the worktree and object directory of (``base``'s repository, ``key``) for oneself.

    It is at whatever commit the last one left it, at ``base.commit`` when new: files are
    only touched by whoever knows which commit is wanted. Waits, with a Notice naming the
    pid, while another process has it. Raises MachineError when the disk is too small.
    """
    directory = _directory(base, key)
    with held(directory / "lock", emit, f"the worktree {directory}"):
        with room.writing(directory):
            source = _worktree(base, directory, emit)
            leased = Lease(source.resolve(), objects(base, key).resolve())
        yield leased


@contextmanager
def lease_apart(base: Base, owner: str, emit: Emit = discard) -> Iterator[Lease]:
    """A :func:`lease` for untrusted series, without the objects that another ``owner`` left."""
    with lease(base, run_key(base, "untrusted-"), emit) as leased:
        mark = leased.objects.parent / "owner"
        if not mark.is_file() or mark.read_text() != owner:
            mark.unlink(missing_ok=True)
            shutil.rmtree(leased.objects)
            leased.objects.mkdir()
            # A setuid program in there is of no use to another user.
            leased.objects.parent.chmod(0o700)
            mark.write_text(owner)
        yield leased


def run_key(base: Base, prefix: str = "run-") -> str:
    """The key of the worktree and objects in which a base and series on it are built."""
    return prefix + re.sub(r"[^A-Za-z0-9.]", "-", base.name).lstrip(".-")


def worktree(base: Base, key: str) -> Path:
    """The worktree of that key, made at ``base.commit`` if it is not there; without a lock."""
    return _worktree(base, _directory(base, key), discard)


def objects(base: Base, key: str) -> Path:
    """The directory for the objects of that key, beside its worktree."""
    place = _directory(base, key) / "o"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _directory(base: Base, key: str) -> Path:
    if not KEY.fullmatch(key):
        raise ValueError(f"'{key}' cannot name a directory")
    directory = base.repo.parent / "jobs" / key
    if re.search(r"[\s:]", str(directory)):  # the kernel's Makefile says so too, less clearly
        raise BaseError(f"{directory}: a kernel cannot be built below a path with spaces or colons",
                        fix="set KVTOOLS_HOME to a path without")
    return directory


def _worktree(base: Base, directory: Path, emit: Emit) -> Path:
    source = directory / "src"
    whole = directory / "src.whole"  # written last: without it a killed run may have left a part
    if whole.is_file() and git.is_repository(source):
        return source
    room.need(directory, _size(base) + OBJECTS, f"a worktree of {base.name} and its objects")
    whole.unlink(missing_ok=True)
    what = f"checking out {base.name}"
    emit(Working(what))
    try:
        if source.exists() and not git.is_repository(source):
            shutil.rmtree(source)
        git.worktree_add(base.repo, source, base.commit)
        whole.touch()
    finally:
        emit(Working(what, done=True))
    return source


def _size(base: Base) -> int:
    """Bytes that the files of the base take, about."""
    listed = run(base.repo, "ls-tree", "-r", "-l", "-z", base.commit).stdout
    sizes = re.findall(rb"^\S+ blob \S+ +(\d+)\t", listed.replace(b"\0", b"\n"), re.MULTILINE)
    return int(SLACK * sum(map(int, sizes)))
