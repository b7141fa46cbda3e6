# SPDX-License-Identifier: GPL-2.0-or-later
"""The program that runs one step where it is confined: ``inside FD``, the request on stdin.

What it has to say goes to FD, a line of JSON each (:mod:`kvtools.quarantine.wire`).
"""

from __future__ import annotations

import ctypes
import importlib
import os
import pickle
import sys
import traceback
from dataclasses import dataclass
from typing import Any

from kvtools.errors import KvtoolsError, MachineError
from kvtools.quarantine import limits, wire

PR_SET_DUMPABLE = 4


@dataclass(frozen=True, slots=True)
class Task:
    """``step`` is a module of :mod:`kvtools.steps`, ``function`` the one of it to call."""

    step: str
    function: str
    request: Any
    bounds: limits.Limits
    emulator: bool


def main() -> int:
    """Always 0: what went wrong is told through the descriptor."""
    channel = int(sys.argv[1])
    os.set_inheritable(channel, False)
    # Programs of the series have our user id here: they must not write to our descriptors.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)

    def say(line: bytes) -> None:
        while line:
            line = line[os.write(channel, line) :]

    task: Task = pickle.load(sys.stdin.buffer)
    limits.apply(task.bounds, address_space=not task.emulator)
    try:
        # Only the one that is wanted: scenarios, say, take a while to import.
        function = getattr(importlib.import_module(f"kvtools.steps.{task.step}"), task.function)
        if task.function == "before":
            say(wire.of_side(function(task.request)))
        else:
            say(wire.of_outcome(function(task.request, lambda *told: say(wire.of_tick(*told)))))
    except MachineError as error:
        say(wire.of_error(error))
    except KvtoolsError as error:
        say(wire.of_error(MachineError(error.message, fix=error.fix)))
    except Exception as error:  # law: our own fault is an ERROR cell, never a lost run
        traceback.print_exc()
        fault = f"a fault in kvtools itself: {type(error).__name__}: {error}"
        say(wire.of_error(MachineError(fault)))
    return 0


if __name__ == "__main__":
    # Under this name, or the pickle of a Task would name another class than ours.
    from kvtools.quarantine.inside import main as run

    sys.exit(run())
