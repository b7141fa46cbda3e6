# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of a patch, of its objects and of a whole series: a folder each, see README.md."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

from kvtools.checks.declaration import FILE, Check, Scope, load
from kvtools.errors import ConfigError

__all__ = ["FILE", "OWN", "Check", "Scope", "available", "configured", "load"]

OWN = Path(__file__).parent
"""Where the checks of kvtools itself are."""


def configured(path: Path) -> list[Path]:
    """The folders that ``checks`` of a user's config.toml names. Raises ConfigError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    unknown = [key for key in data if key != "checks"]
    folders = data.get("checks", [])
    if unknown or not isinstance(folders, list) or not all(isinstance(f, str) for f in folders):
        raise ConfigError(f"{path}: " + (f"unknown key {unknown[0]!r}" if unknown else
                          "checks is not a list of strings"), fix='write checks = ["FOLDER"]')
    return [(path.parent / Path(one).expanduser()).resolve() for one in folders]


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
