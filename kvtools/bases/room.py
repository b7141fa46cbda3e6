# SPDX-License-Identifier: GPL-2.0-or-later
"""Room on the disk, asked for before it is used."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kvtools.errors import MachineError

GB = 1_000_000_000
FIX = "make room, or set KVTOOLS_HOME to a directory on a roomier disk"


def need(place: Path, size: int, what: str) -> None:
    """Raise MachineError unless the disk that will hold ``place`` has ``size`` bytes free."""
    there = place
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < size:
        raise MachineError(
            f"{what} needs {size / GB:.1f} GB in {place}, and {free / GB:.1f} GB are free", fix=FIX
        )


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn what the file system refuses below ``place`` into a MachineError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise full(place, "writing") from error
        raise MachineError(f"cannot write {error.filename or place}: {error.strerror}") from error


def full(place: Path, what: str) -> MachineError:
    """The error to raise when the disk filled up after all."""
    return MachineError(f"disk full in {place} while {what}", fix=FIX)
