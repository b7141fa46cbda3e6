# SPDX-License-Identifier: GPL-2.0-or-later
"""Is this dump right? One subtest for each file, its figures a row of the table of levels.

Three counts of the same memory are compared: makedumpfile's report, the bitmaps and pages of
the file as we read them, and what is known beforehand (QEMU's map of plugged chunks, pages
with a known content, the page structs in the dump itself).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from kvtools.makedumpfile import Written
from kvtools.model import Json, Status
from kvtools.scenarios.base import Subtest, Unanswered, subtest
from kvtools.scenarios.dump_state import State
from kvtools.vmcore import Dump, Memmap, Untold, info, pages, report
from kvtools.vmcore.memmap import KERNEL_MAP
from kvtools.vmcore.report import CATEGORIES, Report

ZERO, USER, FREE = 1, 8, 16  # what a dump level leaves out
LEVELS = (0, 1, 16, 31)
_MOST = 4  # problems told in one line


@dataclass(frozen=True, slots=True)
class Structs:
    """What the page structs in a dump say: sets of pages."""

    offline: int
    free: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What has to be true of every file of one moment's memory.

    ``twice``: pages that the source of the dump describes twice (the kernel's own text in
    /proc/vmcore). ``elsewhere``: how many pages beside unplugged chunks are offline (a
    balloon's). ``zero`` and ``structs`` come from the file of level 0.
    """

    state: State
    release: str
    twice: int = 0
    elsewhere: int = 0
    zero: int | None = None
    structs: Structs | None = None


@dataclass(slots=True)
class _Problems:
    found: list[str] = field(default_factory=list)

    def expect(self, holds: bool, text: str | Callable[[], str]) -> None:
        if not holds:
            self.found.append(text if isinstance(text, str) else text())

    def none(self, wrong: int, of: int, what: str) -> None:
        """``wrong`` must be an empty set."""
        if wrong:
            self.found.append(f"{pages.count(wrong)} of {pages.count(of)} {what}")


def structs_of(dump: Dump) -> Structs | None:
    """By the page type values that VMCOREINFO exports; None when it exports no offline one.

    Raises Unanswered when the kernel does not tell where they are.
    """
    known = info.parse(dump.vmcoreinfo or "")
    offline, buddy = known.number(info.OFFLINE), known.number(info.BUDDY)
    if offline is None or buddy is None:
        return None
    try:
        memmap = Memmap(dump, known)
        return Structs(memmap.of_type(offline), memmap.free(buddy))
    except Untold as error:
        raise Unanswered("page-structs", str(error)) from error


def level(
    name: str, number: int, dump: Dump, written: Written, size: int, facts: Facts
) -> Subtest:
    """A file that makedumpfile wrote at dump level ``number``; ``size`` is the file's."""
    problems = _Problems()
    said = report.parse(written.said)
    if said is None:
        return Subtest(name, Status.FAIL, f"makedumpfile gave no report: {written.complaint}")
    problems.expect(not said.problem, f"makedumpfile's report does not add up: {said.problem}")
    _report(problems, number, dump, said, facts)
    _chunks(problems, number, dump, said, facts)
    content(problems, number, dump, facts)
    _other_counts(problems, number, dump, facts)
    return _concluded(name, problems, _row(number, dump, said, written, size, facts))


def without_report(name: str, dump: Dump, size: int, facts: Facts) -> Subtest:
    """A file that QEMU wrote: all plugged memory and nothing of an unplugged chunk."""
    problems = _Problems()
    state = facts.state
    problems.none(state.plugged & ~dump.dumped, state.plugged, "plugged pages are not in it")
    stray = state.region & dump.dumped & ~state.plugged
    problems.none(stray, state.region & ~state.plugged, "pages of unplugged chunks are in it")
    content(problems, 0, dump, facts)
    row: dict[str, Json] = {
        "pages": pages.count(dump.dumped),
        "plugged_pages": pages.count(state.plugged & dump.dumped),
        "bytes": size,
    }
    return _concluded(name, problems, row)


def _report(
    problems: _Problems, number: int, dump: Dump, said: Report, facts: Facts
) -> None:
    """makedumpfile's numbers against the file's own maps."""
    present, dumped = pages.count(dump.present) + facts.twice, pages.count(dump.dumped)
    problems.expect(
        said.original == present,
        f"makedumpfile reports {said.original} pages, the file's map has {present}",
    )
    listed = dumped + facts.twice - said.zero  # pages of zeroes are listed and share one
    problems.expect(
        said.remaining == listed,
        f"makedumpfile reports {said.remaining} pages written, the file has {listed}",
    )
    if number & ZERO:
        shared = pages.count(dump.shared)
        problems.expect(
            said.zero == shared, f"{said.zero} zero pages reported, {shared} share one in the file"
        )
    if number == 0:
        left_out = dump.present & ~dump.dumped
        if leaves_offline(0, dump):
            left_out &= ~offline_in(dump, facts)
        problems.none(left_out, dump.present, "pages are left out at level 0")


def _chunks(
    problems: _Problems, number: int, dump: Dump, said: Report, facts: Facts
) -> None:
    """Plugged memory is known to the dump, unplugged chunks are left out where they can be."""
    state = facts.state
    problems.none(state.plugged & ~dump.present, state.plugged, "plugged pages are unknown to it")
    unplugged = unplugged_in(dump, state)
    offline = leaves_offline(number, dump)
    expected = pages.count(unplugged) + facts.elsewhere if offline else 0
    if offline:
        problems.none(unplugged & dump.dumped, unplugged, "pages of unplugged chunks are in it")
    elif number & ZERO:
        written = unplugged & dump.dumped & ~dump.shared
        problems.none(written, unplugged, "pages of unplugged chunks do not read as zeroes")
    problems.expect(
        said.offline == expected,
        f"makedumpfile left out {said.offline} offline pages, {expected} are offline",
    )
    if state.offline is not None:
        chunks = pages.count(state.online & ~state.plugged)
        problems.expect(
            state.offline == chunks,
            f"/proc/kpageflags had {state.offline} offline pages in online blocks, "
            f"{chunks} pages of them are unplugged",
        )


def leaves_offline(number: int, dump: Dump) -> bool:
    """Whether makedumpfile looks at the page structs, and so leaves out what is offline.

    It does for cache, user and free pages, and at every level if the kernel tells how to
    recognize pages with hardware errors (makedumpfile.c, create_2nd_bitmap).
    """
    return number > ZERO or info.parse(dump.vmcoreinfo or "").number(info.HWPOISON) is not None


def offline_in(dump: Dump, facts: Facts) -> int:
    """Pages of the dumped machine that are offline, by their page structs where those are told."""
    return (facts.structs.offline if facts.structs else 0) | unplugged_in(dump, facts.state)


def unplugged_in(dump: Dump, state: State) -> int:
    """Pages of the device that the dumped machine has in its map and QEMU has not plugged."""
    return state.region & dump.present & ~state.plugged


def content(problems: _Problems, number: int, dump: Dump, facts: Facts) -> None:
    """The canaries and a line of the kernel's own, each where it has to be."""
    state = facts.state
    for frame in state.canaries:
        page = dump.page(frame)
        where = f"the canary at {frame * pages.PAGE:#x}"
        if number & USER:
            problems.expect(page is None, f"{where} is user data and was not left out")
        elif page is None:
            problems.expect(False, f"{where} is not in it")
        else:
            problems.expect(page == state.content(frame), f"{where} has another content")
    problems.expect(
        uts_release(dump) == facts.release,
        f"the kernel's release in it reads {uts_release(dump)!r}, not {facts.release!r}",
    )


def uts_release(dump: Dump) -> str:
    """``init_uts_ns.name.release`` in the dumped memory; "" when it is not to be had."""
    known = info.parse(dump.vmcoreinfo or "")
    symbol, member = known.symbol("init_uts_ns"), known.offset("uts_namespace.name")
    base = known.number("phys_base")
    if symbol is None or member is None or base is None:
        return ""
    at = symbol - KERNEL_MAP + base + member + 2 * 65  # behind sysname and nodename
    page, offset = dump.page(at // pages.PAGE) or b"", at % pages.PAGE
    return page[offset : offset + 65].partition(b"\0")[0].decode("ascii", "replace")


def _other_counts(problems: _Problems, number: int, dump: Dump, facts: Facts) -> None:
    """Against level 0: its zeroes, and its page structs."""
    if number == ZERO and facts.zero is not None:
        zero = facts.zero
        if leaves_offline(number, dump):
            zero &= ~offline_in(dump, facts)
        problems.expect(
            dump.shared == zero,
            lambda: f"{pages.count(dump.shared)} pages left out as zeroes, "
            f"{pages.count(zero)} in the file of level 0 are",
        )
    structs = facts.structs
    if structs is None or not number & FREE:
        return
    left_out = dump.present & ~dump.dumped
    problems.none(structs.offline & ~left_out, structs.offline, "PG_offline pages are in it")
    problems.none(structs.free & ~left_out, structs.free, "free pages are in it")
    unplugged = unplugged_in(dump, facts.state)
    problems.none(
        structs.offline & facts.state.plugged, facts.state.plugged, "plugged pages are PG_offline"
    )
    problems.none(unplugged & ~structs.offline, unplugged, "unplugged pages are not PG_offline")
    if number == FREE:
        kept = left_out & ~structs.offline & ~structs.free
        problems.none(kept, left_out, "pages left out are neither free nor offline")


def _row(
    number: int, dump: Dump, said: Report, written: Written, size: int, facts: Facts
) -> dict[str, Json]:
    unplugged = unplugged_in(dump, facts.state)
    row: dict[str, Json] = {"level": number, "pages": said.original}
    row |= {name: getattr(said, name) for name in CATEGORIES}
    row |= {
        "written": said.remaining,
        "file_pages": pages.count(dump.dumped),
        "plugged_pages": pages.count(facts.state.plugged),
        "plugged_in_file": pages.count(facts.state.plugged & dump.dumped),
        "unplugged_pages": pages.count(unplugged),
        "unplugged_in_file": pages.count(unplugged & dump.dumped & ~dump.shared),
        "bytes": size,
        "seconds": round(written.seconds, 2),
    }
    return row


def _concluded(name: str, problems: _Problems, row: dict[str, Json]) -> Subtest:
    told = problems.found[:_MOST]
    if len(problems.found) > _MOST:
        told.append(f"and {len(problems.found) - _MOST} more")
    said = f"{row.get('written', row['pages'])} pages, {row['bytes'] / 1e6:.1f} MB"
    if "seconds" in row:
        said += f", {row['seconds']:.1f} s, {row['offline']} offline pages left out"
    return subtest(name, not problems.found, "; ".join(told) or said, **row)


def uncountable(structs: Structs | None) -> Iterator[Subtest]:
    """A kernel that exports no page type value for offline pages."""
    if structs is None:
        yield Subtest(
            "vmcoreinfo", Status.FAIL, f"VMCOREINFO has no NUMBER({info.OFFLINE})"
        )
