# SPDX-License-Identifier: GPL-2.0-or-later
"""Run one step under bubblewrap and watch it from here."""

from __future__ import annotations

import os
import pickle
import select
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvtools import bwrap, process
from kvtools.errors import MachineError, ToolTimeout
from kvtools.events import Tick
from kvtools.quarantine import wire
from kvtools.quarantine.inside import Task
from kvtools.quarantine.limits import Limits, Watch
from kvtools.quarantine.views import Room

CHUNK = 1 << 16
LOG_LIMIT = 1 << 20
PROGRAM = "kvtools.quarantine.inside"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a step gave back; ``over`` is what it used too much of, and then nothing else."""

    data: dict[str, Any] = field(default_factory=dict)
    over: str = ""


def run(step: str, function: str, request: Any, room: Room, limits: Limits,
        tick: Tick) -> Answer:
    """Raises what the step raised, ToolTimeout, Garbled, or MachineError when memory is scarce.

    No process of the step is left when this returns.
    """
    shut = bwrap.probe()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kvtools-")))
        given = stack.enter_context((place / "request").open("w+b"))
        pickle.dump(Task(step, function, request, limits, room.emulator), given)
        given.seek(0)
        reader, writer = os.pipe()
        stack.callback(os.close, reader)
        log = place / "log"
        watch = Watch(limits, room.view.writable)
        try:
            command = [sys.executable, "-P", "-m", PROGRAM, str(writer)]
            child = stack.enter_context(process.spawn(
                bwrap.argv(room.view, command, shut=shut), log=log, stdin=given.fileno(),
                pass_fds=(writer,), limit=LOG_LIMIT, work=True))
        finally:
            os.close(writer)
        answer = _Attendant(child, reader, watch, tick).attend(room.seconds)
        child.kill()
        if not answer.over and (over := watch.disk_over(now=True)):
            return Answer(over=over)
        if not answer.over and not answer.data:
            raise wire.Garbled(f"the confined step ended without an answer: {_last(log)}")
        if "error" in answer.data:
            raise wire.error(answer.data["error"])
        return answer


class _Attendant:
    """Reads what one step says, and looks after it meanwhile."""

    def __init__(self, child: process.Child, reader: int, watch: Watch, tick: Tick) -> None:
        self._child, self._reader, self._watch, self._tick = child, reader, watch, tick
        self._part = bytearray()

    def attend(self, seconds: float) -> Answer:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if over := self._watch.over(self._child.pid):
                return Answer(over=over)
            if self._watch.scarce():
                raise MachineError("this machine ran out of memory: the confined step was stopped",
                                   fix="run it with less beside it, or with -j1")
            ready, _, _ = select.select([self._reader], [], [], 0.1)
            if not ready:
                continue
            data = os.read(self._reader, CHUNK)
            if not data:
                return Answer()
            if answer := self._hear(data):
                return answer
        raise ToolTimeout(f"the confined step did not end within {seconds:.0f} s")

    def _hear(self, data: bytes) -> Answer | None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            said = wire.message(bytes(self._part) + line)
            self._part.clear()
            if "tick" not in said:
                return Answer(said)
            self._tick(*wire.tick(said["tick"]))
        self._part += rest
        if len(self._part) > wire.LONGEST:
            return Answer(over=f"an answer of more than {wire.LONGEST >> 20} MiB")
        return None


def _last(log: Path) -> str:
    with suppress(OSError):
        if lines := log.read_text("utf-8", "replace").strip().splitlines():
            return lines[-1][:300]
    return "it was killed"
