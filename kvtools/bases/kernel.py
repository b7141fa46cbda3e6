# SPDX-License-Identifier: GPL-2.0-or-later
"""Recognising a kernel tree and its version, in a directory or in a commit."""

from __future__ import annotations

import re
from pathlib import Path

from kvtools import git
from kvtools.errors import UserError

# What every tree since 2.6 has; scripts/get_maintainer.pl looks for these and more.
FILES = ("Kbuild", "Kconfig", "MAINTAINERS", "Makefile")
_FIELD = re.compile(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)", re.MULTILINE)


def version(makefile: str) -> str | None:
    """``6.1.192`` or ``6.2.0-rc3`` from a kernel's top Makefile, None if it is not one."""
    fields: dict[str, str] = dict(_FIELD.findall(makefile))
    numbers = [fields.get(name, "") for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    if not all(number.isdigit() for number in numbers):
        return None
    return ".".join(numbers) + fields.get("EXTRAVERSION", "")


def is_kernel_tree(path: Path) -> bool:
    """True for the top directory of a kernel's source."""
    if not all((path / name).is_file() for name in FILES):
        return False
    return version((path / "Makefile").read_text(encoding="utf-8", errors="replace")) is not None


def version_at(repo: Path, commit: str) -> str | None:
    """The kernel's version at a commit, None when it does not hold a kernel tree."""
    try:
        for name in FILES[:-1]:
            git.show(repo, commit, name)
        return version(git.show(repo, commit, "Makefile").decode("utf-8", "replace"))
    except UserError:
        return None
