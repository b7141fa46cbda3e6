# SPDX-License-Identifier: GPL-2.0-or-later
"""How long the programs that do the real work ran: what is left is kvtools' own time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up the time during which at least one of the programs that it is told of runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._since = 0.0
        self._total = 0.0

    def begin(self) -> None:
        with self._lock:
            if not self._running:
                self._since = time.monotonic()
            self._running += 1

    def end(self) -> None:
        with self._lock:
            self._running -= 1
            if not self._running:
                self._total += time.monotonic() - self._since

    @contextmanager
    def running(self) -> Iterator[None]:
        self.begin()
        try:
            yield
        finally:
            self.end()

    def seconds(self) -> float:
        """So far; compare two readings."""
        with self._lock:
            return self._total + (time.monotonic() - self._since if self._running else 0.0)


WORK = Stopwatch()  # one for each process, like the spawner
