# SPDX-License-Identifier: GPL-2.0-or-later
"""What each step may see and write. This is the list to read when judging the confinement.

No step that runs code of the series may write to a git directory or a worktree: a hook or a
``core.fsmonitor`` planted there would run with our rights the next time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kvtools import git
from kvtools.bwrap import View
from kvtools.checks.request import CheckRequest
from kvtools.git.repository import git_paths
from kvtools.steps.apply import ApplyRequest
from kvtools.steps.build import BuildRequest
from kvtools.steps.guest import GuestRequest

SLACK = 120.0  # seconds beyond a step's own deadline: it ends by itself and says why
APPLY_SECONDS = 1800.0
GUEST_SECONDS = 5400.0
KVM = Path("/dev/kvm")


@dataclass(frozen=True, slots=True)
class Room:
    """The view of a step, and how many seconds it has; ``emulator``: it starts one."""

    view: View
    seconds: float
    emulator: bool = False


def apply_room(request: ApplyRequest) -> Room:
    """git writes the worktree, its part of the git directory and objects; nothing is run.

    What makes git believe in another directory or configuration stays fixed. It takes a lock
    in the common directory (packed-refs, when a patch does not fit) and writes nothing there.
    """
    worktree = request.worktree
    (own,) = git_paths(worktree, "")
    common = git.common_dir(worktree)
    pointers = [worktree / ".git", own / "gitdir", own / "commondir", common / "objects" / "info"]
    return Room(
        View(
            writable=(worktree, own, common / "objects", request.out),
            readable=tuple(_repository(common))[1:],
            screened=(common,),
            fixed=tuple(path for path in pointers if path.exists()),
        ),
        APPLY_SECONDS,
    )


def build_room(request: BuildRequest) -> Room:
    """make writes the objects; the source is only read, as any O= build does."""
    readable = (request.source, *_repository(git.common_dir(request.source)))
    return Room(View(writable=(request.objects, request.out), readable=readable),
                request.deadline + SLACK)


def check_room(request: CheckRequest) -> Room:
    """A check's program may use the tree's own scripts, and make where it looks at objects."""
    mails = request.mails
    letters = {path.parent for path in (*mails.series, *mails.previous)}
    readable = [request.check.program.parent, *sorted(letters),
                *_repository(git.common_dir(request.repo))]
    writable = [request.out, request.keep, request.cache]
    if request.worktree is not None:
        readable.append(request.worktree)
    if request.built is not None:
        writable.append(request.built.objects)
        readable += [request.built.outcome] if request.built.outcome else []
    return Room(View(writable=tuple(writable), readable=tuple(readable)),
                request.check.deadline + SLACK)


def guest_room(request: GuestRequest) -> Room:
    """QEMU runs in the view, and the guest's root is the view's: no home, no keys, no net."""
    readable = (request.image, *_repository(git.common_dir(request.repo)))
    devices = (KVM,) if request.accel == "kvm" else ()
    view = View(writable=(request.out,), readable=readable, devices=devices)
    return Room(view, GUEST_SECONDS, emulator=True)


def _repository(common: Path) -> Iterator[Path]:
    """A git directory and the object directories that it borrows from, all of them."""
    yield common
    left, seen = [common / "objects"], set()
    while left:
        objects = left.pop()
        listed = objects / "info" / "alternates"
        for line in listed.read_text().splitlines() if listed.is_file() else ():
            path = (objects / line).resolve()
            if line and not line.startswith("#") and path not in seen and path.is_dir():
                seen.add(path)
                left.append(path)
                yield path
