# SPDX-License-Identifier: GPL-2.0-or-later
"""How much a confined step may use, and a watch that tells when it uses more.

``setrlimit`` bounds one process and, for root, not their number; a control group needs
rights that a container often lacks. So what all processes of a step use together is
measured from outside, and whoever watches ends the whole step at once.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

GIB = 1 << 30
PAGE = os.sysconf("SC_PAGE_SIZE")
LOOK = 0.1  # seconds between two looks at the processes
WALK_SHARE = 10  # walking the written directories takes at most a tenth of the time


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one step: ``memory``, ``disk`` (what it adds) and ``file`` (one of them) in bytes.

    ``tasks`` counts processes and threads. ``reserve``: bytes of memory that this machine
    keeps available, whoever uses it.
    """

    memory: int
    tasks: int = 2048
    disk: int = 8 * GIB
    file: int = 4 * GIB
    reserve: int = GIB // 8


def default_limits() -> Limits:
    """Three quarters of this machine's memory; the rest as in :class:`Limits`."""
    return Limits(memory=3 * PAGE * os.sysconf("SC_PHYS_PAGES") // 4)


def apply(limits: Limits, *, address_space: bool) -> None:
    """Bound this process and all it starts. An emulator maps far more than it touches, so
    it goes without ``address_space``.
    """
    bounds = [(resource.RLIMIT_FSIZE, limits.file), (resource.RLIMIT_CORE, 0)]
    if address_space:
        bounds.append((resource.RLIMIT_AS, limits.memory))
    for kind, most in bounds:
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


@dataclass(frozen=True, slots=True)
class Use:
    """Tasks and bytes of memory of a process and all below it."""

    tasks: int
    memory: int


def use_of(pid: int, proc: Path = Path("/proc")) -> Use:
    """What a process and all its descendants use. In a process namespace nobody gets away:
    orphans go to the init of the namespace, which is a descendant too.
    """
    children: dict[int, list[int]] = {}
    used: dict[int, Use] = {}
    for name in os.listdir(proc):  # noqa: PTH208 - ten times a second
        if not name.isdigit():
            continue
        try:
            stat = (proc / name / "stat").read_bytes()
        except OSError:
            continue
        # The name in parentheses may hold anything, a closing one included.
        words = stat[stat.rindex(b")") + 2 :].split()
        children.setdefault(int(words[1]), []).append(int(name))
        used[int(name)] = Use(int(words[17]), int(words[21]) * PAGE)
    tasks, memory, left = 0, 0, [pid]
    while left:
        one = left.pop()
        here = used.get(one, Use(0, 0))
        tasks, memory = tasks + here.tasks, memory + here.memory
        left += children.get(one, ())
    return Use(tasks, memory)


def size_of(directories: Sequence[Path]) -> int:
    """Bytes on the disk of all files below; those that vanish meanwhile do not count."""
    total, left = 0, [str(d) for d in directories]
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    try:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            left.append(entry.path)
                    except OSError:
                        continue
        except OSError:
            continue
    return total


def available(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes of memory that this machine can still give."""
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 1 << 62


class Watch:
    """Looks at one step now and then. ``written`` are the directories that it writes to."""

    def __init__(self, limits: Limits, written: Sequence[Path]) -> None:
        self._limits, self._written = limits, written
        self._next_look = 0.0
        self._next_walk = 0.0
        self._start = size_of(written)
        self._free = self._room()

    def _room(self) -> int:
        states = [os.statvfs(path) for path in self._written]
        return min((s.f_bavail * s.f_frsize for s in states), default=0)

    def over(self, pid: int) -> str:
        """What ``pid`` and its descendants use too much of, in words; empty while all is well."""
        now = time.monotonic()
        if now < self._next_look:
            return ""
        used = use_of(pid)
        self._next_look = time.monotonic() + max(LOOK, 3 * (time.monotonic() - now))
        if used.tasks > self._limits.tasks:
            return f"more than {self._limits.tasks} processes"
        if used.memory > self._limits.memory:
            return f"more than {self._limits.memory >> 20} MiB of memory"
        return self.disk_over()

    def disk_over(self, *, now: bool = False) -> str:
        """The same for the disk; ``now``: whether or not it is time for it."""
        begun = time.monotonic()
        lost = self._free - self._room()
        if not now and begun < self._next_walk and lost < self._limits.disk // 2:
            return ""
        grown = size_of(self._written) - self._start
        self._next_walk = time.monotonic() + max(1.0, WALK_SHARE * (time.monotonic() - begun))
        self._free = max(self._room(), self._free - self._limits.disk // 2)
        return f"more than {self._limits.disk >> 20} MiB of disk" if grown > self._limits.disk \
            else ""

    def scarce(self) -> bool:
        """Whether this machine has no memory left to give, whoever has it."""
        return available() < self._limits.reserve
