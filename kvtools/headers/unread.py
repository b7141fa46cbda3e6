# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether make has anything to do after an edit: nothing of what it reads has changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from kvtools.git.command import git as run
from kvtools.headers.commands import Product

_TEXT = frozenset({".rst", ".txt"})
_WORDS = frozenset({"MAINTAINERS", "CREDITS", ".mailmap"})
_CODE = frozenset({".c", ".h"})
# Their files are read by more than .cmd files tell of: programs of the build, rules of their own.
_BY_OTHERS = ("scripts/", "tools/", "usr/", "certs/", "samples/")
_NEVER = "tools/testing/selftests/"


def all_unread(changed: Mapping[str, str], made: Iterable[Product], source: Path) -> bool:
    """Whether no product can have read one of the ``changed`` files (path to git's letter).

    Of code edited files alone: one that is added or removed may be looked for by a rule or by
    an include. Whatever is not known to be unread counts as read.
    """
    code = []
    for name, status in changed.items():
        path = PurePosixPath(name)
        if name.startswith(_NEVER) or name in _WORDS:
            continue
        if name.startswith("Documentation/") and path.suffix in _TEXT:
            continue
        if status != "M" or (source / name).is_symlink():
            return False
        if path.suffix not in _CODE or "/uapi/" in name or name.startswith(_BY_OTHERS):
            return False
        code.append(name)
    if next(_readers(code, made, source), None):
        return False
    return not any(in_makefiles(source, Path(name).name) for name in code)


def stale(changed: Iterable[str], made: Iterable[Product], source: Path) -> set[str]:
    """The objects that make finds older than a file of ``changed``, by its .cmd files."""
    return {p.target for p in _readers(changed, made, source) if p.target.endswith(".o")}


def _readers(names: Iterable[str], made: Iterable[Product], source: Path) -> Iterator[Product]:
    places = {os.path.normpath((source / name).absolute()) for name in names}
    return (product for product in made if not places.isdisjoint(product.deps))


def in_makefiles(source: Path, name: str) -> bool:
    """Whether a rule may depend on a file of that name without a .cmd file telling so.

    The Kbuild files of include directories list headers to wrap, whatever is in them.
    """
    done = run(source, "grep", "-l", "-w", "-F", "-e", name, "HEAD", "--", ":(glob)**/Makefile*",
               ":(glob)**/Kbuild*", ":(glob)**/*.mk", ":(glob)scripts/*.sh",
               ":(exclude,glob)**/include/**/Kbuild", ":(exclude)tools",
               ":(exclude)Documentation", check=False)
    return done.returncode != 1
