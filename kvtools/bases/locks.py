# SPDX-License-Identifier: GPL-2.0-or-later
"""Locks between kvtools processes. The kernel frees them when their holder dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from kvtools.bases import room
from kvtools.events import Emit, Notice


@contextmanager
def held(file: Path, emit: Emit, what: str) -> Iterator[None]:
    """Hold the lock ``file``; while another process has it, wait and say which one.

    ``what`` names the locked thing in that Notice.
    """
    # Beside the lock: whoever tries to take a filelock truncates its file.
    holder = file.with_name(file.name + ".pid")
    lock = FileLock(file)
    with room.writing(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            emit(Notice(f"{what} is in use by {_who(holder)}; waiting for it to end"))
            lock.acquire(poll_interval=0.2)
    try:
        with room.writing(holder):
            holder.write_text(f"{os.getpid()}\n")
        yield
    finally:
        lock.release()


def _who(holder: Path) -> str:
    try:
        return f"pid {int(holder.read_text())}"
    except (OSError, ValueError):
        return "another kvtools"
