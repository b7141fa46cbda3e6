# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks of a dump against a small machine of 128 pages: what must pass, and what must not.

Frames 0 to 63 are boot memory, 64 to 127 the virtio-mem device, the upper half of it unplugged.
"""

from __future__ import annotations

import doctest
import struct
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import dump_files
import pytest
from dump_files import PAGE, ZERO

from kvtools import crash, makedumpfile, process
from kvtools.channel import Result
from kvtools.makedumpfile import Written
from kvtools.model import Status
from kvtools.qmp import MemoryDevice
from kvtools.scenarios import (
    dump_checks,
    dump_crash,
    dump_kdump,
    dump_reload,
    dump_state,
    dump_vmcoreinfo,
)
from kvtools.scenarios.base import GUEST, Subtest, Unanswered
from kvtools.scenarios.dump_checks import Facts
from kvtools.scenarios.dump_state import State
from kvtools.vmcore import Damaged, KdumpFile, Memmap, Untold, info, pages

DIRECT, KERNEL = 0xFFFF888000000000, 0xFFFFFFFF80000000
PGD, PUD, ROOTS, TABLE, STRUCTS, UTS, CANARY = 0, 1, 2, 3, 4, 6, 70
FREE, OFFLINE, DEVICE = range(32, 40), range(96, 128), range(64, 128)
RELEASE, TOKEN, INDEX = "6.1.0", "kv0123456789abcd", 7
INFO = f"""\
OSRELEASE={RELEASE}
SYMBOL(init_uts_ns)={KERNEL + UTS * PAGE:x}
OFFSET(uts_namespace.name)=0
SYMBOL(swapper_pg_dir)={KERNEL + PGD * PAGE:x}
NUMBER(phys_base)=0
SYMBOL(mem_section)={DIRECT + ROOTS * PAGE:x}
LENGTH(mem_section)=4
SIZE(mem_section)=16
OFFSET(mem_section.section_mem_map)=0
NUMBER(SECTION_SIZE_BITS)=18
SIZE(page)=64
OFFSET(page._mapcount)=48
OFFSET(page.private)=40
NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129
NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-257
"""


def word_at(page: bytes, at: int, value: int, size: str = "Q") -> bytes:
    raw = struct.pack(f"<{size}", value)
    return page[:at] + raw + page[at + len(raw) :]


def machine(offline: int = -257) -> dict[int, bytes]:
    """All 128 pages; ``offline`` is the page type of the unplugged ones."""
    memory = dict.fromkeys(range(128), ZERO)
    memory[PGD] = word_at(ZERO, (DIRECT >> 39 & 511) * 8, PUD * PAGE | 1)
    memory[PUD] = word_at(ZERO, 0, 0x81)  # a page of 1 GiB
    memory[ROOTS] = word_at(ZERO, 0, DIRECT + TABLE * PAGE)
    for section in (0, 1):
        structs = DIRECT + (STRUCTS + section) * PAGE - section * 64 * 64
        memory[TABLE] = word_at(memory[TABLE], section * 16, structs | 3)
        kinds = [offline if 64 * section + n in OFFLINE else -1 for n in range(64)]
        page = b"".join(word_at(bytes(64), 48, kind, "i") for kind in kinds)
        memory[STRUCTS + section] = page
    head = FREE.start * 64
    page = word_at(memory[STRUCTS], head + 48, -129, "i")
    memory[STRUCTS] = word_at(page, head + 40, 3)  # order
    memory[UTS] = ZERO[:130] + RELEASE.encode().ljust(65, b"\0") + ZERO[195:]
    memory[CANARY] = dump_state.pattern(TOKEN, INDEX)
    memory[FREE.start + 1] = b"x" * PAGE
    return memory


def of(frames: range) -> int:
    return pages.of(frames)


STATE = State(
    device=MemoryDevice("vmem0", "virtio-mem", 64 * PAGE, 64 * PAGE, 32 * PAGE, 32 * PAGE, PAGE, 0),
    region=of(DEVICE),
    plugged=of(range(64, 96)),
    online=of(DEVICE),
    size=32 * PAGE,
    token=TOKEN,
    canaries={CANARY: INDEX},
    offline=len(OFFLINE),
)
FACTS = Facts(STATE, RELEASE)


POISON = INFO + "NUMBER(PG_hwpoison)=22\n"


def written(level: int, held: dict[int, bytes], **changed: int) -> Written:
    """What makedumpfile says when it does what it should, but for what is ``changed``."""
    left_out = {
        "zero": sum(page == ZERO for page in held.values()) if level & 1 else 0,
        "user": 1 if level & 8 else 0,
        "free": len(FREE) if level & 16 else 0,
        "offline": len(OFFLINE) if level & 16 else 0,
    } | changed
    excluded = sum(left_out.values())
    text = f"""
Original pages  : {128:#018x}
  Excluded pages   : {excluded:#018x}
    Pages filled with zero  : {left_out["zero"]:#018x}
    Non-private cache pages : {0:#018x}
    Private cache pages     : {0:#018x}
    User process data pages : {left_out["user"]:#018x}
    Free pages              : {left_out["free"]:#018x}
    Hwpoison pages          : {0:#018x}
    Offline pages           : {left_out["offline"]:#018x}
  Remaining pages  : {128 - excluded:#018x}
"""
    return Written(text, 0, 1.0)


def held_at(level: int, memory: dict[int, bytes]) -> dict[int, bytes]:
    gone = {*FREE, *OFFLINE} if level & 16 else set()
    gone |= {CANARY} if level & 8 else set()
    return {frame: page for frame, page in memory.items() if frame not in gone}


def dump_of(level: int, held: dict[int, bytes], text: str = INFO) -> KdumpFile:
    return KdumpFile(dump_files.kdump(held, present=(1 << 128) - 1, level=level, info=text))


def facts(memory: dict[int, bytes] | None = None, text: str = INFO) -> Facts:
    """With the counts of level 0."""
    dump = dump_of(0, memory or machine(), text)
    return replace(FACTS, zero=dump.zero_pages(), structs=dump_checks.structs_of(dump))


def check(
    level: int, held: dict[int, bytes], known: Facts | None = None, text: str = INFO,
    **changed: int
) -> Subtest:
    run = written(level, held, **changed)
    dump = dump_of(level, held, text)
    return dump_checks.level(f"level-{level}", level, dump, run, 1000, known or facts())


@pytest.mark.parametrize("level", dump_checks.LEVELS)
def test_a_right_dump_of_every_level(level: int) -> None:
    result = check(level, held_at(level, machine()))
    assert result.status is Status.PASS, result.message
    row = result.figures
    assert row["pages"] == 128 and row["plugged_pages"] == row["unplugged_pages"] == 32
    assert row["unplugged_in_file"] == (32 if level == 0 else 0)
    assert row["offline"] == (32 if level & 16 else 0)


def spoilt(result: Subtest, *words: str) -> None:
    assert result.status is Status.FAIL
    for word in words:
        assert word in result.message, result.message


@pytest.mark.parametrize("level", dump_checks.LEVELS)
def test_who_tells_of_hardware_errors_has_offline_pages_left_out_at_every_level(
    level: int,
) -> None:
    held = held_at(level | 16 if level & 8 else level, machine())
    held = {frame: page for frame, page in held.items() if frame not in OFFLINE}
    result = check(level, held, text=POISON, offline=32)
    assert result.status is Status.PASS, result.message
    if level < 16:
        spoilt(check(level, held, offline=32), "left out 32 offline pages, 0 are offline")
        spoilt(check(level, held_at(level, machine()), text=POISON), "left out 0 offline pages")


def test_what_is_not_offline_is_in_the_file_of_level_0() -> None:
    held = {frame: page for frame, page in machine().items() if frame not in OFFLINE}
    del held[50]
    spoilt(check(0, held, text=POISON, offline=33), "1 of 128 pages are left out at level 0")


def test_unplugged_pages_in_the_dump() -> None:
    memory = machine()
    held = held_at(16, memory) | {frame: memory[frame] for frame in OFFLINE}
    spoilt(check(16, held, offline=0), "32 of 32 pages of unplugged chunks", "left out 0 offline")
    one = held_at(16, memory) | {OFFLINE[-1]: ZERO}
    spoilt(check(16, one, offline=31), "1 of 32 pages of unplugged chunks")


def test_an_unplugged_page_that_is_not_zero_is_one_that_was_touched() -> None:
    memory = machine() | {OFFLINE[3]: b"y" * PAGE}
    spoilt(check(1, held_at(1, memory), facts(memory)), "1 of 32 pages of unplugged", "zeroes")


def test_a_report_that_the_file_contradicts() -> None:
    held = held_at(31, machine())
    spoilt(check(31, held, offline=31), "left out 31 offline pages, 32 are offline")
    spoilt(check(31, held, free=7), "the file has")
    spoilt(check(31, held, zero=0), "0 zero pages reported")
    bad = dump_checks.level("x", 31, dump_of(31, held), Written("no report", 0, 1.0), 1, facts())
    spoilt(bad, "gave no report")


def test_plugged_pages_that_are_missing() -> None:
    state = replace(STATE, plugged=STATE.plugged | 1 << 130, region=STATE.region | 1 << 130)
    known = replace(facts(), state=state)
    spoilt(check(31, held_at(31, machine()), known), "1 of 33 plugged pages are unknown")


@pytest.mark.parametrize(
    "page",
    [dump_state.pattern(TOKEN, INDEX + 1), dump_state.pattern(TOKEN[::-1], INDEX), b"c" * PAGE],
)
def test_a_canary_with_another_content(page: bytes) -> None:
    memory = machine() | {CANARY: page}
    spoilt(check(1, held_at(1, memory), facts(memory)), "the canary at 0x46000 has another")


def test_a_canary_at_the_neighbours_place() -> None:
    memory = machine() | {CANARY: ZERO, CANARY + 1: dump_state.pattern(TOKEN, INDEX)}
    spoilt(check(1, held_at(1, memory), facts(memory)), "the canary at 0x46000 has another")


def test_a_canary_that_is_missing_or_should_be() -> None:
    held = held_at(16, machine())
    del held[CANARY]
    spoilt(check(16, held), "the canary at 0x46000 is not in it")
    spoilt(check(31, held_at(16, machine()), user=0), "is user data and was not left out")


def test_another_kernels_dump() -> None:
    memory = machine()
    memory[UTS] = memory[UTS].replace(b"6.1.0", b"6.1.1")
    spoilt(check(0, memory, facts(memory)), "'6.1.1', not '6.1.0'")


def test_guest_and_host_that_disagree_on_what_is_offline() -> None:
    known = replace(facts(), state=replace(STATE, offline=31))
    spoilt(check(16, held_at(16, machine()), known), "/proc/kpageflags had 31 offline pages")


def test_the_page_structs_are_counted() -> None:
    dump = dump_of(0, machine())
    memmap = Memmap(dump, info.parse(INFO))
    assert memmap.of_type(-257) == of(OFFLINE)
    assert memmap.free(-129) == of(FREE)
    assert memmap.types() == {-257: 32, -129: 1}
    assert (memmap.value_of(100), memmap.value_of(70), memmap.value_of(5000)) == (-257, -1, None)
    assert memmap.translate(DIRECT + 0x5123) == 0x5123
    assert memmap.translate(0xFFFFEA0000000000) is None
    less = INFO.replace("SIZE(page)", "SIZE(pages)")
    with pytest.raises(Untold, match="SIZE\\(page\\)"):
        Memmap(dump, info.parse(less))
    with pytest.raises(Unanswered, match="SIZE\\(page\\)"):
        facts(text=less)


def test_an_export_that_is_not_the_page_type() -> None:
    """makedumpfile and the export agree; the unplugged pages have another type."""
    held = held_at(16, machine(offline=-513))
    known = facts(machine(offline=-513))
    spoilt(check(16, held, known), "32 of 32 unplugged pages are not PG_offline")


def test_a_kernel_that_exports_no_type() -> None:
    text = INFO.replace("NUMBER(PAGE_OFFLINE", "NUMBER(PAGE_ONLINE")
    assert facts(text=text).structs is None
    (told,) = dump_checks.uncountable(None)
    spoilt(told, "VMCOREINFO has no NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)")


def test_pages_left_out_for_no_reason() -> None:
    held = held_at(16, machine())
    del held[50]
    spoilt(check(16, held, free=9), "1 of 41 pages left out are neither free nor offline")


def test_a_dump_that_qemu_wrote() -> None:
    """QEMU leaves unplugged chunks out of its map altogether."""
    memory = {frame: page for frame, page in machine().items() if frame not in OFFLINE}
    good = KdumpFile(dump_files.kdump(memory, info=INFO))
    assert dump_checks.without_report("q", good, 1, FACTS).status is Status.PASS
    stray = KdumpFile(dump_files.kdump(memory | {OFFLINE[0]: ZERO}, info=INFO))
    spoilt(dump_checks.without_report("q", stray, 1, FACTS), "1 of 32 pages of unplugged chunks")
    del memory[80]
    short = KdumpFile(dump_files.kdump(memory, info=INFO))
    spoilt(dump_checks.without_report("q", short, 1, FACTS), "1 of 32 plugged pages")


# What comes back from the crash kernel


@pytest.fixture
def share(tmp_path: Path) -> SimpleNamespace:
    """A guest that has crashed and left a whole dump of level 31."""
    guest = SimpleNamespace(share=tmp_path, out=tmp_path)
    held = held_at(31, machine())
    (tmp_path / "level-31.kdump").write_bytes(
        dump_files.kdump(held, present=(1 << 128) - 1, level=31, info=INFO)
    )
    (tmp_path / "level-31.report").write_text(written(31, held).said)
    (tmp_path / "level-31.status").write_text("0 3.5 4.25\n")
    return guest


def test_a_dump_that_came_back_whole(share: SimpleNamespace) -> None:
    _, result = dump_kdump.checked(share, 31, facts())
    assert result.status is Status.PASS, result.message
    assert result.figures["seconds"] == 0.75


@pytest.mark.parametrize("left", [0, 10, PAGE, 3 * PAGE, 4 * PAGE, -1])
def test_a_dump_that_was_cut_short_on_its_way_is_the_machines(
    share: SimpleNamespace, left: int
) -> None:
    path = share.share / "level-31.kdump"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(Damaged):
        dump_kdump.checked(share, 31, facts())


def test_a_makedumpfile_that_failed_is_the_kernels(share: SimpleNamespace) -> None:
    (share.share / "level-31.status").write_text("12 3.5 4.25\n")
    (share.share / "level-31.report").write_text("Can't write.\n\nmakedumpfile Failed.\n")
    _, result = dump_kdump.checked(share, 31, facts())
    spoilt(result, "Can't write. (makedumpfile ended with status 12)")
    (share.share / "level-31.status").unlink()
    with pytest.raises(Unanswered, match="did not get to it"):
        dump_kdump.checked(share, 31, facts())


def test_a_crash_kernel_that_lacks_plugged_memory(share: SimpleNamespace) -> None:
    (share.share / "done").touch()
    segments = {0: ZERO * 64, 8 * PAGE: ZERO * 4}
    (share.share / "headers").write_bytes(dump_files.elf({0: ZERO * 128} | {8 * PAGE: ZERO * 4}))
    assert dump_kdump.described_twice(share) == 4
    assert dump_kdump.arrived(share, 1.0, FACTS).status is Status.PASS
    (share.share / "headers").write_bytes(dump_files.elf(segments))
    spoilt(dump_kdump.arrived(share, 1.0, FACTS), "32 of 32 plugged ones are missing")
    (share.share / "headers").unlink()
    with pytest.raises(Damaged):
        dump_kdump.arrived(share, 1.0, FACTS)


@pytest.mark.parametrize(
    ("present", "hotplug", "good"),
    [
        (range(64), False, True),  # nothing of it: a reload is needed, as everywhere before 6.8
        (range(96), False, True),  # all of it
        (range(80), False, False),  # half of it is nobody's idea
        (range(96), True, True),
        (range(64), True, False),  # the kernel says that it keeps the ranges itself
    ],
)
def test_memory_that_came_after_the_last_load(present: range, hotplug: bool, good: bool) -> None:
    memory = {frame: page for frame, page in machine().items() if frame in present}
    part = dump_reload._Part(of(range(64, 96)), {CANARY: INDEX})
    dump = KdumpFile(dump_files.kdump(memory, level=0, info=INFO))
    result = dump_reload._not_reloaded(dump, STATE, part, hotplug)
    assert (result.status is Status.PASS) == good, result.message
    by_rule = dump_reload._by_rule(dump, STATE, part)
    assert (by_rule.status is Status.PASS) == (present == range(96))


# The guest's side


def compiled(folder: Path, name: str, main: str) -> str:
    """A program of the guest with another main()."""
    source = f'#define main its_main\n#include "{GUEST / name}"\n#undef main\n'
    words = ["gcc", "-Wall", "-Wextra", "-Werror", "-x", "c", "-o", str(folder / "program"), "-"]
    process.run(words, deadline=30.0, stdin=(source + main).encode())
    return str(folder / "program")


PUT = """
int main(int argc, char **argv)
{
	static uint64_t of[] = { 7, 0x40, 9, 0x41, 0x42 };
	static char memory[5 * PAGE];

	frames = of;
	pages = argc > 2 ? 5 : 0;
	put(memory, argv[1], 0x40, 0x42);
	return fwrite(memory, PAGE, 5, stdout) != 5;
}
"""


@pytest.mark.parametrize("token", ["x", "0123456789abcdefgh"])
def test_the_guest_writes_the_pattern_that_the_host_expects(tmp_path: Path, token: str) -> None:
    program = compiled(tmp_path, "canary.c", PUT)
    done = process.run([program, token, "all"], deadline=10.0)
    said, memory = done.stdout.split(b"\n", 1)
    assert dump_state.parse_canaries(said.decode()) == {0x40000: {0x40: 1, 0x41: 3}}
    empty, there = bytes(PAGE), [dump_state.pattern(token, index) for index in range(5)]
    assert memory == empty + there[1] + empty + there[3] + empty
    nowhere = process.run([program, token], deadline=10.0).text
    assert nowhere.startswith("40000\n")
    assert doctest.testmod(dump_state).failed == 0


def test_canaries_are_put_where_they_are_said_to_be(tmp_path: Path) -> None:
    guest = SimpleNamespace(out=tmp_path, on_host=[])
    # Ignored: these two are all that it uses of a Guest.
    program = dump_state.compiled(guest, "canary")  # type: ignore[arg-type]
    pipe = str(tmp_path / "pipe")
    for ranges, good in (("0-ffffffffff000", True), ("0-0", False)):
        command = f"{program} 4 token {ranges}"
        said = sh(dump_state._until("ready", command, pipe) + f"; kill $!; rm {pipe}")
        assert said.endswith("ready\n"), said
        assert bool(dump_state.parse_canaries(said)[0]) == good
    assert guest.on_host[-1].startswith("gcc ")
    assert sh(f"{program} 4 token 2>&1") == "canary: usage: canary MIB TOKEN START-END...\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sh -c 'echo 1000 1:0; echo ready; exec sleep 30'", "1000 1:0\nready\n"),
        ("sh -c 'echo mlock failed >&2; exit 1'", "mlock failed\n"),  # does not wait for ever
    ],
)
def test_the_script_that_waits_for_canaries(tmp_path: Path, command: str, said: str) -> None:
    script = dump_state._until("ready", command, str(tmp_path / "pipe"))
    done = sh(f"{script}; kill $! 2>/dev/null")
    assert done == said


def test_the_script_that_waits_for_the_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = tmp_path / "rule"
    monkeypatch.setattr(dump_reload, "_RULE_SAYS", str(says))
    listener = f"( sleep 0.2; echo event >{says}; sleep 0.2; echo loaded 1 >>{says} ) &"
    assert sh(f"{listener}\n{dump_reload._until('loaded*')}") == "event\nloaded 1\n"
    assert sh(dump_reload._until("?*")) == "event\nloaded 1\n"


def sh(script: str) -> str:
    return process.run(["sh", "-c", script], deadline=10.0, check=False).text


def test_a_guest_that_says_nonsense_has_no_canaries() -> None:
    assert dump_state.parse_canaries("Traceback (most recent\n  File x:1\nready\n") == {}


MATCHES = """
int main(void)
{
	static char message[4096];

	return !matches(message, fread(message, 1, sizeof(message) - 1, stdin));
}
"""


def test_the_rule_matches_memory_that_goes_online_or_offline(tmp_path: Path) -> None:
    program = compiled(tmp_path, "kdump-rule.c", MATCHES)

    def matching(event: bytes) -> str:
        return process.run([program], deadline=10.0, stdin=event, check=False).text

    event = b"online@/devices/system/memory/memory32\0ACTION=online\0" \
        b"DEVPATH=/devices/system/memory/memory32\0SUBSYSTEM=memory\0SEQNUM=9\0"
    assert matching(event) == "event online /devices/system/memory/memory32\n"
    assert matching(event.replace(b"ACTION=online", b"ACTION=offline"))
    assert not matching(event.replace(b"ACTION=online", b"ACTION=add"))
    assert not matching(event.replace(b"SUBSYSTEM=memory", b"SUBSYSTEM=cpu"))


def vmcoreinfo_of(text: str, monkeypatch: pytest.MonkeyPatch, header: str) -> list[Subtest]:
    core = dump_files.elf({}, notes=dump_files.note("VMCOREINFO", text.encode()))
    guest = SimpleNamespace(
        out=Path("/nonexistent"), hello=SimpleNamespace(release=RELEASE),
        source=SimpleNamespace(repo=Path(), commit="HEAD"),
        sh=lambda script: Result(0, core, b"", 0.1),
    )  # fmt: skip
    monkeypatch.setattr(Path, "write_text", lambda self, text: len(text))
    monkeypatch.setattr(dump_vmcoreinfo.git, "show", lambda *_: header.encode())
    return list(dump_vmcoreinfo._check(guest))  # type: ignore[arg-type]


def test_the_value_in_vmcoreinfo(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = "".join(f"{line}=1\n" for line in dump_vmcoreinfo.NEEDED) + INFO
    header = "#define PG_offline\t0x00000100\n"
    note, symbols, value = vmcoreinfo_of(whole, monkeypatch, header)
    assert {note.status, symbols.status, value.status} == {Status.PASS}
    assert note.aside and symbols.aside and not value.aside
    spoilt(vmcoreinfo_of(whole.replace("=-257", "=-513"), monkeypatch, header)[2], "-0x201")
    gone = whole.replace("NUMBER(PAGE_OFFLINE", "NUMBER(PAGE_ONLINE")
    spoilt(vmcoreinfo_of(gone, monkeypatch, header)[2], "is absent")
    assert vmcoreinfo_of(gone, monkeypatch, "")[2].status is Status.SKIP
    less = whole.replace("NUMBER(PG_lru)", "NUMBER(PG_lri)")
    spoilt(vmcoreinfo_of(less, monkeypatch, header)[1], "not NUMBER(PG_lru)")


# Outside programs


def test_options_and_ways_to_compress() -> None:
    assert doctest.testmod(makedumpfile).failed == 0
    assert makedumpfile.options(16, "lzo") == ("-d", "16", "-l")
    assert makedumpfile.options(0) == ("-d", "0")


def test_the_answers_of_crash() -> None:
    def mark(number: int) -> str:
        value = 770077000 + number
        return f"hexadecimal: {value:x}  \n    decimal: {value}  \n      octal: {value:o}\n"

    said = f"banner\n{mark(0)}PANIC: x\n\n{mark(1)}{mark(3)}bye\n"
    parsed = crash.parse(0, said, ["sys", "bt", "log"])
    assert parsed.to == {"sys": "PANIC: x", "bt": "", "log": ""}
    assert parsed.complaint == "banner (exit status 0)"


# What crash said of a dump of a 6.1.176 guest, and what of the same dump gone wrong
SAID = Path(__file__).parents[1] / "data" / "scenarios" / "crash"
ASKED = dump_crash.asked(
    "6.1.176", 64792, 0x10079A, dump_state.pattern("kv" + 14 * "0", 0), 0x10CC00
)


def judged(name: str, status: int = 0) -> dict[str, Subtest]:
    text = (SAID / f"{name}.log").read_text()
    said = crash.parse(status, text, [question.command for question in ASKED])
    return {result.name: result for result in dump_crash.judged(said, ASKED)}


def test_crash_opens_a_dump() -> None:
    found = judged("good")
    assert list(found) == ["sys", "kmem-i", "bt", "log", "canary", "unplugged"]
    assert {result.status for result in found.values()} == {Status.PASS}
    assert [name for name, result in found.items() if result.aside] == ["sys"]
    assert "page excluded" in found["unplugged"].message


def test_a_dump_that_has_a_page_of_an_unplugged_chunk() -> None:
    failed = {n: r for n, r in judged("not-excluded").items() if r.status is Status.FAIL}
    assert list(failed) == ["unplugged"]
    assert "10cc00000:  0000000000000000" in failed["unplugged"].message


@pytest.mark.parametrize(
    ("name", "status", "why"),
    [
        ("other-version", 0, "kernel version inconsistency between vmlinux and dumpfile"),
        ("no-debuginfo", 1, "vmlinux: no debugging data available (exit status 1)"),
        ("lacks-types", 1, "neither runqueue nor rq structures exist (exit status 1)"),
        ("cut-short", 1, 'read error: kernel virtual address: ffffffff8184b0e0  type: "linux_ban'),
    ],
)
def test_a_vmlinux_or_a_dump_that_is_not_the_right_one(name: str, status: int, why: str) -> None:
    for result in judged(name, status).values():
        spoilt(result, why)


def test_answers_without_what_is_looked_for() -> None:
    assert dump_crash.read_bytes('rd: page excluded: physical address: 1  type: "x"') == b""
    assert dump_crash.read_bytes("  10a000010:  30 31   00\n") == b"01"
    assert dump_crash.total_pages("no such line") == 0
    assert dump_crash.calls(" RIP: 00007f0761bd9350") == []


def test_each_answer_of_crash_can_be_wrong() -> None:
    good = crash.parse(0, (SAID / "good.log").read_text(), [q.command for q in ASKED])
    wrong = {
        "sys": ("RELEASE: 6.1.176", "RELEASE: 6.1.1760"),
        "kmem -i": ("64792", "64791"),
        "bt": ("write_sysrq_trigger", "write_something"),
        "log": ("sysrq triggered crash", "Attempted to kill init!"),
        ASKED[4].command: ("6b 76 30", "6b 76 31"),
        ASKED[5].command: ("page excluded", "seek error"),
    }
    for question in ASKED:
        old, new = wrong[question.command]
        assert old in good.to[question.command]
        answer = good.to[question.command].replace(old, new)
        said = replace(good, to={**good.to, question.command: answer})
        failed = [r.name for r in dump_crash.judged(said, ASKED) if r.status is Status.FAIL]
        assert failed == [question.name]
