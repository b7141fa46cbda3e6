# SPDX-License-Identifier: GPL-2.0-or-later
"""What a confined step left behind, made harmless before anybody reads it."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def disarm(directory: Path) -> tuple[str, ...]:
    """Keep plain files and directories, none of them executable or setuid; the names removed.

    A symbolic link would make whoever reads a log read another file, a FIFO make him wait. Call
    it when no process of the step is left.
    """
    removed: list[str] = []
    for where, directories, files, handle in os.fwalk(directory, follow_symlinks=False):
        gone: set[str] = set()
        for name in (*directories, *files):
            mode = os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
                plain = 0o755 if stat.S_ISDIR(mode) else 0o644
                if stat.S_IMODE(mode) != plain:
                    os.chmod(name, plain, dir_fd=handle)
                continue
            os.unlink(name, dir_fd=handle)
            gone.add(name)
        removed += [str((Path(where) / name).relative_to(directory)) for name in sorted(gone)]
        directories[:] = [name for name in directories if name not in gone]
    return tuple(removed)
