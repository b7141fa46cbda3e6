# SPDX-License-Identifier: GPL-2.0-or-later
"""The matrix as text: it fits, it says who is at fault, and nothing in it drives a terminal."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import reports
from rich.cells import cell_len

from kvtools.errors import UserError
from kvtools.model import Expectation, Owner, Status
from kvtools.report import matrix, printable, render, resolve, verdict_line
from kvtools.report.layout import arrange, heads, short_time
from kvtools.report.printable import fold, pad, shorten, valid_unicode, width
from kvtools.report.select import selector
from kvtools.report.text import header, problems, rows, skips

EVIL = "\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202etxt.exe\u2066\x00\udcff\n[/red]"


@pytest.mark.parametrize("columns", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_matrix_fits(columns: int, ascii_only: bool) -> None:
    text = matrix(reports.twelve(), columns, ascii_only=ascii_only)
    assert max(map(cell_len, text.splitlines())) <= columns
    assert text.isascii() == ascii_only


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_columns_line_up_behind_wide_and_combining_characters(columns: int) -> None:
    lines = matrix(reports.twelve(), columns).splitlines()
    table = [line for line in lines if re.match(r"base|  +\d+  ", line)]
    assert len(table) == 13
    head = next(line for line in lines if "apply" in line)
    at = cell_len(head[: head.index("apply")])
    for line in table[1:]:
        before = next(i for i in range(len(line)) if cell_len(line[:i]) == at and line[i] == "P")
        assert line[before:].startswith("PASS"), line


def test_matrix_at_80_columns() -> None:
    lines = matrix(reports.twelve(), 80).splitlines()
    assert lines[2].split() == ["apply", "guest", "guest", "probe", "resize", "hotplug"]
    assert lines[3].split()[-6:] == ["=", "PASS", "skip", "skip", "PASS", "14s"]
    assert lines[10].split()[-2:] == ["ERROR", "2m00"]
    assert lines[13].split()[0] == "10" and "FAIL" in lines[13]
    assert "= result of an earlier run" in lines[-1]


def test_full_subjects_and_heads_where_there_is_room() -> None:
    text = matrix(reports.twelve(), 200)
    assert all(printable(subject) in text for subject in reports.SUBJECTS)
    assert "kselftest:memory-hotplug" in text.splitlines()[0]


def test_many_columns_make_bands_that_all_name_the_rows() -> None:
    cells = [f"selftest:scenario.number{n:02d}" for n in range(20)]
    made = reports.report(*(reports.row(n, *map(reports.outcome, cells)) for n in range(3)))
    text = matrix(made, 80)
    assert text.count("\nbase") == text.count("\n   2  mm: let PG") >= 2
    assert text.count("PASS") == 60
    assert max(map(cell_len, text.splitlines())) <= 80


def test_the_narrowest_terminals_and_no_cells() -> None:
    for columns in (1, 10, 20, 30):
        assert "PASS" in matrix(reports.twelve(), columns)
    assert "base" in matrix(reports.report(reports.row(0)), 20)
    assert len(arrange((), (), 80)) == 1


def test_a_cell_that_was_not_run_is_a_dash_and_the_base_has_no_apply() -> None:
    made = reports.report(
        reports.row(0, reports.outcome("build:guest")),
        reports.row(1, reports.outcome("apply")),
    )
    base, patch = matrix(made, 100).splitlines()[-2:]
    assert base.split()[-2:] == ["PASS", "12s"] and "-  " not in base[30:]
    assert patch.split()[-2:] == ["PASS", "-"]
    assert verdict_line(made).endswith("1 cell not run")


def test_columns_follow_the_order_of_the_rows() -> None:
    made = reports.twelve()
    assert made.cells == reports.CELLS


def test_heads_stay_apart() -> None:
    assert heads(["check:boot", "selftest:boot", "boot:guest", "dump:dump.kdump"]) == {
        "check:boot": "check:boot",
        "selftest:boot": "selftest:boot",
        "boot:guest": "boot:guest",
        "dump:dump.kdump": "dump.kdump",
    }


def test_problems_name_summary_owner_evidence_log_and_the_way_on() -> None:
    text = problems(reports.twelve(), 200)
    assert "FAIL  patch 10, vmem.resize (fault of the patch): virtio-mem: para" in text
    assert "shrink: plugged size stayed at 256 MiB" in text
    assert "| [    4.812345] BUG: Bad page state" in text
    assert "log:  /state/outcomes/10/console.log" in text
    assert "more: kvtools report 20260301-101500-ab12 --cell 10:vmem.resize" in text
    assert "ERROR patch 7, kselftest:memory-hotplug (fault of the machine)" in text
    assert "WARN  patch 3, build:guest (fault of the patch)" in text
    assert text.index("FAIL ") < text.index("ERROR ") < text.index("WARN ")


def test_the_same_failure_is_told_once_but_not_merged_with_the_base() -> None:
    text = problems(reports.twelve(), 100)
    assert text.count("FAIL  ") == 1 and "the same on patch 11" in text
    fails = [
        reports.row(n, reports.outcome("boot:guest", Status.FAIL, fingerprints=("oops",)))
        for n in range(4)
    ]
    text = problems(reports.report(*fails), 100)
    assert text.count("FAIL  ") == 2 and "the same on patches 2..3" in text


def test_no_problem_no_block() -> None:
    assert problems(reports.report()) == "" == skips(reports.report())


def test_long_evidence_is_cut() -> None:
    made = reports.outcome("boot:guest", Status.FAIL, evidence=tuple(map(str, range(20))))
    assert "| ... 12 more" in problems(reports.report(reports.row(1, made)))


def test_skips_are_grouped_by_reason() -> None:
    assert skips(reports.twelve()) == "skip  vmem.* on base..9: the driver comes with patch 10"


def test_skips_without_the_promised_reason_keep_theirs() -> None:
    made = reports.report(
        reports.row(1, reports.skip("selftest:vmem.probe", "no QEMU")),
        reports.row(2, reports.skip("selftest:vmem.probe", "no QEMU"), reports.skip("boot:g", "")),
        reports.row(4, reports.skip("selftest:vmem.probe", "no KVM")),
        expectations=(Expectation("selftest:vmem.probe", 9, "later"),),
    )
    assert skips(made).splitlines() == [
        "skip  vmem.probe on patches 1..2: no QEMU",
        "skip  boot:g on patch 2: no reason given",
        "skip  vmem.probe on patch 4: no KVM",
    ]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [((0,), "base"), ((3,), "patch 3"), ((1, 2, 3, 7), "patches 1..3, 7"), ((0, 1, 2), "base..2")],
)
def test_rows(numbers: tuple[int, ...], text: str) -> None:
    assert rows(numbers) == text


def _one(status: Status, overall: Status, number: int = 1, **more: object) -> str:
    made = [reports.row(0, reports.outcome("boot:g")), reports.row(1, reports.outcome("boot:g"))]
    made[number] = reports.row(number, reports.outcome("boot:g", status, **more))
    return verdict_line(reports.report(*made, status=overall))


def test_the_last_line_says_what_it_means() -> None:
    assert _one(Status.PASS, Status.PASS) == "PASS: 1 patch, 0 at fault"
    assert _one(Status.SKIP, Status.PASS) == "PASS: 1 patch, 0 at fault; 1 cell skipped"
    assert _one(Status.WARN, Status.WARN) == "WARN: 1 patch, 0 at fault; warnings on patch 1"
    assert _one(Status.FAIL, Status.FAIL) == "FAIL: 1 of 1 patch at fault: patch 1 (boot:g)"
    assert _one(Status.ERROR, Status.ERROR, owner=Owner.MACHINE) == (
        "ERROR: 1 patch, 0 at fault; 1 cell without a verdict, which no patch is to blame for"
    )
    assert _one(Status.FAIL, Status.ERROR, number=0) == (
        "ERROR: 1 patch, 0 at fault; the base itself fails boot:g"
    )
    assert verdict_line(reports.twelve()).startswith(
        "FAIL: 2 of 12 patches at fault: patches 10..11, first patch 10 (vmem.resize); 1 cell"
    )
    alone = reports.report(reports.row(0, reports.outcome()))
    assert verdict_line(alone) == "PASS: the base alone"
    assert (
        verdict_line(reports.report(reports.row(0), status=Status.SKIP)) == "SKIP: nothing was run"
    )


def test_the_whole_report() -> None:
    text = render(reports.twelve(), 100)
    assert text.startswith("virtio-mem: PG_offline and virtio-mem\nbase   debian-6.1 6.1.192, ")
    assert "accel tcg (no vmx or svm in /proc/cpuinfo)" in text
    assert "note   ccache is not installed" in text
    assert text.rstrip().splitlines()[-1].startswith("FAIL: 2 of 12 patches at fault")
    assert "\n\n\n" not in text and "\x1b" not in text
    assert render(reports.twelve(), 100, ascii_only=True).isascii()


def test_nothing_drives_the_terminal() -> None:
    made = reports.outcome(
        "build:guest", Status.FAIL, summary=EVIL, evidence=(EVIL,), log=EVIL, owner=Owner.PATCH
    )
    skipped = reports.skip("boot:guest", EVIL)
    report = reports.report(
        reports.row(1, made, skipped, subject=EVIL), status=Status.FAIL, notices=(EVIL,)
    )
    report = replace(report, id=EVIL, series=replace(report.series, name=EVIL, title=EVIL))
    text = render(report, 80)
    hidden = [c for c in text if (ord(c) < 32 or 0x7F <= ord(c) < 0xA0) and c != "\n"]
    assert hidden == [] and "\u202e" not in text and "\u2066" not in text
    text.encode("utf-8")
    assert "\\x1b]0;owned\\x07" in text


def test_printable() -> None:
    assert printable("plain [/x]") == "plain [/x]"
    assert printable("a\tb") == "a       b"
    assert printable("\x1b[31m\r\n\x85\u2028") == "\\x1b[31m\\r\\n\\x85\\u2028"
    assert printable("\udce9 \ud83d") == "\\xe9 \\ud83d"
    assert printable("日本é", ascii_only=True) == "\\u65e5\\u672c\\xe9"
    assert printable("\U000e0041") == "\\U000e0041"
    kept = "日本 e\u0301 \u0645\u06cc\u200c\u062e"
    assert printable(kept) == kept
    assert valid_unicode("a\udcff\n") == "a\\xff\n"


def test_widths() -> None:
    assert width("日本") == 4 and width("e\u0301") == 1
    assert shorten("日本語の題名", 7) == "日本語…" and shorten("日本語の題名", 6) == "日本…"
    assert shorten("abcdef", 4, ascii_only=True) == "ab.."
    assert [shorten("abc", n) for n in (3, 2, 1, 0)] == ["abc", "a…", "…", ""]
    assert pad("日", 4) == "日  " and pad("long", 2) == "long"
    assert fold("aa bb cc", 5, "  ") == ["aa bb", "  cc"]
    assert fold("a-very-long/path x", 5) == ["a-very-long/path", "x"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0s"), (0.04, "0.0s"), (9.94, "9.9s"), (9.96, "10s"), (59.4, "59s"),
        (59.6, "1m00"), (241, "4m01"), (599.4, "9m59"), (599.6, "10m"), (5940, "99m"),
        (6000, "1h40"), (35990, "10h"), (360000, "100h"),
    ],
)  # fmt: skip
def test_short_time(seconds: float, text: str) -> None:
    assert short_time(seconds) == text and len(text) <= 4


def test_selectors_find_their_cell_again() -> None:
    made = reports.twelve()
    for row, outcome in made.outcomes():
        assert resolve(made, selector(made, row.number, outcome.cell)) == (row.number, outcome.cell)
    assert selector(made, 3, "build:guest") == "3:build"
    assert selector(made, 0, "selftest:vmem.probe") == "base:vmem.probe"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("3:boot", (3, "boot:guest")),
        ("base:boot:guest", (0, "boot:guest")),
        ("0:build", (0, "build:guest")),
        ("tip:apply", (12, "apply")),
        ("10:vmem.resize.grow", (10, "selftest:vmem.resize")),
        ("10:kselftest:memory-hotplug", (10, "selftest:kselftest:memory-hotplug")),
    ],
)
def test_resolve(wanted: str, found: tuple[int, str]) -> None:
    assert resolve(reports.twelve(), wanted) == found


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("13:boot", "no row '13'"),
        ("x:boot", "no row 'x'"),
        ("3", "names no column"),
        ("3:", "names no column"),
        ("", "no row ''"),
        ("3:nonsense", "no such column; one of apply, build:guest"),
        ("3:selftest", "ambiguous; one of selftest:vmem.probe"),
        ("base:apply", "was not run"),
        ("\u0663:boot", "no row"),
    ],
)
def test_resolve_refuses(wanted: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(reports.twelve(), wanted)
    assert says in str(caught.value)


def test_the_header_tells_how_much_of_a_long_run_was_our_own() -> None:
    report = replace(reports.twelve(), seconds=100.0, own_seconds=1.5)
    assert "1.5% of it outside make, checks and guests" in header(report, 200)
    for quiet in (replace(report, own_seconds=None), replace(report, seconds=5.0)):
        assert "outside make" not in header(quiet, 200)
