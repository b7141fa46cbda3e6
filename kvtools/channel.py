# SPDX-License-Identifier: GPL-2.0-or-later
r"""The host's end of the channel to the guest agent (``kvtools/guest/agent.sh``).

A virtio-serial port, on our side a Unix socket. The host asks, the agent answers; nothing
comes unasked except the first ``hello``. Every message is a line of words; where bytes of a
command follow, the line says how many, so they may be anything:

======================  ==================================================================
``hello``               ``hello VERSION RELEASE UPTIME`` (also sent once by itself)
``run ID SCRIPT``       ``running ID``; SCRIPT as ``printf %b`` reads it
``poll ID``             ``running ID`` or ``done ID STATUS OUT ERR\n<OUT+ERR bytes>\n``
``peek ID``             ``partial ID - OUT ERR\n<bytes>\n``: what there is so far
``stop ID``             ``running ID``; the command's session got SIGKILL
``trace``               ``traced``; blocked tasks and busy CPUs are on the console
``poweroff``            ``bye``; the agent ends and with it the guest
======================  ==================================================================

One command at a time. While it runs the agent keeps answering, so a silent agent means a
stuck guest and not a long command. Deadlines are kept on this side.
"""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from kvtools.errors import GuestLost, MachineError

VERSION = 1
AGENT = Path(__file__).parent / "guest" / "agent.sh"
POLL_FIRST, POLL_LAST = 0.01, 0.2  # seconds between polls of a command: doubling
STOP_PATIENCE = 5.0  # for a killed command to be gone
LONGEST_LINE = 4096


class Silent(Exception):
    """The agent did not answer in time: the guest hangs or never came up."""


class Garbled(MachineError):
    """The agent said something that is not in the protocol."""


@dataclass(frozen=True, slots=True)
class Hello:
    """``release`` is ``uname -r``, ``uptime`` the guest's seconds since boot."""

    release: str
    uptime: float


@dataclass(frozen=True, slots=True)
class Result:
    """A command that ended in the guest, or was killed at its deadline (``late``)."""

    status: int
    stdout: bytes
    stderr: bytes
    seconds: float
    late: bool = False

    @property
    def ok(self) -> bool:
        return self.status == 0 and not self.late

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "surrogateescape")

    @property
    def complaint(self) -> str:
        """One line for an error message: the last thing said, or the status."""
        said = (self.stderr or self.stdout).decode("utf-8", "replace").strip().splitlines()
        reason = f"exit status {self.status}" if not self.late else "killed at its deadline"
        return f"{said[-1]} ({reason})" if said else reason


class Channel:
    """Talks to one agent from one thread. Closed by leaving its ``with`` block."""

    def __init__(self, connection: socket.socket, patience: float) -> None:
        """``patience``: seconds within which the agent of a healthy guest answers."""
        self._socket = connection
        self._socket.setblocking(False)
        self._patience = patience
        self._buffer = bytearray()
        self._number = 0

    @classmethod
    def connect(cls, path: Path, patience: float) -> Self:
        """Raises OSError while QEMU does not listen yet."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            raise
        return cls(connection, patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def greet(self, patience: float) -> Hello | None:
        """The agent's hello, None if it did not come within ``patience`` seconds.

        Raises GuestLost when QEMU closed the socket, Garbled on another version.
        """
        try:
            words = self._line(time.monotonic() + patience).split(" ")
        except Silent:
            return None
        try:
            greeting, version, release, uptime = words
            if greeting == "hello" and int(version) == VERSION:
                return Hello(release, float(uptime))
        except ValueError:
            pass
        raise Garbled(f"the guest agent greeted with {' '.join(words)[:80]!r}")

    def run(self, script: str, deadline: float) -> Result:
        """Run a shell script in the guest as root, in ``/``.

        A script that takes longer than ``deadline`` seconds is killed and its Result is
        ``late``, with what it had said. Raises Silent when the agent itself stops
        answering, GuestLost when QEMU is gone.
        """
        start = time.monotonic()
        self.start(script)
        pause = POLL_FIRST
        while time.monotonic() - start < deadline:
            result = self._poll(start)
            if result is not None:
                return result
            time.sleep(pause)
            pause = min(2 * pause, POLL_LAST)
        return self._stop(start)

    def start(self, script: str) -> None:
        """Have a script run without waiting for its end, which may be the guest's."""
        self._number += 1
        self._ask(f"run {self._number} {encode(script)}", "running")

    def trace(self) -> None:
        """Have the kernel print its blocked tasks and busy CPUs on the console."""
        self._ask("trace", "traced")

    def poweroff(self) -> None:
        self._ask("poweroff", "bye")

    def _poll(self, start: float, *, late: bool = False) -> Result | None:
        words = self._ask(f"poll {self._number}", "running", "done")
        if words[0] == "running":
            return None
        status, out, err = self._numbers(words, 3)
        stdout, stderr = self._streams(out, err)
        return Result(status, stdout, stderr, time.monotonic() - start, late)

    def _stop(self, start: float) -> Result:
        self._ask(f"stop {self._number}", "running")
        end = time.monotonic() + STOP_PATIENCE
        while time.monotonic() < end:
            result = self._poll(start, late=True)
            if result is not None:
                return result
            time.sleep(POLL_LAST)
        words = self._ask(f"peek {self._number}", "partial")
        out, err = self._numbers(words, 2)
        stdout, stderr = self._streams(out, err)
        return Result(-1, stdout, stderr, time.monotonic() - start, late=True)

    def _ask(self, request: str, *expected: str) -> list[str]:
        end = time.monotonic() + self._patience
        self._send(request.encode("ascii") + b"\n", end)
        words = self._line(end).split(" ")
        if words[0] not in expected:
            raise Garbled(f"the guest agent answered {' '.join(words)[:80]!r} to {request[:20]!r}")
        return words

    def _numbers(self, words: list[str], count: int) -> list[int]:
        """The last ``count`` of the five words of an answer to the latest command."""
        try:
            if len(words) == 5 and int(words[1]) == self._number:
                return [int(word) for word in words[-count:]]
        except ValueError:
            pass
        raise Garbled(f"the guest agent answered {' '.join(words)[:80]!r}")

    def _streams(self, out: int, err: int) -> tuple[bytes, bytes]:
        data = self._take(out + err + 1, time.monotonic() + self._patience)
        return data[:out], data[out : out + err]

    def _send(self, data: bytes, end: float) -> None:
        view = memoryview(data)
        while view:
            if not select.select([], [self._socket], [], _left(end))[1]:
                raise Silent
            try:
                view = view[self._socket.send(view) :]
            except OSError as error:
                raise GuestLost(f"QEMU closed the channel to the guest ({error})") from error

    def _line(self, end: float) -> str:
        while (at := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LONGEST_LINE:
                raise Garbled("the guest agent sent a line without an end")
            self._receive(end)
        line = bytes(self._buffer[:at])
        del self._buffer[: at + 1]
        return line.decode("ascii", "replace")

    def _take(self, count: int, end: float) -> bytes:
        while len(self._buffer) < count:
            before = len(self._buffer)
            self._receive(end)
            if len(self._buffer) > before:
                end = max(end, time.monotonic() + self._patience)  # much data, but it comes
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _receive(self, end: float) -> None:
        if not select.select([self._socket], [], [], _left(end))[0]:
            raise Silent
        try:
            data = self._socket.recv(1 << 16)
        except OSError as error:
            raise GuestLost(f"QEMU closed the channel to the guest ({error})") from error
        if not data:
            raise GuestLost("QEMU closed the channel to the guest")
        self._buffer += data


def encode(script: str) -> str:
    r"""One line of printable ASCII that ``printf %b`` turns back into ``script``.

    >>> encode("a\\b\n")
    'a\\0134b\\0012'
    """
    safe = set(range(0x20, 0x7F)) - {0x5C}
    raw = script.encode("utf-8", "surrogateescape")
    # Spaces at the ends are escaped too: the shell's read strips them.
    inner = raw.strip(b" ")
    lead = len(raw) - len(raw.lstrip(b" "))
    trail = len(raw) - lead - len(inner)
    body = "".join(chr(byte) if byte in safe else f"\\0{byte:03o}" for byte in inner)
    return "\\0040" * lead + body + "\\0040" * trail


def _left(end: float) -> float:
    return max(0.0, end - time.monotonic())
