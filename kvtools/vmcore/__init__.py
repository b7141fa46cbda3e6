# SPDX-License-Identifier: GPL-2.0-or-later
"""Crash dumps: what a dump file holds, read by ourselves. Pure but for :func:`open_dump`."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kvtools.vmcore import elfcore, flattened, kdump
from kvtools.vmcore.damaged import Damaged
from kvtools.vmcore.elfcore import ElfCore
from kvtools.vmcore.info import Vmcoreinfo
from kvtools.vmcore.kdump import KdumpFile
from kvtools.vmcore.memmap import Dump, Memmap, Untold
from kvtools.vmcore.pages import PAGE

__all__ = [
    "PAGE",
    "Damaged",
    "Dump",
    "ElfCore",
    "KdumpFile",
    "Memmap",
    "Untold",
    "Vmcoreinfo",
    "open_dump",
    "unflatten",
]


@contextmanager
def open_dump(
    path: Path, *, more: Mapping[kdump.Flags, kdump.Decompress] | None = None
) -> Iterator[ElfCore | KdumpFile]:
    """A dump file of any kind but flattened. Raises Damaged, also for an absent or empty one."""
    try:
        with path.open("rb") as file:
            whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: empty
        raise Damaged(f"no dump {path.name}: {error}") from error
    with whole:
        data: bytes = whole  # type: ignore[assignment]  # everything asked of it bytes do too
        if whole[:6] == elfcore.MAGIC:
            yield ElfCore(data)
        else:
            yield KdumpFile(data, more=more)


def unflatten(source: Path, target: Path) -> None:
    """Write the dump that ``source`` describes in flattened format. Raises Damaged."""
    with source.open("rb") as read, target.open("wb") as write:
        flattened.rearrange(read, write)
