# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of a patch, of its objects and of a whole series: a folder each, see README.md."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kvtools.checks.declaration import FILE, Check, Scope, load
from kvtools.errors import ConfigError

__all__ = ["FILE", "OWN", "Check", "Scope", "available", "load"]

OWN = Path(__file__).parent
"""Where the checks of kvtools itself are."""


def available(more: Iterable[Path] = ()) -> tuple[Check, ...]:
    """Our checks and those in the folders ``more``, the cheapest first.

    A folder of the name of one of ours takes its place. Raises ConfigError.
    """
    found = {path.parent.name: load(path.parent) for path in OWN.glob(f"*/{FILE}")}
    extra: dict[str, Path] = {}
    for folder in more:
        if extra.setdefault(folder.name, folder) != folder:
            raise ConfigError(f"two checks are called {folder.name}: {extra[folder.name]} and "
                              f"{folder}", fix="rename one of the folders")
        found[folder.name] = load(folder)
    return tuple(sorted(found.values(), key=lambda check: (check.cost, check.name)))
