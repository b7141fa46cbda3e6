# SPDX-License-Identifier: GPL-2.0-or-later
"""``boot``: the kernel reaches user space with the memory and the CPUs it was given."""

from __future__ import annotations

from collections.abc import Iterator

from kvtools.scenarios import machines
from kvtools.scenarios.base import Guest, Scenario, Subtest, subtest
from kvtools.vng import MIB

# Of 512 MiB the kernel itself, its page structs and the firmware keep about 80 MiB.
LEAST_SHARE = 0.7


def _check(guest: Guest) -> Iterator[Subtest]:
    release = guest.hello.release if guest.hello else ""
    yield subtest(
        "init",
        bool(release),
        f"user space reached with Linux {release}",
        boot_seconds=round(guest.boot_seconds, 2),
        uptime=guest.hello.uptime if guest.hello else None,
    )
    given = guest.machine.memory
    total = guest.meminfo().get("MemTotal", 0)
    yield subtest(
        "memory",
        LEAST_SHARE * given <= total <= given,
        f"MemTotal {total // MIB} MiB of {given // MIB} MiB",
        total=total,
        given=given,
    )
    answer = guest.sh("grep -c ^processor /proc/cpuinfo").text.strip()
    yield subtest(
        "cpus",
        answer == str(guest.machine.cpus),
        f"{answer or 'no'} CPUs online of {guest.machine.cpus}",
        online=answer,
    )


def scenario() -> Scenario:
    return Scenario(
        name="boot",
        version=1,
        needs=(),
        machine=machines.load("plain"),
        deadline=60.0,
        check=_check,
    )
