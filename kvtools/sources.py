# SPDX-License-Identifier: GPL-2.0-or-later
"""Our own sources as part of what an outcome depends on: another judge, another verdict."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).parent


@functools.cache
def code_digest(*names: str) -> str:
    """SHA-256 over the modules and packages of kvtools of those names.

    Read once per process, which runs what it once read.
    """
    return digest_of(PACKAGE, files_of(PACKAGE, names))


def files_of(package: Path, names: Iterable[str]) -> list[Path]:
    """The Python files of modules (``dmesg.py``) and packages (``scenarios``), sorted."""
    found: set[Path] = set()
    for name in names:
        place = package / name
        found.update(place.rglob("*.py") if place.is_dir() else (place,))
    return sorted(found)


def digest_of(folder: Path, files: Iterable[Path]) -> str:
    """SHA-256 over names below ``folder``, execute bits and contents."""
    found = hashlib.sha256()
    for path in sorted(files):
        data = path.read_bytes()
        executable = bool(path.stat().st_mode & 0o100)
        found.update(f"{path.relative_to(folder)}\0{executable}\0{len(data)}\0".encode())
        found.update(data)
    return found.hexdigest()
