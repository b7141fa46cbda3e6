# SPDX-License-Identifier: GPL-2.0-or-later
"""Applying one mail with ``git am``, and why it did not apply."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kvtools import diff, process
from kvtools.errors import MachineError, ToolFailed
from kvtools.git.command import WRITE, git, line
from kvtools.git.repository import blob, checkout

_MACHINE = re.compile(
    r"^(?:error|fatal|warning):.*(?:No space left on device|Disk quota exceeded|"
    r"Read-only file system|Input/output error|Permission denied|Too many open files|"
    r"\.lock': File exists|insufficient permission|[Oo]ut of memory|loose object \w+ .* is corrupt|"
    r"unable to (?:write|create|mkdir|unlink)).*$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Conflict:
    """One place where a patch does not fit.

    ``file`` is the path in the tree ("" when the mail itself is wrong), ``hunk`` the
    ``@@`` header and its first lines ("" when the whole file is meant), ``reason`` one
    line, ``found`` what the tree has at that place.
    """

    file: str
    hunk: str
    reason: str
    found: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """What ``git am`` did: the new commit and its tree, or the conflicts."""

    commit: str | None
    tree: str | None
    conflicts: tuple[Conflict, ...]
    log: str


def am(worktree: Path, mail: bytes, *, log: Path | None = None) -> Applied:
    """Apply one mail with ``git am -3`` on top of ``worktree``'s HEAD.

    The committer and its date are the author's, so the same parent and mail give the
    same commit id everywhere. On a conflict the worktree is left clean at the parent.
    Raises MachineError when git itself could not do its work (disk full, killed).
    """
    parent, _ = _head(worktree)
    body = _one_message(mail)
    info, patch = _mailinfo(worktree, body)
    if "Date" not in info:  # git would take the present time
        body = b"Date: Thu, 1 Jan 1970 00:00:00 +0000\n" + body
    author = info.get("Author") or info.get("Email", "").partition("@")[0] or "unknown"
    committer = {
        "GIT_COMMITTER_NAME": author,
        "GIT_COMMITTER_EMAIL": info.get("Email", "").strip() or "unknown",
    }
    # CRs of a mail whose headers have none belong to the files.
    cr = "--no-keep-cr" if body.split(b"\n", 1)[0].endswith(b"\r") else "--keep-cr"
    done = git(worktree, "am", "--3way", "--patch-format=mbox", cr, "--no-scissors",
                "--no-message-id", "--no-signoff", "--no-gpg-sign", "--whitespace=nowarn",
                "--committer-date-is-author-date", "--empty=stop",
                stdin=body, env=committer, deadline=WRITE, check=False)
    text = _both_streams(done)
    if log is not None:
        log.write_text(text, errors="surrogateescape")
    commit, tree = _head(worktree)
    if done.returncode == 0 and commit != parent:
        return Applied(commit, tree, (), text)
    _blame_machine(done, worktree, parent)
    unmerged = git(worktree, "ls-files", "--unmerged", "-z").text.split("\0")
    checkout(worktree, parent)
    return Applied(
        None,
        None,
        _conflicts(worktree, patch, text, {row.partition("\t")[2] for row in unmerged if row}),
        text,
    )


def _head(worktree: Path) -> tuple[str, str]:
    """HEAD's commit and tree."""
    commit, tree = line(worktree, "rev-parse", "HEAD", "HEAD^{tree}").split()
    return commit, tree


def _both_streams(done: process.Completed) -> str:
    """Both streams of a finished command as one text, standard output first."""
    return (done.stdout + done.stderr).decode("utf-8", "surrogateescape")


def _one_message(mail: bytes) -> bytes:
    """``mail`` without its mbox line: then no line of the body can start another mail."""
    if mail.startswith((b"From ", b">From ")):
        return mail.partition(b"\n")[2]
    return mail


def _mailinfo(worktree: Path, body: bytes) -> tuple[dict[str, str], bytes]:
    """What git itself reads from a mail: Author, Email, Subject, Date; and the diff."""
    with tempfile.TemporaryDirectory(prefix="kvtools-") as scratch:
        message, patch = Path(scratch) / "message", Path(scratch) / "patch"
        done = git(worktree, "mailinfo", "--encoding=UTF-8", "--no-scissors", str(message),
                    str(patch), stdin=body, check=False)
        if done.returncode < 0:
            raise ToolFailed(f"git mailinfo was killed by signal {-done.returncode}")
        pairs = (row.partition(": ") for row in done.text.splitlines())
        return (
            {key: value for key, colon, value in pairs if colon},
            patch.read_bytes() if patch.exists() else b"",
        )


def _blame_machine(done: process.Completed, worktree: Path, parent: str) -> None:
    """Raise MachineError when ``git am`` failed for a reason no patch can have."""
    fault = _MACHINE.search(done.stderr.decode("utf-8", "replace"))
    if done.returncode < 0:
        reason = f"killed by signal {-done.returncode}"
    elif fault is not None:
        reason = fault.group(0)
    else:
        return
    if "No space left" not in reason and "quota" not in reason:
        checkout(worktree, parent)
    raise MachineError(f"git am in {worktree}: {reason}", fix="free disk space or memory, rerun")


def _conflicts(
    worktree: Path, patch: bytes, text: str, unmerged: set[str]
) -> tuple[Conflict, ...]:
    """Why ``git am`` refused ``patch``: ``text`` is what it said, ``worktree`` is clean again.

    ``unmerged`` are the files a three-way merge left with conflicts; empty when it was
    not tried, for want of the blobs the patch was made from.
    """
    try:
        files = diff.parse(patch)
    except diff.DiffError as error:
        return (Conflict("", error.excerpt, f"corrupt patch: {error}"),)
    if not files:
        said = next((row for row in text.splitlines() if row.startswith(("fatal:", "error:"))), "")
        return (Conflict("", "", said.partition(": ")[2] or "the mail has no diff"),)
    if "No changes -- Patch already applied." in text or _reverses(worktree, patch):
        return tuple(
            Conflict(file.path, file.excerpt, "already applied: the tree has this change")
            for file in files
        )
    found: list[Conflict] = []
    for file in files:
        if link := _link_above(worktree, file):
            reason = f"'{link}' is a symbolic link in the tree"
            found.append(Conflict(file.path, file.excerpt, reason))
            continue
        if unmerged and not unmerged & {file.old, file.new}:
            continue
        content = blob(worktree, "HEAD", file.old or file.path)
        found += [Conflict(m.file, m.hunk, m.reason, m.found) for m in diff.misfits(file, content)]
    if not found:
        found = [Conflict(files[0].path, "", reason) for reason in _said(text)]
    return tuple(found)


def _link_above(worktree: Path, file: diff.FileDiff) -> str:
    """The symbolic link that a path leads through, if any."""
    above = [str(parent) for parent in PurePosixPath(file.path).parents if parent.name]
    if not above or ".." in PurePosixPath(file.path).parts:
        return ""
    listed = git(worktree, "ls-tree", "-z", "HEAD", "--", *above, check=False).text
    links = [row.partition("\t")[2] for row in listed.split("\0") if row.startswith("120000 ")]
    # Given mm and mm/a, ls-tree lists what else is in mm.
    return next((link for link in links if link in above), "")


def _reverses(worktree: Path, patch: bytes) -> bool:
    done = git(worktree, "apply", "--check", "--reverse", "--cached", "-", stdin=patch,
                check=False)
    return done.returncode == 0


def _said(text: str) -> list[str]:
    """git's own reasons, without those that only sum up; never empty."""
    rows = re.findall(r"^(?:error: |fatal: |CONFLICT )(.+)$", text, re.MULTILINE)
    sums = ("Did you hand edit your patch?", "Failed to merge in the changes.")
    return [row for row in rows if row not in sums] or ["git am refused the patch"]
