# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that run beside us, and programs that get our terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from kvtools.errors import Interrupted, MachineError
from kvtools.process import keeper
from kvtools.process.capture import CHUNK, LIMIT, Sinks
from kvtools.process.spawner import SPAWNER, Argv, Popen, ends, kill, program, too_late
from kvtools.process.stopwatch import WORK

LINGER = 1.0  # seconds for the output to end once every process is dead


class Child:
    """A program that runs beside us; a context manager that kills its whole tree on exit."""

    def __init__(
        self, words: Sequence[str], child: Popen, token: bytes, sinks: Sinks, *, work: bool
    ) -> None:
        self.argv = tuple(words)
        self.pid = child.pid
        self._child = child
        self._token = token
        self._sinks = sinks
        self._failure: MachineError | None = None
        self._work = work
        if work:
            WORK.begin()
        self._thread = threading.Thread(target=self._drain, name=program(words), daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        assert self._child.stdout is not None
        try:
            while data := os.read(self._child.stdout.fileno(), CHUNK):
                self._sinks.feed(0, data)
            self._sinks.finish()
        except MachineError as error:  # a full disk: whoever waits for the child is told
            self._failure = error
            with suppress(MachineError):
                kill(self._token, program(self.argv))
        finally:
            self._child.stdout.close()
            self._sinks.close()
            if self._work:
                WORK.end()

    def poll(self) -> int | None:
        """The exit status (negative: the signal), None while it runs.

        Raises :class:`MachineError` when the log could not be written.
        """
        if self._failure:
            raise self._failure
        return self._child.poll()

    def wait(self, deadline: float) -> int:
        """The exit status; raises ToolTimeout after ``deadline`` seconds, the tree killed.

        Also Interrupted after :func:`stop_all`, MachineError when the log could not be written.
        """
        late = ends(self._child, time.monotonic() + deadline) is None
        self.kill()
        if self._failure:
            raise self._failure
        if SPAWNER.stopped:
            raise Interrupted(f"{program(self.argv)} was stopped")
        if late:
            raise too_late(self.argv, deadline)
        return self._child.returncode

    def kill(self) -> None:
        """End the program and all it started, and complete the log; nothing if all is gone."""
        if self._child.poll() is None or keeper.marked(self._token):
            kill(self._token, program(self.argv))
        ends(self._child, time.monotonic() + LINGER)
        self._thread.join(LINGER)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


def spawn(
    argv: Argv,
    *,
    log: Path,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
    limit: int = LIMIT,
    work: bool = False,
) -> Child:
    """Start a program whose output is appended to ``log``, at most ``limit`` bytes of it.

    ``stdin`` and ``pass_fds`` are file descriptors, ``work`` as for :func:`run`. Raises as
    :func:`run` does at its start.
    """
    sinks = Sinks(log, None, limit, memory=False)
    try:
        child, token = SPAWNER.start(
            argv,
            cwd=cwd,
            env=env,
            stdio=(stdin, subprocess.PIPE, subprocess.STDOUT),
            pass_fds=pass_fds,
        )
    except BaseException:
        sinks.close()
        raise
    return Child([str(word) for word in argv], child, token, sinks, work=work)


def foreground(
    argv: Argv, *, cwd: str | Path | None = None, env: Mapping[str, str] | None = None
) -> int:
    """Hand the terminal to a program (an interactive guest, sudo) and return its status.

    It shares our terminal, so Ctrl-C is for it and not for us while it runs.
    """
    ours = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, lambda *_: None) if ours else None
    try:
        child, token = SPAWNER.start(
            argv, cwd=cwd, env=env, stdio=(None, None, None), session=False
        )
        try:
            return child.wait()
        finally:
            kill(token, program([str(word) for word in argv]))
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)
