# SPDX-License-Identifier: GPL-2.0-or-later
"""How xdist shares out the tests: those of kernels together, the others one by one.

And where the unit tests have their files: in memory, where there is enough of it.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

KERNEL = "tests/kernel/"
MEMORY = Path("/dev/shm")
ENOUGH = 4 << 30  # the unit tests have 70 MB there at the most: nobody is to be short of it


def pytest_configure(config: pytest.Config) -> None:
    """Thousands of small trees are made and removed: a fifth of the time, on a disk.

    Not with the kernel tests, whose dumps have gigabytes. What the user says comes first.
    """
    # A shell starts what it puts into the background with SIGINT ignored, and that is handed on
    # to every program that a test starts, to see it interrupted.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    said = any(os.environ.get(name) for name in ("PYTEST_DEBUG_TEMPROOT", "TMPDIR"))
    if not said and config.option.markexpr == "not kernel" and _room() >= ENOUGH:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(MEMORY)


def _room() -> int:
    """What can be written there. A file system of another type is a stranger's: leave it."""
    try:
        mounts = Path("/proc/self/mounts").read_text(errors="replace").splitlines()
        memory = dict(line.split()[:2] for line in Path("/proc/meminfo").read_text().splitlines())
        if not any(line.split()[1:3] == [str(MEMORY), "tmpfs"] for line in mounts):
            return 0
        if not os.access(MEMORY, os.W_OK | os.X_OK):
            return 0
        return min(shutil.disk_usage(MEMORY).free, int(memory["MemAvailable:"]) << 10)
    except (OSError, KeyError, ValueError):
        return 0


@pytest.hookimpl(trylast=True)  # where the kernel tests have their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, or the last of them runs alone while the other processors wait."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the garbage collector need not look at it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Kernel tests share kernels that are built one at a time: one process takes them in order.

    Not by marks and ``--dist loadgroup``: xdist 3.8 does not group under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling  # only there when xdist is in use

    # mypy knows nothing of xdist, which has no types
    class KernelsTogether(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return KERNEL if nodeid.startswith(KERNEL) else nodeid

    return KernelsTogether(config, log)
