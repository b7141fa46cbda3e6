# SPDX-License-Identifier: GPL-2.0-or-later
"""What is drawn where: lines in a pipe, a table on a terminal, and no terminal left broken."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import reports

from kvtools.console import Console, _Plain, _Stream, show_report, terminal_columns, write_result
from kvtools.events import (
    Event,
    Notice,
    Progress,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    Working,
)
from kvtools.model import Status

EVIL = "[/x] [red]\x1b[2J\x07\udcff"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def begin() -> RunStarted:
    rows = ((0, "the base"), *((n, reports.SUBJECTS[n - 1]) for n in range(1, 13)))
    return RunStarted("run-1", "virtio-mem", "debian-6.1", "tcg", rows, reports.CELLS)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def plain(*events: Event, encoding: str = "utf-8") -> list[str]:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    with Console(stream) as console:
        for event in events:
            console.emit(event)
    return raw.getvalue().decode(encoding).splitlines()


class Terminal:
    """A pseudo-terminal whose output is collected."""

    def __init__(self, columns: int = 96, lines: int = 30) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self._seen = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._master, 65536):
                self._seen += data

    def seen(self) -> str:
        return self._seen.decode("utf-8", "replace")

    def wait(self, text: str) -> None:
        end = time.monotonic() + 10
        while text not in self.seen():
            assert time.monotonic() < end, f"{text!r} never came: {self.seen()[-2000:]!r}"
            time.sleep(0.01)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.stream.close()
        self._reader.join(5)
        os.close(self._master)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


# Lines


def test_lines() -> None:
    made = reports.twelve()
    build, boot = made.rows[3].outcomes[1:3]
    assert plain(
        Working("unpacking"),
        Notice("no ccache", "warning"),
        Notice("hello"),
        begin(),
        StepEnded(0, made.rows[0].outcomes[0]),
        StepStarted(3, build.cell),
        StepEnded(3, build),
        StepEnded(3, boot),
        StepEnded(3, reports.skip("selftest:vmem.probe", "no driver")),
        RunEnded("run-1", Status.WARN, 1264.0),
    ) == [
        "unpacking ...",
        "warning: no ccache",
        "note: hello",
        "virtio-mem on debian-6.1, accel tcg, run run-1",
        "[ base] build:guest                       PASS   stored  1450 objects",
        "[ 3/12] build:guest                       WARN    18.9s  " + build.summary,
        "[ 3/12] boot:guest                        PASS     6.4s  booted",
        "[ 3/12] selftest:vmem.probe               SKIP           no driver",
        "WARN in 21m, run run-1",
    ]


def test_lines_hold_no_markup_and_no_escapes() -> None:
    lines = plain(begin(), Notice(EVIL), StepEnded(1, reports.outcome(summary=EVIL)))
    assert lines[1] == "note: [/x] [red]\\x1b[2J\\x07\\xff"
    assert lines[2].endswith("[/x] [red]\\x1b[2J\\x07\\xff")


def test_a_stream_that_speaks_little() -> None:
    assert plain(Notice("日本"), encoding="ascii") == ["note: \\u65e5\\u672c"]
    assert plain(Notice("é日"), encoding="latin-1") == ["note: é\\u65e5"]


def _ticking() -> tuple[_Plain, Clock, Callable[[], list[str]]]:
    out, clock = io.StringIO(), Clock()
    drawing = _Plain(_Stream(out), clock)

    def fresh() -> list[str]:
        lines = out.getvalue().splitlines()
        out.seek(0)
        out.truncate()
        return lines

    return drawing, clock, fresh


def test_a_slow_step_is_told_after_two_seconds_and_then_every_thirty() -> None:
    drawing, clock, fresh = _ticking()
    drawing._start = lambda: None  # type: ignore[method-assign]  # this test is the ticker
    drawing.emit(begin())
    drawing.emit(StepStarted(3, "build:guest"))
    fresh()
    told = {}
    for second in range(1, 66):
        clock.now = float(second)
        drawing.emit(Progress(3, "build:guest", second * 10, 1450, "objects"))
        drawing.tick()
        told[second] = fresh()
    assert [second for second, lines in told.items() if lines] == [2, 32, 62]
    assert told[2] == ["[ 3/12] build:guest                       ...        2s  20/1450 objects"]
    drawing.emit(StepEnded(3, reports.outcome()))
    clock.now = 200.0
    fresh()
    drawing.tick()
    assert fresh() == []


def test_a_quick_step_gets_one_line() -> None:
    drawing, clock, fresh = _ticking()
    drawing._start = lambda: None  # type: ignore[method-assign]
    drawing.emit(begin())
    fresh()
    drawing.emit(StepStarted(3, "boot:guest"))
    clock.now = 1.9
    drawing.tick()
    drawing.emit(StepEnded(3, reports.outcome("boot:guest")))
    assert len(fresh()) == 1


def test_the_end_of_long_preparation_is_told() -> None:
    drawing, clock, fresh = _ticking()
    drawing.emit(Working("probing"))
    drawing.emit(Working("probing", True))
    drawing.emit(Working("unpacking"))
    clock.now = 75.0
    drawing.emit(Working("unpacking", True))
    assert fresh() == ["probing ...", "unpacking ...", "unpacking: done in 1m15"]


def test_the_ticker_runs_and_ends() -> None:
    out = io.StringIO()
    drawing = _Plain(_Stream(out), lambda: time.monotonic() * 10)
    drawing.emit(begin())
    drawing.emit(StepStarted(3, "build:guest"))
    end = time.monotonic() + 10
    while "..." not in out.getvalue():
        assert time.monotonic() < end
        time.sleep(0.02)
    drawing.stop(failed=False)
    assert not [t for t in threading.enumerate() if t is drawing._ticker]


def test_quiet_lets_warnings_through() -> None:
    out = io.StringIO()
    with Console(out, quiet=True) as console:
        for event in (begin(), Notice("a"), Notice(EVIL, "warning"), StepStarted(1, "apply")):
            console.emit(event)
    assert out.getvalue() == "warning: [/x] [red]\\x1b[2J\\x07\\xff\n"


def test_many_threads_never_mix_lines() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8")
    with Console(stream) as console:
        console.emit(begin())

        def work(number: int) -> None:
            for _ in range(50):
                console.emit(StepStarted(number, "boot:guest"))
                console.emit(StepEnded(number, reports.outcome("boot:guest", summary="x" * 40)))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = raw.getvalue().decode().splitlines()
    assert len(lines) == 401
    shape = re.compile(r"\[ ?\d/12\] boot:guest +PASS +12\.3s  x{40}")
    assert all(shape.fullmatch(line) for line in lines[1:])


# A reader that leaves


def test_a_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", encoding="utf-8")
    with Console(stream) as console:
        for _ in range(3):
            console.emit(Notice("x" * 100_000))
    write_result("more", stream)
    stream.close()  # would raise when something were still buffered for the pipe


def test_head_leaves_no_complaint() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import reports\n"
        "from kvtools.console import show_report\n"
        "for _ in range(200): show_report(reports.twelve())\n"
    )
    here = Path(__file__).resolve().parent
    environment = {**os.environ, "PYTHONPATH": str(here.parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(here)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        assert child.stdout.readline() == b"virtio-mem: PG_offline and virtio-mem\n"
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(30) == 0


# A terminal


def run_table(terminal: Terminal, *events: Event, until: str) -> str:
    with Console(terminal.stream) as console:
        for event in events:
            console.emit(event)
        terminal.wait(until)
    return terminal.seen()


def test_the_table_fills_in(terminal: Terminal) -> None:
    text = run_table(
        terminal,
        begin(),
        StepEnded(0, reports.outcome(seconds=251.3)),
        StepStarted(1, "build:guest"),
        Progress(1, "build:guest", 812, 1450, "objects"),
        until="812/1450 objects",
    )
    assert "4m11" in text and "56%" in text and "1 of 77 cells" in text


def test_the_cursor_comes_back(terminal: Terminal) -> None:
    text = run_table(terminal, begin(), until="0 of 77 cells")
    terminal.wait(SHOW)
    assert text.count(HIDE) == 1 and terminal.seen().rindex(SHOW) > text.index(HIDE)


def test_the_cursor_comes_back_after_ctrl_c(terminal: Terminal) -> None:
    with pytest.raises(KeyboardInterrupt), Console(terminal.stream) as console:
        console.emit(begin())
        console.emit(StepStarted(1, "build:guest"))
        terminal.wait("1/12 build:guest")
        raise KeyboardInterrupt
    terminal.wait(SHOW)
    assert not [t for t in threading.enumerate() if type(t).__name__ == "_RefreshThread"]
    # What was going on stays to be seen: the last thing drawn is the table, not its erasure.
    assert "of 77 cells" in terminal.seen()[terminal.seen().rindex("virtio-mem on") :]


def test_notices_and_failures_stay_above_the_table(terminal: Terminal) -> None:
    failed = reports.outcome("boot:guest", Status.FAIL, summary=f"oops {EVIL}")
    text = run_table(
        terminal, begin(), Notice(EVIL, "warning"), StepEnded(3, failed), until="1 of 77"
    )
    plain_text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert "[/x] [red]\\x1b[2J\\x07\\xff" in plain_text
    assert "FAIL  3/12 boot:guest: oops [/x] [red]\\x1b[2J\\x07\\xff" in plain_text
    assert "\x1b[2J" not in text and "\x07" not in text


def test_nothing_is_drawn_before_the_first_event(terminal: Terminal) -> None:
    with Console(terminal.stream):
        pass
    assert terminal.seen() == ""


def test_threads_and_the_table_do_not_lock_each_other(terminal: Terminal) -> None:
    with Console(terminal.stream) as console:
        console.emit(begin())

        def work(number: int) -> None:
            for step in range(30):
                console.emit(Progress(number, "build:guest", step, 30))
                console.emit(Notice(f"{number} {step}"))

        threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("CI", "true")])
def test_lines_where_a_table_is_not_wanted(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    text = run_table(terminal, begin(), until="run run-1")
    assert "\x1b" not in text


def test_a_terminal_that_hung_up(terminal: Terminal) -> None:
    terminal.stream.close()
    with Console(terminal.stream) as console:
        console.emit(Notice("nobody sees this"))


# Results


def test_results_in_a_pipe_have_no_colour() -> None:
    out = io.StringIO()
    show_report(reports.twelve(), out)
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().splitlines()[-1].startswith("FAIL: 2 of 12 patches at fault")


def test_results_on_a_terminal_are_coloured_and_as_wide(terminal: Terminal) -> None:
    show_report(reports.twelve(), terminal.stream)
    terminal.wait("20 cells skipped")
    text = terminal.seen()
    assert "\x1b[32mPASS\x1b[0m" in text and "\x1b[1;31mFAIL\x1b[0m" in text
    rows = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text.splitlines()]
    table = [line for line in rows if re.match(r"  +\d+  ", line)]
    assert len(table) == 12 and all(86 < len(line) <= 96 for line in table[:8])


def test_no_color_on_a_terminal(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    show_report(reports.twelve(), terminal.stream)
    terminal.wait("20 cells skipped")
    assert "\x1b" not in terminal.seen()


def test_markup_in_results_is_text(terminal: Terminal) -> None:
    write_result("[red]x[/red] [/x] :smile:\n", terminal.stream)
    terminal.wait("[red]x[/red] [/x] :smile:")


def test_width(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert terminal_columns(terminal.stream) == 96
    assert terminal_columns(io.StringIO()) == 100
    monkeypatch.setenv("COLUMNS", "132")
    assert terminal_columns(io.StringIO()) == 132
    monkeypatch.setenv("COLUMNS", "many")
    assert terminal_columns(io.StringIO()) == 100


def test_steps_without_a_run_are_told_as_well() -> None:
    """A bisection: for minutes nothing was said of its builds."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="utf-8")
    drawing = _Plain(_Stream(out), lambda: time.monotonic() * 10)
    drawing.emit(StepStarted(41, "build:guest"))
    until = time.monotonic() + 10
    while b"build:guest" not in raw.getvalue() and time.monotonic() < until:
        time.sleep(0.05)
    drawing.stop(failed=False)
    assert raw.getvalue().decode().startswith("[  41] build:guest ...")
