# SPDX-License-Identifier: GPL-2.0-or-later
"""Draws what the core tells, and prints results: the only place that draws.

Progress goes to stderr: a live table on a terminal, plain lines elsewhere. Results go to
stdout through :func:`write_result`, coloured only on a terminal. Text from patches and logs is
never read as markup or sent as escape sequences.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console as RichConsole
from rich.live import Live
from rich.text import Text

from kvtools.events import Event, Notice, RunEnded, RunStarted, StepEnded, Working
from kvtools.model import Outcome, Status
from kvtools.report import RunReport, printable, render
from kvtools.report.board import Board, Key, Running
from kvtools.report.frame import Frame, row_name, title
from kvtools.report.layout import Line, short_time
from kvtools.report.printable import pad, width

STYLES = {
    "pass": "green",
    "warn": "yellow",
    "fail": "bold red",
    "error": "bold magenta",
    "skip": "dim",
    "running": "bold cyan",
    "head": "bold",
    "time": "dim",
    "warning": "yellow",
    "info": "dim",
}
QUIET_START = 2.0
EVERY = 30.0
FRAMES = 5.0
DEFAULT_COLUMNS, LEAST_COLUMNS = 100, 40


class Console:
    """Shows events as they come; safe to call from several threads.

    A context manager: leaving it stops the drawing and gives the cursor back, after Ctrl-C
    too. ``quiet`` lets only warnings through. ``stream`` is stderr unless given.
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        out = _Stream(sys.stderr if stream is None else stream)
        self._drawing: _Quiet | _Plain | _Table
        if quiet:
            self._drawing = _Quiet(out)
        elif _is_live(out.stream):
            self._drawing = _Table(out)
        else:
            self._drawing = _Plain(out)

    def emit(self, event: Event) -> None:
        """An :data:`kvtools.events.Emit`."""
        self._drawing.emit(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._drawing.stop(failed=kind is not None)


def show_report(report: RunReport, stream: TextIO | None = None) -> None:
    """Print the whole report to ``stream`` (stdout), as wide as its terminal."""
    out = sys.stdout if stream is None else stream
    text = render(report, terminal_columns(out), ascii_only=not _speaks_unicode(out))
    write_result(text, out)


def write_result(text: str, stream: TextIO | None = None) -> None:
    """Print a finished text to ``stream`` (stdout); a reader that left early is no error."""
    out = _Stream(sys.stdout if stream is None else stream)
    if _has_colour(out.stream):
        out.call(lambda: _rich(out.stream).print(_coloured(text), soft_wrap=True, end=""))
    else:
        out.write(text)


def terminal_columns(stream: TextIO) -> int:
    """The width of the terminal behind ``stream``; COLUMNS or 100 where there is none."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isascii() and asked.isdigit():
        return max(LEAST_COLUMNS, int(asked))
    try:
        return os.get_terminal_size(stream.fileno()).columns or DEFAULT_COLUMNS
    except (OSError, ValueError):
        return DEFAULT_COLUMNS


def _isatty(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _has_colour(stream: TextIO) -> bool:
    return (
        _isatty(stream)
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    )


def _is_live(stream: TextIO) -> bool:
    return _has_colour(stream) and not os.environ.get("CI")


def _speaks_unicode(stream: TextIO) -> bool:
    return "utf" in (stream.encoding or "").lower()


def _rich(stream: TextIO) -> RichConsole:
    return RichConsole(file=stream, highlight=False, markup=False, emoji=False)


def _coloured(text: str) -> Text:
    """Status words in their colours; log lines, paths and hints step back."""
    shown = Text(text)
    for status in Status:
        shown.highlight_regex(rf"\b{status}\b", STYLES[status.lower()])
    shown.highlight_regex(r"(?m)(?<= )skip\b", STYLES["skip"])
    shown.highlight_regex(r"(?m)^ +(\||log: |more: ).*$", "dim")
    shown.highlight_regex(r"(?m)^> .*$", STYLES["warn"])
    return shown


class _Stream:
    """A stream whose reader may leave: then nothing more is written, and nobody is told."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.ascii_only = not _speaks_unicode(stream)
        self._gone = False

    def write(self, text: str) -> None:
        encoding = self.stream.encoding or "utf-8"
        safe = text.encode(encoding, "backslashreplace").decode(encoding)
        self.call(lambda: self.stream.write(safe))

    def call(self, draw: Callable[[], object]) -> None:
        if self._gone:
            return
        try:
            draw()
            self.stream.flush()
        except (OSError, ValueError):  # EPIPE, EIO of a terminal that hung up, closed
            self._gone = True
            self._silence()

    def _silence(self) -> None:
        """Keep the interpreter from complaining when it flushes the stream at its end."""
        try:
            descriptor = self.stream.fileno()
        except (OSError, ValueError):
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


class _Quiet:
    """Only warnings."""

    def __init__(self, out: _Stream) -> None:
        self._out = out
        self._lock = threading.Lock()

    def emit(self, event: Event) -> None:
        if isinstance(event, Notice) and event.level == "warning":
            with self._lock:
                self._out.write(f"warning: {printable(event.text)}\n")

    def stop(self, *, failed: bool) -> None:
        """Nothing to clean up."""


class _Plain:
    """Lines: one per ended step, one when a step turns out to be slow, then one in 30 s."""

    def __init__(self, out: _Stream, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock = out, clock
        self._lock = threading.Lock()
        self._board = Board()
        self._told: dict[Key, float] = {}
        self._finished = threading.Event()
        self._ticker: threading.Thread | None = None

    def emit(self, event: Event) -> None:
        with self._lock:
            now = self._clock()
            before = self._board.working.get(event.what) if isinstance(event, Working) else None
            self._board.apply(event, now)
            line = self._line(event, now, before)
            if line:
                self._out.write(printable(line) + "\n")
        self._start()

    def tick(self) -> None:
        """Tell of what runs for longer than one would wait without a word."""
        with self._lock:
            now = self._clock()
            for key, state in self._board.running.items():
                last = self._told.get(key)
                slow = now - state.started >= QUIET_START
                if (last is None and slow) or (last is not None and now - last >= EVERY):
                    self._told[key] = now
                    self._out.write(printable(self._slow(key, state, now)) + "\n")

    def stop(self, *, failed: bool) -> None:
        self._finished.set()
        if self._ticker:
            self._ticker.join()

    def _start(self) -> None:
        # A bisection has steps, and no run of its own.
        if self._ticker is None and (self._board.run is not None or self._board.running):
            self._ticker = threading.Thread(target=self._watch, name="console", daemon=True)
            self._ticker.start()

    def _watch(self) -> None:
        while not self._finished.wait(1.0):
            self.tick()

    def _line(self, event: Event, now: float, before: float | None) -> str:
        match event:
            case RunStarted():
                return f"{title(event)}, run {event.run_id}"
            case StepEnded(patch, outcome):
                self._told.pop((patch, outcome.cell), None)
                return f"{self._label(patch, outcome.cell)} {_ended(outcome)}"
            case Working(what, done):
                took = now - before if before is not None else 0.0
                if done and took < QUIET_START:
                    return ""
                return f"{what}: done in {short_time(took)}" if done else f"{what} ..."
            case Notice(text, level):
                return f"{'warning' if level == 'warning' else 'note'}: {text}"
            case RunEnded(run_id, status, seconds):
                return f"{status} in {short_time(seconds)}, run {run_id}"
        return ""

    def _slow(self, key: Key, state: Running, now: float) -> str:
        facts = [state.progress(), self._board.time_left(now)]
        elapsed = f"{now - state.started:.0f}s"
        return f"{self._label(*key)} ...  {elapsed:>8}  {', '.join(filter(None, facts))}".rstrip()

    def _label(self, number: int, cell: str) -> str:
        run = self._board.run
        room = max(map(width, run.cells), default=0) if run else 0
        return f"[{row_name(self._board, number)}] {pad(cell, room)}"


class _Table:
    """The matrix filling in, on a terminal."""

    def __init__(self, out: _Stream) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._board = Board()
        self._began = time.monotonic()
        self._rich = _rich(out.stream)
        self._live: Live | None = None

    def emit(self, event: Event) -> None:
        with self._lock:
            self._board.apply(event, time.monotonic())
        self._out.call(lambda: self._draw(event))

    def _draw(self, event: Event) -> None:
        # Not under our lock: rich holds its own while it asks for a frame, which takes ours.
        if self._live is None:
            self._live = Live(
                get_renderable=self._renderable,
                console=self._rich,
                refresh_per_second=FRAMES,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)
        lasting = _lasting(self._board, event)
        if lasting:
            self._rich.print(lasting)

    def stop(self, *, failed: bool) -> None:
        live, self._live = self._live, None
        if live is None:
            return
        # The finished matrix follows on stdout; where it does not come here, this one stays.
        followed = not failed and _isatty(sys.stdout)
        live.transient = followed or self._board.run is None
        self._out.call(live.stop)

    def _renderable(self) -> Text:
        size = self._rich.size
        with self._lock:
            now = time.monotonic()
            frame = Frame(self._board, now, self._began, ascii_only=self._out.ascii_only)
            lines = frame.lines(size.width - 1, size.height - 1)
        return Text("\n", no_wrap=True, overflow="crop").join(map(_text, lines))


def _text(line: Line) -> Text:
    shown = Text()
    for text, style in line:
        shown.append(text, STYLES.get(style, ""))
    return shown


def _lasting(board: Board, event: Event) -> Text | None:
    """What stays on the terminal above the table: notices, and cells that did not pass."""
    if isinstance(event, Notice):
        return Text(printable(event.text), STYLES.get(event.level, ""))
    if isinstance(event, StepEnded):
        outcome = event.outcome
        if outcome.status in (Status.FAIL, Status.ERROR, Status.WARN):
            where = f"{row_name(board, event.patch).strip()} {outcome.cell}"
            said = Text(f"{outcome.status:<5} ", STYLES[outcome.status.lower()])
            return said.append(printable(f"{where}: {outcome.summary}"), "default not bold")
    return None


def _ended(outcome: Outcome) -> str:
    if outcome.reused:
        took = "stored"
    elif outcome.status is Status.SKIP:
        took = ""
    else:
        took = f"{outcome.seconds:.1f}s"
    return f"{outcome.status:<5} {took:>7}  {outcome.summary}".rstrip()
