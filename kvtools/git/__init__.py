# SPDX-License-Identifier: GPL-2.0-or-later
"""The git binary: reading trees, worktrees of our own, applying patches.

Nothing here but :func:`identity` follows the user's or the system's git configuration, runs
a hook, or writes into a repository that is not ours: :func:`borrow` makes one that reads
another's objects.
"""

from kvtools.git.apply import Applied, Conflict, am
from kvtools.git.command import environment
from kvtools.git.history import (
    Changes,
    changes,
    diff_of,
    format_patches,
    log_subjects,
    merges,
    touched_files,
    touched_lines,
    touched_lines_of,
)
from kvtools.git.identity import identity
from kvtools.git.ranges import Revision, between, described, is_ancestor, merge_bases, revert
from kvtools.git.repository import (
    archive,
    blob,
    borrow,
    checkout,
    commit_all,
    commits_there,
    common_dir,
    content,
    ids_of,
    init,
    is_repository,
    rev_parse,
    show,
    tree_of,
    worktree_add,
)

__all__ = [
    "Applied",
    "Changes",
    "Conflict",
    "Revision",
    "am",
    "archive",
    "between",
    "blob",
    "borrow",
    "changes",
    "checkout",
    "commit_all",
    "commits_there",
    "common_dir",
    "content",
    "described",
    "diff_of",
    "environment",
    "format_patches",
    "identity",
    "ids_of",
    "init",
    "is_ancestor",
    "is_repository",
    "log_subjects",
    "merge_bases",
    "merges",
    "rev_parse",
    "revert",
    "show",
    "touched_files",
    "touched_lines",
    "touched_lines_of",
    "tree_of",
    "worktree_add",
]
