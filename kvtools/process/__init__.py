# SPDX-License-Identifier: GPL-2.0-or-later
"""Run outside programs: the only user of :mod:`subprocess`.

Every program gets a session of its own, a deadline and a token in its environment
(``KVTOOLS_SPAWN``). Whatever carries the token belongs to the program and dies with it,
daemons included. Should kvtools die first, even of SIGKILL, :mod:`kvtools.keeper` does it.

There is no PR_SET_PDEATHSIG: it fires when the *thread* that forked ends, which is not
when kvtools ends, and setting it needs Python code between fork and exec, which is unsafe
with threads.
"""

from kvtools.process.child import Child, foreground, spawn
from kvtools.process.completed import Completed, run
from kvtools.process.environ import command_line
from kvtools.process.spawner import environment, reopen, stop_all, which
from kvtools.process.stopwatch import WORK

__all__ = [
    "Child",
    "Completed",
    "command_line",
    "environment",
    "foreground",
    "reopen",
    "run",
    "spawn",
    "stop_all",
    "which",
    "worked",
]


def worked() -> float:
    """Seconds so far in which a program started with ``work`` ran; compare two readings."""
    return WORK.seconds()
