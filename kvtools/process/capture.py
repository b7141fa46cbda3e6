# SPDX-License-Identifier: GPL-2.0-or-later
"""Output without a bound, kept within one: the beginning and the end, and a line between."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from kvtools.errors import MachineError

LIMIT = 64 << 20
TAIL = 64 << 10
CHUNK = 1 << 16
LONGEST_LINE = 64 << 10


class Capped:
    """Passes at most about ``limit`` bytes on to ``write``.

    The first bytes go through at once; of what is over the limit the last ones follow at
    :meth:`finish`, behind a line that says how many bytes are missing. ``lost`` counts them.
    """

    def __init__(self, write: Callable[[bytes], object], limit: int) -> None:
        self._write = write
        self._keep = min(TAIL, limit // 2)
        self._room = limit - self._keep
        self._tail = bytearray()
        self.lost = 0

    def feed(self, data: bytes) -> None:
        if self._room:
            head = data[: self._room]
            self._room -= len(head)
            self._write(head)
            data = data[len(head) :]
        if data:
            self._tail += data
            excess = len(self._tail) - self._keep
            if excess > 0:
                del self._tail[:excess]
                self.lost += excess

    def finish(self) -> None:
        if self.lost:
            self._write(f"\n[kvtools: {self.lost} bytes of output left out here]\n".encode())
        if self._tail:
            self._write(bytes(self._tail))
            self._tail.clear()


class Lines:
    """Cuts a stream into lines for ``on_line``: UTF-8 with surrogateescape, no line ends.

    Of a line longer than :data:`LONGEST_LINE` only the beginning is passed on.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._part = bytearray()

    def feed(self, data: bytes) -> None:
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._add(line)
            self._emit()
        self._add(rest)

    def _add(self, data: bytes) -> None:
        self._part += data[: LONGEST_LINE - len(self._part)]

    def _emit(self) -> None:
        line = bytes(self._part).rstrip(b"\r")
        self._part.clear()
        self._on_line(line.decode("utf-8", "surrogateescape"))

    def finish(self) -> None:
        if self._part:
            self._emit()


def _write_log(path: Path) -> tuple[Callable[[bytes], None], Callable[[], None]]:
    """Write and close functions of ``path``, opened to append, with errors of the disk named."""

    def failed(error: OSError) -> MachineError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return MachineError(f"disk full while writing {path}", fix="make room and run it again")
        return MachineError(f"cannot write {path}: {error.strerror}")

    try:
        file = path.open("ab", buffering=0)
    except OSError as error:
        raise failed(error) from error

    def write(data: bytes) -> None:
        try:
            while data:
                data = data[file.write(data) :]
        except OSError as error:
            raise failed(error) from error

    return write, file.close


class Sinks:
    """Where the output of one program goes: memory, the log, the listener."""

    def __init__(
        self,
        log: Path | None,
        on_line: Callable[[str], None] | None,
        limit: int,
        *,
        memory: bool = True,
    ) -> None:
        self.out = bytearray()
        self.err = bytearray()
        kept = (Capped(self.out.extend, limit), Capped(self.err.extend, limit))
        self._memory = kept if memory else ()
        self._lines = tuple(Lines(on_line) for _ in range(2)) if on_line else ()
        self._log: Capped | None = None
        self.close: Callable[[], None] = lambda: None
        if log is not None:
            write, self.close = _write_log(log)
            self._log = Capped(write, limit)

    @property
    def lost(self) -> int:
        return sum(sink.lost for sink in self._memory)

    def feed(self, stream: int, data: bytes) -> None:
        if self._memory:
            self._memory[stream].feed(data)
        if self._log:
            self._log.feed(data)
        if self._lines:
            self._lines[stream].feed(data)

    def finish(self) -> None:
        for sink in (*self._memory, *self._lines, *([self._log] if self._log else [])):
            sink.finish()
