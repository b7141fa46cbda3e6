# SPDX-License-Identifier: GPL-2.0-or-later
"""``dump.kdump``: the guest panics and its crash kernel dumps it with makedumpfile.

Four levels in one crash kernel. The uncompressed one gives our own counts of zero, free and
offline pages, against which the others are held.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from kvtools import makedumpfile
from kvtools.makedumpfile import Written
from kvtools.model import Status
from kvtools.scenarios import dump_checks, dump_state, machines, memory
from kvtools.scenarios.base import Guest, Scenario, Subtest, Unanswered, subtest
from kvtools.scenarios.dump_checks import Facts
from kvtools.vmcore import ElfCore, open_dump, pages

NEEDS = ("VIRTIO_MEM", "MEMORY_HOTPLUG", "KEXEC_FILE", "PROC_VMCORE", "CRASH_DUMP", "MAGIC_SYSRQ")
CRASH_DEADLINE = 60.0
# Compression costs most under TCG: none where everything is written, zlib where the least is.
METHODS = {0: "", 1: "lzo", 16: "lzo", 31: "zlib"}


def _check(guest: Guest) -> Iterator[Subtest]:
    state = dump_state.prepare(guest)
    dump_state.load(guest, "-s")
    plan(guest, METHODS)
    seconds = guest.crash(CRASH_DEADLINE)
    facts = Facts(state, guest.hello.release if guest.hello else "", twice=described_twice(guest))
    yield arrived(guest, seconds, facts)
    for number in dump_checks.LEVELS:
        facts, result = checked(guest, number, facts)
        yield result
        if number == 0:
            yield from dump_checks.uncountable(facts.structs)


def plan(guest: Guest, methods: Mapping[int, str]) -> None:
    """Tell the crash kernel what to write: level to way to compress, see ``kdump-init.sh``."""
    has = ("", *makedumpfile.methods(makedumpfile.version()))
    lines = []
    for number, method in methods.items():
        options = makedumpfile.options(number, method if method in has else "zlib")
        lines.append(" ".join([f"level-{number}", *options]))
    (guest.share / "plan").write_text("\n".join(lines) + "\n")


def headers(guest: Guest) -> ElfCore:
    """The beginning of /proc/vmcore. Raises Damaged."""
    path = guest.share / "headers"
    return ElfCore(path.read_bytes() if path.exists() else b"", headers_only=True)


def described_twice(guest: Guest) -> int:
    """Pages in more than one PT_LOAD: the kernel's text has one of its own."""
    core = headers(guest)
    total = sum(pages.count(pages.span(s.start, s.end)) for s in core.segments)
    return total - pages.count(core.present)


def arrived(guest: Guest, seconds: float, facts: Facts) -> Subtest:
    """The crash kernel came to its end, and /proc/vmcore has what was plugged before kexec."""
    core = headers(guest)
    missing = facts.state.plugged & ~core.present
    done = (guest.share / "done").exists()
    return subtest(
        "crash-kernel",
        done and not missing,
        f"crash to power-off in {seconds:.1f} s; /proc/vmcore has "
        f"{pages.count(core.present)} pages, {pages.count(missing)} of "
        f"{pages.count(facts.state.plugged)} plugged ones are missing"
        + ("" if done else "; the crash kernel's init did not come to its end"),
        seconds=round(seconds, 2),
        plugged=facts.state.size,
        missing_pages=pages.count(missing),
        vmcore=[f"{start:#x}-{end - 1:#x}" for start, end in pages.runs(core.present)],
    )


def written(guest: Guest, name: str) -> Written:
    """What makedumpfile in the crash kernel said of a dump; Unanswered when it never ran."""
    said, status = guest.share / f"{name}.report", guest.share / f"{name}.status"
    try:
        code, begun, ended = status.read_text().split()
        return Written(said.read_text("utf-8", "replace"), int(code), float(ended) - float(begun))
    except (OSError, ValueError) as error:
        raise Unanswered(name, f"the crash kernel did not get to it ({error})") from error


def checked(guest: Guest, number: int, facts: Facts) -> tuple[Facts, Subtest]:
    """Look at one file; level 0 adds its own counts to the facts.

    A makedumpfile that failed is the kernel's fault; a file that is not what a makedumpfile
    that did not fail wrote (Damaged) is the machine's.
    """
    name = f"level-{number}"
    run = written(guest, name)
    if run.status != 0:
        return facts, Subtest(name, Status.FAIL, run.complaint)
    path = guest.share / f"{name}.kdump"
    with open_dump(path) as dump:
        if number == 0:
            facts = replace(
                facts, zero=dump.zero_pages(), structs=dump_checks.structs_of(dump)
            )
        result = dump_checks.level(name, number, dump, run, size_of(path), facts)
        (guest.out / "vmcoreinfo.txt").write_text(dump.vmcoreinfo or "")
    return facts, result


def size_of(path: Path) -> int:
    return path.stat().st_size


def kdump() -> Scenario:
    return Scenario(
        name="dump.kdump",
        version=1,
        needs=NEEDS,
        machine=machines.load("dump"),
        deadline=150.0,
        check=_check,
        files=(memory.FLAGS_SOURCE,),
        programs=("kexec", "makedumpfile"),
    )
