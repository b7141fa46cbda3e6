# SPDX-License-Identifier: GPL-2.0-or-later
"""Two runs side by side: what got worse is told, and noise is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import reports
import rich_reports
from rich.cells import cell_len

from kvtools.model import Outcome, Owner, Status
from kvtools.report import RunReport
from kvtools.report.compare import compare, render_comparison


def run(*outcomes: Outcome, **more: object) -> RunReport:
    return reports.report(reports.row(0), reports.row(1, *outcomes), **more)


def text(before: RunReport, after: RunReport, columns: int = 100) -> str:
    return render_comparison(compare(before, after), columns)


def test_the_same_run_twice() -> None:
    made = text(reports.twelve(), reports.twelve())
    assert made.endswith("\n\nNo status and no finding changed.\n")
    assert "worse" not in made and "times" not in made


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        (Status.PASS, Status.FAIL, True), (Status.PASS, Status.WARN, True),
        (Status.PASS, Status.ERROR, True), (Status.PASS, Status.SKIP, True),
        (Status.SKIP, Status.WARN, True), (Status.ERROR, Status.FAIL, True),
        (Status.FAIL, Status.PASS, False), (Status.SKIP, Status.PASS, False),
        (Status.FAIL, Status.ERROR, False),
    ],
)  # fmt: skip
def test_worse_and_better(before: Status, after: Status, worse: bool) -> None:
    one = run(reports.outcome("boot:g", before))
    found = compare(one, run(reports.outcome("boot:g", after))).changed
    assert [change.worse for change in found] == [worse]


def test_a_cell_that_was_not_run() -> None:
    one, two = run(reports.outcome("boot:g")), run()
    assert "boot:g: PASS -> not run" in text(one, two).split("worse:")[1]
    assert "boot:g: not run -> PASS: all is well" in text(two, one).split("better:")[1]


def test_patches_are_matched_by_subject_and_not_by_number() -> None:
    passed, failed = reports.outcome("boot:g"), reports.outcome("boot:g", Status.FAIL)
    one = reports.report(reports.row(1, passed, subject="a"), reports.row(2, failed, subject="b"))
    two = reports.report(reports.row(1, failed, subject="b"), reports.row(2, passed, subject="a"),
                         reports.row(3, subject="c"))  # fmt: skip
    found = compare(one, two)
    assert found.changed == () and [row.subject for row in found.added] == ["c"]
    assert [row.subject for row in compare(two, one).dropped] == ["c"]


def test_two_patches_of_one_subject_keep_their_order() -> None:
    passed, failed = reports.outcome("boot:g"), reports.outcome("boot:g", Status.FAIL)
    same = [reports.row(1, passed, subject="x"), reports.row(2, failed, subject="x")]
    assert compare(reports.report(*same), reports.report(*same)).changed == ()


def test_findings_come_and_go() -> None:
    one = run(reports.outcome("boot:g", Status.FAIL, fingerprints=("splat: old",)))
    two = run(reports.outcome("boot:g", Status.FAIL, fingerprints=("splat: new",)))
    made = text(one, two)
    assert "new findings:\n  patch 1, boot:g: splat: new" in made
    assert "findings that are gone:\n  patch 1, boot:g: splat: old" in made


def test_times_are_told_only_where_they_mean_something() -> None:
    def timed(seconds: float, **more: bool) -> RunReport:
        return run(reports.outcome("build:g", seconds=seconds, **more))

    assert "build:g: 20s -> 40s" in text(timed(20), timed(40))
    assert "build:g: 40s -> 20s" in text(timed(40), timed(20))
    stored = timed(9, reused=True)
    for one, two in ((timed(20), timed(25)), (timed(1), timed(9)), (stored, timed(90))):
        assert "times" not in text(one, two)


def test_sizes_and_settings() -> None:
    one = run(reports.outcome("build:g", details={"image_bytes": 2_800_000}))
    two = run(reports.outcome("build:g", details={"image_bytes": 2_804_096}), id="later")
    two = replace(two, host=replace(two.host, tools={"qemu": "9.0"}))
    made = text(one, two, 120)
    assert "build:g: 2,800,000 -> 2,804,096 bytes (+4,096)" in made
    assert "qemu differs: 7.2.19 -> 9.0" in made and "gcc differs: 12.2.0 -> none" in made
    assert "accel differs" not in made


def test_who_is_to_blame_is_said() -> None:
    bad = reports.outcome("boot:g", Status.FAIL, summary="kernel BUG", owner=Owner.PATCH)
    made = text(run(reports.outcome("boot:g")), run(bad))
    assert "boot:g: PASS -> FAIL: kernel BUG" in made and made.endswith("1 worse, 0 better.\n")


def test_hostile_text_and_narrow_terminals() -> None:
    made = text(rich_reports.hostile(), reports.twelve(), 60)
    made += text(reports.twelve(), rich_reports.hostile(), 60)
    assert all(c == "\n" or (ord(c) >= 32 and not 0x7F <= ord(c) < 0xA0) for c in made)
    plain = text(reports.twelve(), rich_reports.rich(), 60)
    assert max(map(cell_len, plain.splitlines())) <= 60
