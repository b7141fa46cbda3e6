# SPDX-License-Identifier: GPL-2.0-or-later
"""Apply one patch with ``git am -3`` on its parent."""

from __future__ import annotations

import shlex
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from kvtools import git
from kvtools.errors import MachineError
from kvtools.events import Tick, no_tick
from kvtools.model import Outcome, Owner, Patch, Status, Step

VERSION = 1
"""Part of the key: raised when the same patch on the same parent may end differently."""

LOG = "apply.log"
MAIL = "patch.mbox"


@dataclass(frozen=True, slots=True)
class ApplyRequest:
    """``worktree`` is ours and may be in any state, ``parent`` the commit to apply on.

    ``there``: it is at the parent and clean, as the patch before was applied in it.
    """

    worktree: Path
    parent: str
    patch: Patch
    out: Path
    there: bool = False


def run(request: ApplyRequest, tick: Tick = no_tick) -> Outcome:
    """PASS with the new commit, or FAIL with what does not fit; leaves the log and the mail.

    ``details``: commit, tree, files, insertions, deletions; or conflicts, each with file,
    hunk, reason and found. Raises MachineError when git could not work (disk full, killed).
    """
    begin = time.monotonic()
    tick(0, 1, request.patch.subject)
    try:
        (request.out / MAIL).write_bytes(request.patch.mail)
        if not request.there:
            git.checkout(request.worktree, request.parent)
        applied = git.am(request.worktree, request.patch.mail, log=request.out / LOG)
    except OSError as error:
        raise MachineError(f"applying patch {request.patch.number}: {error}") from error
    tick(1, 1, request.patch.subject)
    seconds = time.monotonic() - begin
    if applied.commit is None:
        return _failed(request, applied.conflicts, seconds)
    changed = git.changes(request.worktree, applied.commit)
    return Outcome(
        step=Step.APPLY,
        name="",
        status=Status.PASS,
        seconds=seconds,
        summary=f"applied, {changed.files} file{'s' * (changed.files != 1)}, "
        f"+{changed.insertions} -{changed.deletions}",
        log=LOG,
        reproduce=_reproduce(request),
        details={"commit": applied.commit, "tree": applied.tree, **asdict(changed)},
    )


def _failed(
    request: ApplyRequest, conflicts: tuple[git.Conflict, ...], seconds: float
) -> Outcome:
    more = f" (and {len(conflicts) - 1} more)" if len(conflicts) > 1 else ""
    first = conflicts[0]
    where = ": ".join(part for part in (first.file, _at(first.hunk), first.reason) if part)
    return Outcome(
        step=Step.APPLY,
        name="",
        status=Status.FAIL,
        seconds=seconds,
        summary=f"does not apply: {where}{more}",
        owner=Owner.PATCH,
        log=LOG,
        evidence=tuple(line for conflict in conflicts for line in _evidence(conflict)),
        reproduce=_reproduce(request),
        fingerprints=tuple(f"apply: {c.file}: {c.reason}" for c in conflicts),
        details={"conflicts": [{**asdict(c), "found": list(c.found)} for c in conflicts]},
    )


def _at(hunk: str) -> str:
    """``@@ -1,2 +1,2 @@`` of a hunk's header."""
    return "@@".join(hunk.split("\n", 1)[0].split("@@")[:2]) + "@@" if hunk else ""


def _evidence(conflict: git.Conflict) -> list[str]:
    lines = [f"{conflict.file or 'the mail'}: {conflict.reason}"]
    if conflict.hunk:
        lines += ["  the patch has:", *(f"    {row}" for row in conflict.hunk.split("\n"))]
    if conflict.found:
        lines += ["  the tree has:", *(f"    {row}" for row in conflict.found)]
    return lines


def _reproduce(request: ApplyRequest) -> tuple[str, ...]:
    repo = shlex.quote(str(git.common_dir(request.worktree)))
    source = Path(request.patch.source)
    own = source.is_absolute() and source.is_file()
    note = () if own else (f"# {MAIL} is in the directory of this outcome",)
    return (
        *note,
        f"git clone --shared --no-checkout {repo} linux",
        f"git -C linux checkout --detach {request.parent}",
        f"git -C linux am -3 {shlex.quote(str(source)) if own else f'$PWD/{MAIL}'}",
    )
