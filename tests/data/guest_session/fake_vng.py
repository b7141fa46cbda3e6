# SPDX-License-Identifier: GPL-2.0-or-later
"""Stands in for vng, QEMU and the guest: the sockets, a console, and one way to end.

Arguments: the directory of tests/unit, the run directory, how to behave. The guest's
commands are run on this machine.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

tests, directory, mode = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
sys.path.insert(0, tests)
from fake_qemu import FakeQemu  # noqa: E402

console = (directory / "console.log").open("a", buffering=1)


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def answer(command: str, arguments: dict) -> object:
    if command == "quit":
        threading.Timer(0.05, os._exit, (0,)).start()
    if command == "query-status":
        return {"status": "paused" if mode == "paused" else "running"}
    return {}


def end(what: str) -> None:
    if what == "panic":
        console.write("[    3.100000] Kernel panic - not syncing: VFS: Unable to mount root fs\n")
        console.write("[    3.200000] ---[ end Kernel panic - not syncing: VFS ]---\n")
    if what in ("panic", "reset"):
        qemu.event("SHUTDOWN", guest=True, reason="guest-reset")
    if what in ("panic", "reset", "killed"):
        time.sleep(0.05)
        die()


def crash(connection: socket.socket, number: str) -> None:
    """The panic asked for, and by the mode what comes of it."""
    connection.sendall(f"running {number}\n".encode())
    console.write("[    5.000000] Kernel panic - not syncing: sysrq triggered crash\n")
    if mode != "crash-nothing":
        console.write("[    0.000000] Linux version 6.1.0\n")
    if mode == "crash-splat":
        console.write("[    1.000000] WARNING: CPU: 0 PID: 1 at mm/x.c:1 second_kernel+0x1/0x2\n")
    if mode == "crash-oops":
        console.write("[    1.000000] Kernel panic - not syncing: no memory for it\n")
    if mode == "crash-hang":
        time.sleep(60)
    if mode != "crash-killed":
        reason = "guest-reset" if mode == "crash-nothing" else "guest-shutdown"
        qemu.event("SHUTDOWN", guest=True, reason=reason)
        time.sleep(0.05)
    die()


if mode == "refused":
    sys.exit("qemu-system-x86_64: invalid accelerator")
qemu = FakeQemu(directory / "qmp", answer)
listener = socket.socket(socket.AF_UNIX)
listener.bind(str(directory / "channel"))
listener.listen()
if mode != "mute":
    console.write("[    0.000000] Linux version 6.1.0\n[    1.500000] Run /init as init process\n")
connection, _ = listener.accept()
time.sleep(0.1)
if mode.startswith("boot-"):
    end(mode.removeprefix("boot-"))
if mode in ("mute", "boot-hang", "paused"):
    time.sleep(60)
connection.sendall(b"hello 1 6.1.0 2.5\n")
for line in connection.makefile("r"):
    words = line.rstrip("\n").split(" ", 2)
    if words[0] == "run":
        script = subprocess.run(["printf", "%b", words[2]], capture_output=True, text=True).stdout
        if "sysrq" in script:
            sys.exit("a script that would crash this machine")
        if script == "crash-now":
            crash(connection, words[1])
        done = subprocess.run(["sh", "-c", script], capture_output=True)
        connection.sendall(f"running {words[1]}\n".encode())
        end(mode)
        if mode == "hang":
            time.sleep(60)
        if mode == "splat":
            console.write(
                "[    4.000000] ------------[ cut here ]------------\n"
                "[    4.000000] WARNING: CPU: 1 PID: 1 at mm/x.c:1 plug_it+0x1/0x2\n"
                "[    4.000000] RIP: 0010:plug_it+0x1/0x2\n"
                "[    4.000000] ---[ end trace 0000000000000000 ]---\n"
            )
    elif words[0] == "poll":
        head = f"done {words[1]} {done.returncode} {len(done.stdout)} {len(done.stderr)}\n"
        connection.sendall(head.encode() + done.stdout + done.stderr + b"\n")
        if mode == "restart":
            console.write("[    0.000000] Linux version 6.1.0\n")
            threading.Timer(0.2, connection.sendall, (b"hello 1 6.1.0 1.25\n",)).start()
