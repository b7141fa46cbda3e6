# SPDX-License-Identifier: GPL-2.0-or-later
"""The channel against the real agent, which runs here on a pseudo terminal in raw mode."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kvtools import channel
from kvtools.channel import AGENT, Channel, Garbled, Silent, encode
from kvtools.errors import GuestLost


@contextmanager
def agent(tmp_path: Path, patience: float = 10.0) -> Iterator[Channel]:
    master, slave = os.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        ["sh", str(AGENT), os.ttyname(slave), str(tmp_path / "agent")], start_new_session=True
    )

    def pump(read: int, write: int) -> None:
        with suppress(OSError):
            while data := os.read(read, 65536):
                while data:
                    data = data[os.write(write, data) :]

    for pair in ((master, theirs.fileno()), (theirs.fileno(), master)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
    try:
        with Channel(ours, patience) as opened:
            yield opened
    finally:
        process.kill()
        process.wait()
        theirs.shutdown(socket.SHUT_RDWR)
        os.close(slave)


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Channel]:
    with agent(tmp_path) as opened:
        hello = opened.greet(10.0)
        assert hello
        assert hello.release == os.uname().release
        assert hello.uptime > 0
        yield opened


def test_status_and_streams(guest: Channel) -> None:
    result = guest.run("echo out; echo err >&2; exit 3", 10.0)
    assert (result.status, result.stdout, result.stderr) == (3, b"out\n", b"err\n")
    assert not result.ok
    assert result.complaint == "err (exit status 3)"
    assert guest.run("true", 10.0).ok


def test_any_bytes_come_back(guest: Channel) -> None:
    raw = bytes(range(256)) * 3 + b"done 1 0 0 0\nhello 1 x 1"
    script = "printf '" + "".join(f"\\{byte:03o}" for byte in raw) + "'"
    assert guest.run(script, 10.0).stdout == raw


@pytest.mark.parametrize(
    "script",
    [
        "echo 'a  b' \"$HOME\"",
        "  printf '%s|' 1 2   ",
        "cat <<'X'\n\\n $y `z` \\\\\nX\n",
        "printf 'ä\\t€'",
    ],
)
def test_a_script_arrives_as_it_was_sent(guest: Channel, script: str) -> None:
    here = subprocess.run(
        ["sh", "-c", script], capture_output=True, check=False, env={**os.environ, "HOME": "/root"}
    )
    assert guest.run(script, 10.0).stdout == here.stdout


def test_much_output_is_whole(guest: Channel) -> None:
    assert guest.run("head -c 3000000 /dev/zero", 20.0).stdout == bytes(3_000_000)


def test_late_is_killed_with_what_it_said(guest: Channel, tmp_path: Path) -> None:
    start = time.monotonic()
    result = guest.run(f"echo begun; sleep 100 & sleep 100; touch {tmp_path / 'on'}", 0.3)
    assert time.monotonic() - start < 5
    assert result.late
    assert not result.ok
    assert result.stdout == b"begun\n"
    assert guest.run("echo next", 10.0).stdout == b"next\n"
    assert not (tmp_path / "on").exists()


def test_appending_to_standard_output_again(guest: Channel) -> None:
    # kselftest's runner.sh does it.
    script = "echo 1; echo 2 >>/proc/self/fd/1; echo 3"
    assert guest.run(script, 10.0).stdout == b"1\n2\n3\n"


def test_standard_input_is_empty(guest: Channel) -> None:
    assert guest.run("cat; echo end", 10.0).stdout == b"end\n"


def test_poweroff_ends_the_agent(guest: Channel) -> None:
    guest.poweroff()


@pytest.fixture
def pair() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    with Channel(ours, 0.2) as opened, theirs:
        yield opened, theirs


def test_a_silent_agent(pair: tuple[Channel, socket.socket]) -> None:
    assert pair[0].greet(0.05) is None
    with pytest.raises(Silent):
        pair[0].run("true", 10.0)


def test_a_greeting_in_pieces(pair: tuple[Channel, socket.socket]) -> None:
    pair[1].send(b"hello 1 6.1.")
    assert pair[0].greet(0.05) is None
    pair[1].send(b"192 4.5\n")
    assert pair[0].greet(0.05) == channel.Hello("6.1.192", 4.5)


def test_a_closed_socket(pair: tuple[Channel, socket.socket]) -> None:
    pair[1].close()
    with pytest.raises(GuestLost):
        pair[0].greet(1.0)
    with pytest.raises(GuestLost):
        pair[0].run("true", 10.0)


@pytest.mark.parametrize(
    "answer",
    [b"refused x\n", b"done 1 0 a 0\n", b"done 1 0\n", b"\xff\xfe\n", b"x" * 5000],
)
def test_nonsense(pair: tuple[Channel, socket.socket], answer: bytes) -> None:
    pair[1].send(b"running 1\n" + answer)
    with pytest.raises(Garbled):
        pair[0].run("true", 10.0)


@pytest.mark.parametrize("greeting", [b"hello 2 6.1 4\n", b"hi\n", b"hello 1 6.1 soon\n"])
def test_another_greeting(pair: tuple[Channel, socket.socket], greeting: bytes) -> None:
    pair[1].send(greeting)
    with pytest.raises(Garbled):
        pair[0].greet(1.0)


def test_encode_is_one_line_of_ascii() -> None:
    assert encode(" a\\b\nä ") == "\\0040a\\0134b\\0012\\0303\\0244\\0040"
    assert encode("   ").replace("\\0040", " ") == "   "
