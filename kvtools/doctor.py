# SPDX-License-Identifier: GPL-2.0-or-later
"""What is missing or slow on this machine, and the line that mends it."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from kvtools import accel, bases, bwrap, packages, paths, process
from kvtools.errors import KvtoolsError
from kvtools.packages import Package

GIB = 1 << 30
ROOM_FIRST = 8 * GIB  # a tree and its worktrees 5 GB, objects, ccache, modules
ROOM_LATER = 2 * GIB
MEMORY_LEAST = 2 * GIB
MEMORY_GOOD = 4 * GIB  # a guest with a plugged device, and two compilers beside it
GIT_LEAST = (2, 32)  # GIT_CONFIG_GLOBAL
QEMU_LEAST = (5, 1)  # virtio-mem-pci
QUICK = 30.0


class Health(StrEnum):
    """``absent``: some things need it, the series test does not."""

    OK = "ok"
    SLOW = "slow"
    ABSENT = "absent"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line of the doctor: ``what`` was found, and ``mend``, a command or an advice."""

    name: str
    status: Health
    what: str
    mend: str = ""


def examine() -> tuple[Diagnosis, ...]:
    """Everything, in the order in which it is needed. Runs QEMU for up to 10 s."""
    where = packages.here()
    root = paths.data()
    needed = packages.parse((root / "kbuild/packages.toml").read_text("utf-8"))
    found = [_python(), *_packages(needed, where, packages.present)]
    checks: list[tuple[str, Callable[[], Diagnosis]]] = [
        ("git", lambda: version("git", ["git", "--version"], GIT_LEAST)),
        ("qemu", lambda: version("qemu", ["qemu-system-x86_64", "--version"], QEMU_LEAST)),
        ("virtme-ng", lambda: version("virtme-ng", ["vng", "--version"], (1, 31))),
        ("confinement", confinement),
        ("acceleration", lambda: acceleration(accel.probe())),
        ("base", lambda: base(bases.names())),
        ("disk", lambda: _disk(paths.home())),
        ("memory", lambda: memory(Path("/proc/meminfo").read_text())),
        ("processors", lambda: processors(len(os.sched_getaffinity(0)))),
    ]
    return (*found, *(_guarded(name, check) for name, check in checks))


def _guarded(name: str, check: Callable[[], Diagnosis]) -> Diagnosis:
    try:
        return check()
    except KvtoolsError as error:
        return Diagnosis(name, Health.MISSING, error.message, error.fix)


def _python() -> Diagnosis:
    # ./kv and pip refuse older ones: there is nothing left to compare here.
    return Diagnosis("python", Health.OK, f"{platform.python_version()} in {sys.prefix}")


def _packages(
    needed: Iterable[Package], where: str, present: Callable[[Package], bool]
) -> list[Diagnosis]:
    """One line for each that is not here; one for all that are."""
    here = [entry for entry in needed if present(entry)]
    lacking = [entry for entry in needed if entry not in here]
    worst = {"required": Health.MISSING, "speed": Health.SLOW}
    lacking.sort(key=lambda entry: packages.LEVELS.index(entry.level))
    found = [Diagnosis("programs", Health.OK, ", ".join(entry.key for entry in here))]
    for entry in lacking:
        command = packages.install_args(where, packages.names([entry], where))
        mend = "sudo " + shlex.join(command) if command and entry.names.get(where) else ""
        found.append(
            Diagnosis(
                entry.key,
                worst.get(entry.level, Health.ABSENT),
                f"not found; needed for: {entry.why}",
                mend or "install it; Debian calls it " + entry.names.get("debian", entry.key),
            )
        )
    return found


def version(name: str, argv: list[str], least: tuple[int, ...]) -> Diagnosis:
    """Whether a program runs at all and is not too old. Raises as :func:`process.run`."""
    text = process.run(argv, deadline=QUICK, merge=True).text
    number = re.search(r"\d+(\.\d+)+", text)
    if number is None:
        return Diagnosis(name, Health.MISSING, f"`{shlex.join(argv)}` names no version")
    wanted = ".".join(map(str, least))
    if tuple(map(int, number[0].split("."))) < least:
        return Diagnosis(
            name, Health.MISSING, f"{number[0]} is too old", f"install {wanted} or newer"
        )
    return Diagnosis(name, Health.OK, f"{number[0]} (at least {wanted})")


def confinement() -> Diagnosis:
    """Whether an untrusted series can be run here: tried, bwrap may be there and not work."""
    try:
        bwrap.probe()
    except KvtoolsError as error:
        return Diagnosis("confinement", Health.ABSENT, error.message, error.fix)
    return Diagnosis("confinement", Health.OK, "bwrap confines an untrusted series")


def acceleration(found: accel.Accel) -> Diagnosis:
    """``found`` of :func:`accel.probe`."""
    if found.name == "kvm":
        return Diagnosis("acceleration", Health.OK, f"KVM: {found.reason}")
    mend = "turn virtualization on in the firmware (in a guest: nested virtualization)"
    if "group kvm" in found.reason:
        mend = 'sudo usermod -aG kvm "$USER", and log in again'
    elif "load kvm" in found.reason:
        mend = "sudo modprobe -a kvm_intel kvm_amd"
    what = f"TCG, guests run several times slower: {found.reason}"
    return Diagnosis("acceleration", Health.SLOW, what, mend)


def base(known: Iterable[bases.BaseInfo]) -> Diagnosis:
    """Whether the default kernel tree is prepared."""
    for info in known:
        if info.default:
            if info.commit:
                what = f"{info.name} {info.version} at {info.commit[:12]}"
                return Diagnosis("base", Health.OK, what)
            what = f"{info.name} is not prepared: the next run does that first (a minute or two)"
            return Diagnosis("base", Health.SLOW, what, "./kv base prepare")
    return Diagnosis("base", Health.MISSING, "kbuild/bases names no default")


def _disk(home: paths.Home) -> Diagnosis:
    room, where = home.cache, _existing(home.cache)
    for place in (home.cache, home.state):
        if not os.access(_existing(place), os.W_OK | os.X_OK):
            mend = "set KVTOOLS_HOME to a directory of your own"
            return Diagnosis("disk", Health.MISSING, f"cannot write {place}", mend)
    values = os.statvfs(where)
    used = (home.cache / "bases").is_dir()
    return disk(room, values.f_bavail * values.f_frsize, ROOM_LATER if used else ROOM_FIRST)


def _existing(place: Path) -> Path:
    while not place.exists():
        place = place.parent
    return place


def disk(place: Path, free: int, need: int) -> Diagnosis:
    """``free`` and ``need`` in bytes."""
    what = f"{free / GIB:.1f} GiB free for {place}"
    if free >= need:
        return Diagnosis("disk", Health.OK, what)
    mend = "make room, or set KVTOOLS_HOME to a directory on another disk"
    return Diagnosis("disk", Health.MISSING, f"{what}, {need / GIB:.0f} are needed", mend)


def memory(meminfo: str) -> Diagnosis:
    """``meminfo``: the text of /proc/meminfo, in KiB."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.M)
    if found is None:
        return Diagnosis("memory", Health.MISSING, "/proc/meminfo has no MemAvailable")
    free = int(found[1]) << 10
    what = f"{free / GIB:.1f} GiB available"
    if free < MEMORY_LEAST:
        return Diagnosis("memory", Health.MISSING, what, "2 GiB are needed: close something")
    if free < MEMORY_GOOD:
        return Diagnosis("memory", Health.SLOW, what, "with less than 4 GiB builds may swap")
    return Diagnosis("memory", Health.OK, what)


def processors(count: int) -> Diagnosis:
    """``count``: those this process may run on."""
    if count < 2:
        return Diagnosis("processors", Health.SLOW, "1: a full build takes about ten minutes")
    return Diagnosis("processors", Health.OK, f"{count}")
