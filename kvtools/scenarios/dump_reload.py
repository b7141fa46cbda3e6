# SPDX-License-Identifier: GPL-2.0-or-later
"""``dump.reload``: what a crash dump has of memory that was plugged after ``kexec -p``.

The ranges that a crash kernel dumps are fixed when it is loaded. One crash answers for both
ways: some memory is plugged while a script that stands for the udev rule of kdump.service
loads the crash kernel again on the kernel's own uevents, more after that script has ended.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kvtools.scenarios import dump_kdump, dump_state, machines, memory
from kvtools.scenarios.base import GUEST, Guest, Scenario, Subtest, Unanswered, subtest
from kvtools.scenarios.dump_state import State
from kvtools.vmcore import Dump, open_dump, pages
from kvtools.vng import MIB

WITH_RULE, WITHOUT = 132 * MIB, 288 * MIB  # sections of 128 MiB: two are begun, then a third
HOW = "-c"  # kexec_load: kexec-tools reads the ranges from /proc/iomem
LEVEL = 23  # no free pages, no zeroes, no cache; user data, where the canaries are
RULE_DEADLINE = 15.0
_RULE_SAYS = "/run/kvtools/rule"


@dataclass(frozen=True, slots=True)
class _Part:
    """Memory plugged in one way: its pages, and the canaries in it."""

    plugged: int
    canaries: Mapping[int, int]


def _check(guest: Guest) -> Iterator[Subtest]:
    dump_state.load(guest, HOW)
    rule = _start_rule(guest)
    total = dump_state.resize(guest, WITH_RULE)
    yield _loaded_by_rule(guest)
    device = guest.qmp.memory_device(guest.machine.virtio_mem[0].name)
    with_rule = dump_state.plugged_map(guest, device)
    known = _online(guest, device.address, device.address + device.region)
    guest.sh(f"kill {rule}")
    dump_state.resize(guest, WITHOUT, total)
    # Only in what was plugged first: the kernel hands out the last memory last.
    state = dump_state.look(guest, pages.runs(with_rule)[:1])
    after = state.plugged & ~known
    hotplug = guest.sh("cat /sys/devices/system/memory/crash_hotplug").text.strip() == "1"
    dump_kdump.plan(guest, {LEVEL: "lzo"})
    guest.crash(dump_kdump.CRASH_DEADLINE)
    run = dump_kdump.written(guest, f"level-{LEVEL}")
    if run.status != 0:
        yield subtest("makedumpfile", False, run.complaint)
        return
    with open_dump(guest.share / f"level-{LEVEL}.kdump") as dump:
        yield _by_rule(dump, state, _part(with_rule, state))
        yield _not_reloaded(dump, state, _part(after, state), hotplug)


def _start_rule(guest: Guest) -> str:
    """The process id of the listener, once it listens."""
    loader = ["sh", str(GUEST / "kdump-load.sh"), HOW]
    words = shlex.join([str(dump_state.compiled(guest, "kdump-rule")), *loader])
    start = f"setsid {words} </dev/null >{_RULE_SAYS} 2>&1 & echo $!"
    pid, *lines = guest.sh(f"{start}\n{_until('?*')}", RULE_DEADLINE).text.splitlines() or [""]
    if lines[:1] != ["listening"]:
        raise Unanswered("rule", f"the listener does not start: {_rule(guest)[-1:]}")
    return pid


def _until(last: str) -> str:
    """A script that ends when the listener's last line matches a glob, and prints all lines.

    It waits in the guest: under TCG every question from outside takes the processor from
    what it asks about.
    """
    return (
        f"while said= && while read -r line; do said=$line; done <{_RULE_SAYS}; "
        f"case $said in {last}) false ;; esac; do sleep 0.3; done; cat {_RULE_SAYS}"
    )


def _rule(guest: Guest) -> list[str]:
    return guest.sh(f"cat {_RULE_SAYS}").text.splitlines()


def _loaded_by_rule(guest: Guest) -> Subtest:
    """The rule loaded the crash kernel after the last event it saw."""
    said = guest.sh(_until("loaded*"), RULE_DEADLINE)
    lines = said.text.splitlines() if said.ok else _rule(guest)
    met = lines[-1].startswith("loaded")
    events = [line for line in lines if line.startswith("event")]
    loads = [line for line in lines if line.startswith("loaded")]
    return subtest(
        "rule",
        met,
        f"{len(events)} memory uevents (online, offline), the crash kernel was loaded again "
        f"{len(loads)} times" + ("" if met else f"; last: {lines[-1]}"),
        events=events,
        loads=len(loads),
    )


def _online(guest: Guest, start: int, end: int) -> int:
    """The pages of online blocks between two addresses."""
    view = memory.look(guest)
    return pages.spans(
        (block * view.block_size, (block + 1) * view.block_size)
        for block in view.online_in(start, end)
    )


def _part(plugged: int, state: State) -> _Part:
    return _Part(plugged, {f: i for f, i in state.canaries.items() if plugged >> f & 1})


def _by_rule(dump: Dump, state: State, part: _Part) -> Subtest:
    missing = part.plugged & ~dump.present
    bad = [f for f in part.canaries if dump.page(f) != state.content(f)]
    return subtest(
        "reload-by-rule",
        bool(part.plugged and part.canaries) and not missing and not bad,
        f"the dump has {_of(part.plugged & dump.present, part.plugged)} pages plugged before the "
        f"rule loaded, {len(part.canaries) - len(bad)} of {len(part.canaries)} canaries in them",
        **_figures(dump, part),
    )


def _not_reloaded(dump: Dump, state: State, part: _Part, hotplug: bool) -> Subtest:
    """All of it or nothing; all where the kernel keeps the ranges itself (crash_hotplug)."""
    present = part.plugged & dump.present
    read = [f for f in part.canaries if dump.page(f) == state.content(f)]
    whole = present == part.plugged and len(read) == len(part.canaries)
    how = (
        "the kernel keeps its ranges itself (crash_hotplug)"
        if hotplug
        else "a reload is needed"
        if not present
        else "though nobody loaded the crash kernel again"
    )
    return subtest(
        "no-reload",
        bool(part.plugged) and (whole if hotplug else whole or not (present or read)),
        f"the dump has {_of(present, part.plugged)} pages plugged after the last load, "
        f"{len(read)} of {len(part.canaries)} canaries in them: {how}",
        crash_hotplug=hotplug,
        **_figures(dump, part),
    )


def _of(some: int, whole: int) -> str:
    return f"{pages.count(some)} of {pages.count(whole)}"


def _figures(dump: Dump, part: _Part) -> dict[str, int]:
    return {
        "plugged_pages": pages.count(part.plugged),
        "present_pages": pages.count(part.plugged & dump.present),
        "written_pages": pages.count(part.plugged & dump.dumped & ~dump.shared),
    }


def reload() -> Scenario:
    return Scenario(
        name="dump.reload",
        version=1,
        needs=(*dump_kdump.NEEDS, "KEXEC"),
        machine=machines.load("dump-one-cpu"),
        deadline=150.0,
        check=_check,
        files=(memory.FLAGS_SOURCE,),
        programs=("kexec", "makedumpfile"),
    )
