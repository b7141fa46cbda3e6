# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that are run to their end."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from kvtools.errors import Interrupted, ToolFailed
from kvtools.process import keeper
from kvtools.process.capture import CHUNK, LIMIT, Sinks
from kvtools.process.spawner import SPAWNER, Argv, Popen, ends, kill, program, too_late
from kvtools.process.stopwatch import WORK

LOOK = 0.1  # seconds between looks at a program whose pipes are silent
LINGER = 1.0  # seconds for the pipes to close once every process is dead


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that ended. ``lost`` bytes of output went over the limit and are not here."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes
    seconds: float
    lost: int = 0

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "surrogateescape")


class _Pump:
    """Feeds standard input and drains the outputs of one program."""

    def __init__(self, child: Popen, sinks: Sinks, stdin: bytes | None) -> None:
        self._child = child
        self._sinks = sinks
        self._rest = memoryview(stdin or b"")
        self._selector = selectors.DefaultSelector()
        for number, stream in enumerate((child.stdout, child.stderr)):
            if stream is not None:
                self._selector.register(stream, selectors.EVENT_READ, number)
        if child.stdin is not None:
            os.set_blocking(child.stdin.fileno(), False)
            self._selector.register(child.stdin, selectors.EVENT_WRITE, None)

    @property
    def open(self) -> bool:
        return bool(self._selector.get_map())

    def until(self, end: float) -> None:
        """Work until the pipes are closed, the clock shows ``end``, or the program is gone
        and the pipes, held open by what it left behind, are silent."""
        while self.open and (left := end - time.monotonic()) > 0:
            ready = self._selector.select(min(LOOK, left))
            for key, _ in ready:
                if key.data is None:
                    self._give()
                elif data := os.read(key.fd, CHUNK):
                    self._sinks.feed(key.data, data)
                else:
                    self._selector.unregister(key.fileobj)
            if not ready and self._child.poll() is not None:
                return

    def _give(self) -> None:
        assert self._child.stdin is not None
        try:
            self._rest = self._rest[os.write(self._child.stdin.fileno(), self._rest[:CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._rest = self._rest[:0]
        if not self._rest:
            self._selector.unregister(self._child.stdin)
            self._child.stdin.close()

    def close(self) -> None:
        self._selector.close()
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def run(
    argv: Argv,
    *,
    deadline: float,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    log: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    check: bool = True,
    merge: bool = False,
    limit: int = LIMIT,
    work: bool = False,
) -> Completed:
    """Run a program to its end, or for ``deadline`` seconds from now.

    ``env`` is merged over :func:`environment`. ``log``: standard output and error are
    appended to this file as they come. ``merge``: standard error goes into ``stdout``.
    ``on_line`` sees each line of both. ``limit`` bytes are kept of each output and of the log.
    ``work``: what kvtools exists to run (make, a check), see :func:`worked`.

    Raises :class:`ToolMissing`; :class:`ToolTimeout`; :class:`ToolFailed` on a non-zero
    status unless ``check`` is off; :class:`Interrupted` after :func:`stop_all`;
    :class:`MachineError` when the log cannot be written. No process is left in any case.
    """
    words = tuple(str(word) for word in argv)
    begun = time.monotonic()
    with ExitStack() as stack:
        if work:
            stack.enter_context(WORK.running())
        sinks = Sinks(log, on_line, limit)
        stack.callback(sinks.close)
        feed = subprocess.DEVNULL if stdin is None else subprocess.PIPE
        error = subprocess.STDOUT if merge else subprocess.PIPE
        child, token = SPAWNER.start(argv, cwd=cwd, env=env, stdio=(feed, subprocess.PIPE, error))
        pump = _Pump(child, sinks, stdin)
        stack.callback(pump.close)
        try:
            pump.until(begun + deadline)
            late = ends(child, begun + deadline) is None
            if late or keeper.marked(token):
                kill(token, program(words))
            pump.until(time.monotonic() + LINGER)
            sinks.finish()
        except BaseException:
            kill(token, program(words))
            raise
        finally:
            ends(child, time.monotonic() + LINGER)
    done = Completed(
        words,
        child.returncode,
        bytes(sinks.out),
        bytes(sinks.err),
        time.monotonic() - begun,
        sinks.lost,
    )
    if SPAWNER.stopped:
        raise Interrupted(f"{program(words)} was stopped")
    if late:
        raise too_late(words, deadline)
    if check and done.returncode != 0:
        raise ToolFailed(f"{program(words)} {_ending(done)}")
    return done


def _ending(done: Completed) -> str:
    code = done.returncode
    if code < 0:
        with suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}{_last_line(done)}"
    return f"ended with status {code}{_last_line(done)}"


def _last_line(done: Completed) -> str:
    for stream in (done.stderr, done.stdout):
        if lines := stream[-4096:].decode("utf-8", "replace").strip().splitlines():
            return ": " + lines[-1].strip()[:300]
    return ""
