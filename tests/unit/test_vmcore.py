# SPDX-License-Identifier: GPL-2.0-or-later
"""Dump files of every kind, whole and damaged."""

from __future__ import annotations

import doctest
import io
import json
import zlib
from pathlib import Path

import dump_files
import pytest
from dump_files import PAGE, ZERO

from kvtools import vmcore
from kvtools.vmcore import Damaged, ElfCore, KdumpFile, elfcore, flattened, info, lzo, pages, report
from kvtools.vmcore.kdump import Flags

DATA = Path(__file__).parents[1] / "data" / "vmcore"
ONE, TWO = b"1" * PAGE, bytes(range(256)) * 16
NOTE = "OSRELEASE=6.1.0\nNUMBER(phys_base)=0\n"


def test_the_examples_in_the_sets_of_pages() -> None:
    assert doctest.testmod(pages).failed == 0


# kdump-compressed


@pytest.mark.parametrize("compress", [True, False])
def test_a_kdump_file_gives_its_pages_and_maps(compress: bool) -> None:
    dump = KdumpFile(
        dump_files.kdump({3: ONE, 5: TWO, 6: ZERO}, present=0xFF, info=NOTE, compress=compress)
    )
    assert (dump.present, dump.dumped) == (0xFF, 1 << 3 | 1 << 5 | 1 << 6)
    assert [dump.page(n) for n in (3, 4, 5, 6)] == [ONE, None, TWO, ZERO]
    assert dump.zero_pages() == 1 << 6
    assert dump.vmcoreinfo == NOTE
    assert dump.shared == 0


def test_zeroes_that_were_left_out_share_a_page() -> None:
    dump = KdumpFile(dump_files.kdump({1: ZERO, 2: ONE, 4: ZERO, 5: ZERO}, level=1))
    assert dump.dump_level == 1
    assert dump.shared == 1 << 1 | 1 << 4 | 1 << 5
    assert dump.zero_pages() == dump.shared
    assert dump.page(5) == ZERO


@pytest.mark.parametrize("cut", [1, 2, 100, PAGE, 2 * PAGE, 3 * PAGE, 5 * PAGE])
def test_a_kdump_file_that_is_cut_short_is_damaged(cut: int) -> None:
    whole = dump_files.kdump({n: bytes([n]) * PAGE for n in range(200)}, compress=False)
    KdumpFile(whole)
    with pytest.raises(Damaged):
        KdumpFile(whole[:-cut])
    with pytest.raises(Damaged):
        KdumpFile(whole[: cut - 1])


def test_what_a_kdump_file_may_not_be() -> None:
    good = dump_files.kdump({3: ONE}, info=NOTE)
    for bad in (
        b"",
        b"KDUMP   ",
        b"x" * 3 * PAGE,
        dump_files.kdump({3: ONE}, status=1 | 8),  # makedumpfile: not complete
        good[: 2 * PAGE] + b"\0" * PAGE + good[3 * PAGE :],  # holds what its map does not know
    ):
        with pytest.raises(Damaged):
            KdumpFile(bad)
    with pytest.raises(Damaged, match="zlib"):
        KdumpFile(good[:-5] + b"12345").page(3)


def test_other_ways_to_compress_are_given_or_named() -> None:
    data = bytearray(dump_files.kdump({3: ONE}))
    at = data.index(zlib.compress(ONE))
    flags = at - 12
    assert data[flags] == Flags.ZLIB
    data[flags] = Flags.ZSTD
    with pytest.raises(Damaged, match="ZSTD"):
        KdumpFile(bytes(data)).page(3)
    assert KdumpFile(bytes(data), more={Flags.ZSTD: zlib.decompress}).page(3) == ONE


# LZO: the same pages of one crash as makedumpfile wrote them with -l and with -c

VECTORS = [
    (bytes.fromhex(v["lzo"]), bytes.fromhex(v["zlib"]))
    for v in json.loads((DATA / "lzo.json").read_text())
]


@pytest.mark.parametrize(("packed", "same"), VECTORS)
def test_lzo_decompresses_what_makedumpfile_wrote(packed: bytes, same: bytes) -> None:
    assert lzo.decompress(packed) == zlib.decompress(same)


@pytest.mark.parametrize("packed", [v[0] for v in VECTORS])
def test_lzo_that_is_cut_short_is_damaged(packed: bytes) -> None:
    for end in range(len(packed)):
        with pytest.raises(Damaged):
            lzo.decompress(packed[:end])


# ELF


def test_an_elf_core_gives_segments_notes_and_pages() -> None:
    notes = dump_files.note("CORE", b"x" * 5, 1) + dump_files.note("VMCOREINFO", NOTE.encode())
    core = ElfCore(dump_files.elf({0x3000: ONE + ZERO, 0x8000: TWO}, notes=notes))
    assert [(s.start, s.end) for s in core.segments] == [(0x3000, 0x5000), (0x8000, 0x9000)]
    assert [(n.name, len(n.data)) for n in core.notes] == [("CORE", 5), ("VMCOREINFO", len(NOTE))]
    assert core.vmcoreinfo == NOTE
    assert core.present == core.dumped == 1 << 3 | 1 << 4 | 1 << 8
    assert [core.page(n) for n in (3, 4, 5, 8)] == [ONE, ZERO, None, TWO]
    assert core.zero_pages() == 1 << 4


def test_an_elf_core_that_is_cut_short_is_damaged() -> None:
    data = dump_files.elf({0x3000: ONE}, notes=dump_files.note("CORE", b"12345678"))
    assert ElfCore(data[:-PAGE], headers_only=True).present == 1 << 3
    for cut in (1, PAGE, PAGE + 4, PAGE + 40, len(data) - 70, len(data) - 3):
        with pytest.raises(Damaged):
            ElfCore(data[:-cut])
    for bad in (b"", b"\x7fELF\x01\x01" + bytes(100), data[:16] + b"\2" + data[17:]):
        with pytest.raises(Damaged):
            ElfCore(bad)


def test_a_segment_without_a_physical_address_is_none_of_memory() -> None:
    data = bytearray(dump_files.elf({0x3000: ONE, 0x8000: TWO}))
    at = 64 + 56 + 24  # p_paddr of the first PT_LOAD
    data[at : at + 8] = b"\xff" * 8
    assert ElfCore(bytes(data)).present == 1 << 8


def test_program_headers_come_to_the_front() -> None:
    data = dump_files.elf({0x3000: ONE, 0x8000: TWO}, headers_at=192)
    front = elfcore.with_headers_in_front(data[:4096])
    moved = ElfCore(front + data[len(front) :])
    assert moved.program_headers_at == 64
    assert moved.segments == ElfCore(data).segments
    assert moved.page(8) == TWO
    same = dump_files.elf({0x3000: ONE})
    assert ElfCore(elfcore.with_headers_in_front(same) + same[64 + 2 * 56 :]).page(3) == ONE


# Flattened


def test_a_flattened_dump_is_rearranged(tmp_path: Path) -> None:
    data = dump_files.kdump({3: ONE, 5: TWO})
    (tmp_path / "flat").write_bytes(dump_files.flat(data))
    vmcore.unflatten(tmp_path / "flat", tmp_path / "dump")
    assert (tmp_path / "dump").read_bytes() == data
    with vmcore.open_dump(tmp_path / "dump") as dump:
        assert isinstance(dump, KdumpFile) and dump.page(5) == TWO


@pytest.mark.parametrize("cut", [1, 8, 16, 17, 500, 5000])
def test_a_flattened_dump_that_is_cut_short_is_damaged(cut: int) -> None:
    data = dump_files.flat(dump_files.kdump({3: TWO}))
    with pytest.raises(Damaged):
        flattened.rearrange(io.BytesIO(data[:-cut]), io.BytesIO())
    assert not flattened.is_flattened(data[1:])


def test_a_file_that_is_absent_empty_or_no_dump_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("no dump at all" * 1000)
    for name in ("absent", "empty", "text"):
        with pytest.raises(Damaged), vmcore.open_dump(tmp_path / name):
            pass
    core = dump_files.elf({0x3000: ONE})
    (tmp_path / "core").write_bytes(core)
    with vmcore.open_dump(tmp_path / "core") as dump:
        assert isinstance(dump, ElfCore)


# VMCOREINFO


def test_vmcoreinfo_lines() -> None:
    found = info.parse(
        "OSRELEASE=6.1.192\nSYMBOL(prb)=ffffffff81a30730\nNUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129\n"
        "SIZE(page)=64\nOFFSET(page._mapcount)=48\nLENGTH(mem_section)=2048\nCONFIG_X86_PAE=y\n"
        "NUMBER(broken)=x\nKERNELOFFSET=0\n\0\0"
    )
    assert found.plain["OSRELEASE"] == "6.1.192"
    assert found.symbol("prb") == 0xFFFFFFFF81A30730
    assert found.number(info.BUDDY) == -129
    assert (found.size("page"), found.offset("page._mapcount")) == (64, 48)
    assert found.length("mem_section") == 2048
    assert found.number(info.OFFLINE) is None and found.number("broken") is None
    assert found.has("SIZE(page)") and found.has("OSRELEASE")
    assert not found.has("SIZE(pages)") and not found.has("NUMBER(page)")


def test_page_type_values() -> None:
    bits = "#define PG_buddy\t0x00000080\n#define PG_offline\t0x00000100\n"
    assert info.page_type(bits, "buddy") == -129
    assert info.page_type(bits, "offline") == -257
    assert info.page_type(bits, "off") is None
    numbers = "enum pagetype {\n\tPGTY_buddy\t\t= 0xf0,\n\tPGTY_offline\t= 0xf1,\n};\n"
    assert info.page_type(numbers, "offline") == 0xF1000000 - (1 << 32)


# makedumpfile's report


def test_a_report_of_makedumpfile() -> None:
    text = (DATA / "report-31.txt").read_text()
    found = report.parse(text)
    assert found is not None and found.problem == ""
    assert (found.original, found.zero, found.free) == (0x10AF5, 0x47D, 0xDA6A)
    assert (found.cache, found.user, found.offline) == (0x65B, 0x8E, 0)
    wrong = report.parse(text.replace("0x000000000000da6a", "0x000000000000da6b"))
    assert wrong is not None and "categories" in wrong.problem
    wrong = report.parse(text.replace("Remaining pages  : 0x", "Remaining pages  : 0x1"))
    assert wrong is not None and "remaining" in wrong.problem
    assert report.parse(text.replace("Offline pages", "Offline")) is None
    assert report.parse("makedumpfile Failed.\n") is None
