# SPDX-License-Identifier: GPL-2.0-or-later
"""One cell in full: facts, subtests, details, the marked log, and pasteable commands."""

from __future__ import annotations

from pathlib import Path

import pytest
import reports

from kvtools.errors import UserError
from kvtools.model import Status
from kvtools.report import describe, show

SPLAT = "[    4.812345] BUG: Bad page state in process kworker/0:1  pfn:1c000"
LOG = "\n".join(SPLAT if n == 41 else f"line {n}" for n in range(1, 90))


def test_facts() -> None:
    text = describe(reports.twelve(), 10, "selftest:vmem.resize")
    assert "cell     selftest:vmem.resize\n" in text
    assert "patch    10: virtio-mem: paravirtualized memory\n" in text
    assert "status   FAIL  fault of the patch\n" in text
    assert "time     31.5 s\n" in text and "accel    tcg\n" in text
    base = describe(reports.twelve(), 0, "build:guest")
    assert "base (debian-6.1, linux-source-6.1 6.1.192-1)" in base
    assert "251.3 s, of an earlier run" in base and "accel" not in base


def test_subtests_with_their_figures() -> None:
    text = describe(reports.twelve(), 10, "selftest:vmem.resize")
    assert "PASS      0.4s  vmem.resize.grow\n" in text
    assert "plugged: 1073741824\n" in text
    assert "vmem.resize.shrink  stopped at 256 MiB of 0\n" in text
    assert text.count("shrink  stopped") == 1


def test_details_read_like_compiler_output() -> None:
    text = describe(reports.twelve(), 3, "build:guest")
    assert "    - mm/memory_hotplug.c:1612: warning: unused variable \u2018pfn\u2019" in text
    assert "  objects_built: 61\n" in text


def test_nested_details() -> None:
    details = {"a": {"b": [1, {"c": None, "d": [True, "x"]}]}, "empty": [], "none": None}
    made = reports.outcome("boot:guest", details=details)
    text = describe(reports.report(reports.row(1, made)), 1, "boot:guest")
    assert "details\n  a:\n    b:\n      - 1\n      -\n        c: null\n        d:\n" in text
    assert "empty" not in text and "none" not in text


def test_the_log_is_shown_around_the_telling_lines() -> None:
    lines = describe(reports.twelve(), 10, "selftest:vmem.resize", log=LOG).splitlines()
    at = lines.index(f"> 41  {SPLAT}")
    assert lines[at - 4 : at] == [
        "      [37 lines left out]", "  38  line 38", "  39  line 39", "  40  line 40",
    ]  # fmt: skip
    assert lines[at + 4] == "      [35 lines left out]"
    assert "  89  line 89" in lines
    # A telling line that is in another log is still told.
    assert any(line.startswith("> [    4.812399]") for line in lines)


def test_the_whole_log() -> None:
    text = describe(reports.twelve(), 10, "selftest:vmem.resize", log=LOG, whole=True)
    assert "left out" not in text and "   1  line 1\n" in text and f"> 41  {SPLAT}" in text


def test_without_the_log_the_evidence_stands_alone() -> None:
    text = describe(reports.twelve(), 10, "selftest:vmem.resize")
    assert "console.log  (not there any more)" in text and f"> {SPLAT}\n" in text


def test_commands_can_be_pasted() -> None:
    text = describe(reports.twelve(), 3, "build:guest")
    assert text.endswith("reproduce with\ngit checkout 0003\nmake O=../o -j3 bzImage\n")


def test_show_reads_the_log_from_disk(tmp_path: Path) -> None:
    (tmp_path / "10").mkdir()
    (tmp_path / "10" / "console.log").write_bytes(LOG.encode() + b"\n\xff\x1b[2J\n")
    text = show(reports.twelve(tmp_path), "10:vmem.resize")
    assert f"> 41  {SPLAT}" in text and "\\xff\\x1b[2J" in text and "\x1b" not in text
    assert "left out" not in show(reports.twelve(tmp_path), "10:vmem.resize", whole=True)


def test_a_cell_that_is_not_there() -> None:
    with pytest.raises(UserError, match="no cell 0:apply"):
        describe(reports.twelve(), 0, "apply")
    with pytest.raises(UserError, match="no row"):
        show(reports.twelve(), "99:boot")


def test_nothing_drives_the_terminal() -> None:
    evil = "\x1b]0;x\x07\n\u202e\udcff"
    made = reports.outcome(
        "boot:guest", Status.FAIL, summary=evil, evidence=(evil,), reproduce=(evil,),
        fingerprints=(evil,), log=evil, directory=Path("/x"),
        details={evil: evil, "list": [evil], "subtests": [{"name": evil, "status": evil}] * 2},
    )  # fmt: skip
    text = describe(reports.report(reports.row(1, made, subject=evil)), 1, "boot:guest", log=evil)
    assert all(c == "\n" or (ord(c) >= 32 and not 0x7F <= ord(c) < 0xA0) for c in text)
    assert "\u202e" not in text
    text.encode("utf-8")


def test_figures_that_subtests_share_are_a_table() -> None:
    def part(name: str, **figures: int) -> dict[str, object]:
        return {"name": name, "status": "PASS", "message": "fine", "figures": figures}

    levels = [
        part("level-0", pages=107253, free=0, offline=0, bytes=429434900),
        part("level-31", pages=107253, free=41000, offline=13312, bytes=5500000),
    ]
    others = [part("crash-kernel", missing=0), part("other", a=1, b=2, c=3, d=4)]
    made = reports.outcome("dump:dump.kdump", details={"subtests": [*others, *levels]})
    text = describe(reports.report(reports.row(1, made)), 1, "dump:dump.kdump")
    lines = text.splitlines()
    at = lines.index("figures")
    assert [line.split() for line in lines[at + 1 : at + 6]] == [
        ["level-0", "level-31"],
        ["pages", "107253", "107253"],
        ["free", "0", "41000"],
        ["offline", "0", "13312"],
        ["bytes", "429434900", "5500000"],
    ]
    assert text.count("13312") == 1  # not told again beside the subtest
    assert "missing: 0" in text and "d: 4" in text
    one = reports.outcome("dump:dump.kdump", details={"subtests": [*others, levels[0]]})
    assert "\nfigures" not in describe(reports.report(reports.row(1, one)), 1, "dump:dump.kdump")
