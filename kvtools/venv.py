# SPDX-License-Identifier: GPL-2.0-or-later
"""The virtual environment that ``./kv`` keeps: whether it is finished and still right."""

from __future__ import annotations

import os
from pathlib import Path

LOCK = "kvtools.lock"  # also the sign that the directory is ours to clear
STAMP = "kvtools.stamp"


def stamp(root: Path, place: Path) -> bytes:
    """What a finished installation into ``place`` was made from.

    The clone's place (an editable install and the programs' first lines name it), the
    interpreter behind the virtual environment, and the whole of pyproject.toml.
    """
    head = f"{root}\n{place}\n{python(place).resolve()}\n"
    return os.fsencode(head) + (root / "pyproject.toml").read_bytes()


def is_fresh(root: Path, place: Path) -> bool:
    """Whether the last installation was finished and is still what it should be."""
    try:
        done = (place / STAMP).read_bytes()
    except OSError:
        return False
    return done == stamp(root, place) and os.access(python(place), os.X_OK)


def python(place: Path) -> Path:
    return place / "bin/python"
