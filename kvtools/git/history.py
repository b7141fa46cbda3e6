# SPDX-License-Identifier: GPL-2.0-or-later
"""What commits say and change."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kvtools import diff, process
from kvtools.git.command import WRITE, git, line


@dataclass(frozen=True, slots=True)
class Changes:
    """How much one commit changes, in files and lines."""

    files: int
    insertions: int
    deletions: int


def merges(repo: Path, rev_range: str) -> list[str]:
    """The merge commits of a range: a series cannot hold them."""
    return line(repo, "rev-list", "--merges", "--end-of-options", rev_range, "--").split()


def format_patches(repo: Path, rev_range: str) -> list[bytes]:
    """The mails of a range, oldest first, as ``git format-patch`` writes them."""
    with tempfile.TemporaryDirectory(prefix="kvtools-") as scratch:
        git(repo, "format-patch", "--quiet", f"--output-directory={scratch}", "--numbered",
             "--subject-prefix=PATCH", "--no-cover-letter", "--no-base", "--no-attach",
             "--no-thread", "--no-signoff", "--no-notes", "--no-to", "--no-cc", "--no-signature",
             "--no-add-header", "--no-from", "--encode-email-headers", "--suffix=.patch",
             "--src-prefix=a/", "--dst-prefix=b/", "--unified=3", "--inter-hunk-context=0",
             "--find-renames", "-O/dev/null", "--binary", "--full-index", "--always",
             "--no-color", "--no-ext-diff", "--no-textconv", "--end-of-options", rev_range, "--",
             deadline=WRITE)
        return [file.read_bytes() for file in sorted(Path(scratch).iterdir())]


def log_subjects(repo: Path, rev_range: str) -> list[str]:
    """The subjects of a range, oldest first."""
    done = git(repo, "log", "--reverse", "--no-color", "--no-show-signature", "--format=%s",
                "--end-of-options", rev_range, "--")
    return done.text.splitlines()


def touched_files(repo: Path, commit: str) -> list[tuple[str, str | None, str | None]]:
    """(status, path before, path now) of the files a commit touches; status A, M, D, R or T."""
    words = iter(_diff_tree(repo, commit, "--name-status", "-z").text.split("\0"))
    found: list[tuple[str, str | None, str | None]] = []
    for status in words:
        if not status:
            continue
        first = next(words)
        if status[0] in "RC":
            found.append((status[0], first, next(words)))
        else:
            found.append((status[0], None if status == "A" else first,
                          None if status == "D" else first))
    return found


def touched_lines(repo: Path, commit: str) -> dict[str, tuple[tuple[int, int], ...]]:
    """New-side line ranges (first, last; from 1) that a commit adds or changes, by file."""
    return diff.new_ranges(diff_of(repo, commit))


def touched_lines_of(
    repo: Path, commits: Sequence[str]
) -> dict[str, dict[str, tuple[tuple[int, int], ...]]]:
    """:func:`touched_lines` of each of some full commit ids, by one git."""
    if not commits:
        return {}
    done = git(repo, *_DIFF_TREE, "--patch", "--unified=0", "--always", "--stdin",
               stdin="".join(f"{commit}\n" for commit in commits).encode())
    # No line of a diff is an id: each begins with a word, a sign or a blank.
    parts = re.split(rb"^([0-9a-f]{40,64})\n", done.stdout, flags=re.MULTILINE)[1:]
    diffs = {parts[n].decode(): parts[n + 1].lstrip(b"\n") for n in range(0, len(parts), 2)}
    return {commit: diff.new_ranges(diff.parse(diffs[commit])) for commit in commits}


def diff_of(repo: Path, commit: str) -> tuple[diff.FileDiff, ...]:
    """What a commit changes against its first parent, without lines of context."""
    return diff.parse(_diff_tree(repo, commit, "--patch", "--unified=0").stdout)


def changes(repo: Path, commit: str) -> Changes:
    """Files, inserted and deleted lines of a commit against its first parent."""
    files = insertions = deletions = 0
    for row in _diff_tree(repo, commit, "--numstat").text.splitlines():
        added, removed, _ = row.split("\t", 2)
        files += 1
        insertions += int(added) if added != "-" else 0
        deletions += int(removed) if removed != "-" else 0
    return Changes(files, insertions, deletions)


_DIFF_TREE = ("diff-tree", "-r", "--root", "--find-renames", "--inter-hunk-context=0",
              "--no-color", "--no-ext-diff", "--no-textconv", "-O/dev/null", "--src-prefix=a/",
              "--dst-prefix=b/", "-m", "--first-parent")


def _diff_tree(repo: Path, commit: str, *kind: str) -> process.Completed:
    return git(repo, *_DIFF_TREE, *kind, "--no-commit-id", commit)
