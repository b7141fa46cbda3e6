# SPDX-License-Identifier: GPL-2.0-or-later
"""The run under way: states of cells, an estimate that keeps quiet when it knows nothing."""

from __future__ import annotations

from dataclasses import replace

import reports
from rich.cells import cell_len

from kvtools.events import Progress, RunEnded, RunStarted, StepEnded, StepStarted, Working
from kvtools.model import Outcome, Status
from kvtools.report.board import Board, Running, window
from kvtools.report.frame import Frame
from kvtools.report.layout import as_text

BUILD, BOOT, PROBE = "build:guest", "boot:guest", "selftest:vmem.probe"


def started(cells: tuple[str, ...] = (BUILD, BOOT), patches: int = 5) -> RunStarted:
    rows = ((0, "the base"), *((n, reports.SUBJECTS[n - 1]) for n in range(1, patches + 1)))
    return RunStarted("id", "title", "debian-6.1", "tcg", rows, cells)


def board(*done: tuple[int, Outcome], cells: tuple[str, ...] = (BUILD, BOOT)) -> Board:
    made = Board()
    made.apply(started(cells), 0.0)
    for patch, outcome in done:
        made.apply(StepEnded(patch, outcome), 0.0)
    return made


def ran(cell: str, seconds: float) -> Outcome:
    return reports.outcome(cell, seconds=seconds)


def test_nothing_known_nothing_said() -> None:
    assert Board().time_left(0.0) == ""
    assert board().time_left(0.0) == ""
    assert board((0, ran(BUILD, 300))).time_left(0.0) == ""


def test_the_base_alone_bounds_the_builds() -> None:
    made = board((0, ran(BUILD, 300)), (0, ran(BOOT, 6)))
    assert made.time_left(0.0) == "at most 26m left"  # 5 * 306 s


def test_a_few_builds_do_not_replace_the_bound() -> None:
    made = board((0, ran(BUILD, 300)), (0, ran(BOOT, 6)), (1, ran(BUILD, 10)), (1, ran(BOOT, 6)))
    assert made.time_left(0.0) == "at most 20m left"  # 4 * 306 s


def test_patches_tell_about_patches() -> None:
    done = [(n, ran(c, s)) for n in range(4) for c, s in ((BUILD, 20 if n else 300), (BOOT, 10))]
    assert board(*done).time_left(0.0) == "about 1m00 left"


def test_what_was_last_time_stands_in() -> None:
    made = board((0, ran(BOOT, 6)))
    made.apply(StepStarted(0, BUILD, 100.0), 0.0)
    assert made.time_left(10.0) == "about 10m left"  # 90 + 5 * (100 + 6)


def test_a_skipped_cell_may_yet_be_long() -> None:
    cells = (BOOT, PROBE)
    made = board((0, ran(BOOT, 10)), (0, reports.skip(PROBE)), cells=cells)
    assert made.time_left(0.0) == "at most 1m40 left"
    assert board((0, reports.skip(PROBE)), cells=(PROBE,)).time_left(0.0) == ""


def test_skipped_cells_are_reckoned_to_take_as_long_as_others_on_average() -> None:
    cells = (BOOT, "selftest:long", PROBE)
    made = board((0, ran(BOOT, 10)), (1, ran(BOOT, 10)), (0, ran("selftest:long", 70)),
                 (1, ran("selftest:long", 70)), (0, reports.skip(PROBE)), cells=cells)
    assert made.time_left(0.0) == "at most 8m40 left"  # 4 * (10 + 70) + 5 * 40


def test_a_promise_says_for_how_many_rows() -> None:
    cells = (BOOT, PROBE)
    made = board((0, ran(BOOT, 10)), (0, reports.skip(PROBE)), cells=cells)
    assert made.run
    made.run = replace(made.run, since={PROBE: 5})
    assert made.time_left(0.0) == "about 55s left"  # 5 * 10 + 0 .. 10 of patch 5
    made.apply(StepEnded(1, ran(PROBE, 10)), 0.0)
    assert made.time_left(0.0) == "about 1m30 left"  # it runs, whatever was promised


def test_an_overrun_is_a_lower_bound() -> None:
    made = board((0, ran(BOOT, 10)), cells=(BOOT,))
    made.apply(StepStarted(1, BOOT, 10.0), 100.0)
    assert made.time_left(105.0) == "about 45s left"
    assert made.time_left(200.0) == "at least 40s left"


def test_side_by_side() -> None:
    made = board((0, ran(BOOT, 10)), cells=(BOOT,))
    for patch in (1, 2):
        made.apply(StepStarted(patch, BOOT, 10.0), 0.0)
    assert made.time_left(0.0) == "about 25s left"  # 10 + 3 * 10 / 2


def test_progress_beats_the_last_time() -> None:
    state = Running(0.0, 300.0, 725, 1450, "objects")
    assert state.left(5.0) == 295.0  # too early to tell a rate
    assert state.left(50.0) == 50.0
    assert Running(0.0, None).left(50.0) is None
    assert Running(0.0, 30.0).left(50.0) is None
    assert Running(0.0, None, 5, 0, "tests").progress() == "5 tests"
    assert state.progress() == "725/1450 objects" and Running(0.0).progress() == ""


def test_events() -> None:
    made = board()
    made.apply(Working("unpacking"), 1.0)
    made.apply(StepStarted(1, BUILD), 2.0)
    made.apply(StepStarted(1, BOOT), 3.0)
    assert made.current() == (1, BUILD) and made.working == {"unpacking": 1.0}
    made.apply(Progress(1, BUILD, 3, 9, "objects"), 4.0)
    assert made.running[1, BUILD] == Running(2.0, None, 3, 9, "objects")
    made.apply(Working("unpacking", True), 5.0)
    made.apply(StepEnded(1, ran(BUILD, 3)), 5.0)
    assert made.current() == (1, BOOT) and made.working == {}
    made.apply(Progress(1, BUILD, 9, 9), 6.0)  # a late word of another thread
    assert (1, BUILD) not in made.running
    made.apply(RunEnded("id", Status.PASS, 6.0), 7.0)
    assert made.current() is None


def test_the_base_has_no_apply() -> None:
    made = board(cells=("apply", BUILD))
    assert (0, "apply") not in made.planned() and (1, "apply") in made.planned()
    assert len(made.planned()) == 11 == len(made.pending())


def test_window() -> None:
    numbers = list(range(13))
    assert window(numbers, None, 20) == (0, 13)
    assert window(numbers, None, 5) == (0, 5)
    assert window(numbers, 12, 5) == (8, 13)
    assert window(numbers, 6, 5) == (4, 9)
    assert window([0, 40], 40, 1) == (1, 2)


def _lines(made: Board, columns: int = 79, height: int = 30, now: float = 0.0) -> list[str]:
    return [as_text(line) for line in Frame(made, now, 0.0).lines(columns, height)]


def test_frame_before_the_run_shows_the_preparation() -> None:
    made = Board()
    assert _lines(made) == []
    made.apply(Working("unpacking \x1b[2J"), 0.0)
    assert _lines(made, now=3.0)[0].endswith(" unpacking \\x1b[2J  3.0s")


def test_frame_of_a_run() -> None:
    made = board((0, ran(BUILD, 300)), (0, ran(BOOT, 6)))
    made.apply(StepStarted(1, BUILD, 300.0), 0.0)
    made.apply(Progress(1, BUILD, 812, 1450, "objects"), 90.0)
    lines = _lines(made, now=100.0)
    assert lines[0] == "title on debian-6.1, accel tcg"
    assert [line.split() for line in lines[1:3]] == [["build:"], ["guest", "boot:guest"]]
    assert lines[3].split()[-4:] == ["PASS", "5m00", "PASS", "6.0s"]
    assert lines[4].split()[-2:] == ["56%", "1m40"]
    assert lines[5].startswith("   2  mm: let PG_offline pages")
    assert lines[-2].endswith("1/5 build:guest  812/1450 objects, 1m40, about 1m19 left")
    assert lines[-1] == "2 of 12 cells, 1m40 so far, at most 22m left"


def test_frame_keeps_to_the_terminal() -> None:
    made = Board()
    made.apply(started(reports.CELLS, patches=12), 0.0)
    made.apply(StepStarted(9, BUILD), 0.0)
    for columns in (40, 60, 79, 119):
        for height in (12, 16, 40):
            lines = _lines(made, columns, height)
            assert len(lines) <= height and max(map(cell_len, lines)) <= columns
            assert any(line.startswith("   9  ") for line in lines)
    assert "(rows " in _lines(made, 119, 12)[0] and "(rows " not in _lines(made, 119, 40)[0]


def test_ascii_frame() -> None:
    made = Board()
    made.apply(started(reports.CELLS, patches=12), 0.0)
    made.apply(StepStarted(9, BUILD), 0.0)
    frame = Frame(made, 1.0, 0.0, ascii_only=True)
    assert all(as_text(line).isascii() for line in frame.lines(80, 40))
