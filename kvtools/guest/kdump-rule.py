#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stands for the udev rule of kdump.service: loads the crash kernel again as memory changes.

Argument: how kexec loads it, see kdump-load.sh. The rule that distributions ship is
``SUBSYSTEM=="memory", ACTION=="online|offline"`` (kdump-utils 98-kexec.rules); no udevd runs
in the guest, so the kernel's own uevents are read. Prints ``listening``, then a line
``event ACTION DEVPATH`` for each that the rule matches, and ``loaded N`` when the crash kernel
has been loaded after N of them. No module that it can do without: each costs under TCG.
"""

import os
import select
import socket
import sys

KERNEL_EVENTS = 1  # the multicast group
QUIET = 0.3  # seconds without an event before it loads: events come in bursts
ACTIONS = ("online", "offline")
HERE = __file__.rpartition("/")[0]


def matching(message: bytes) -> str:
    """``ACTION DEVPATH`` of a uevent that the rule matches, "" of another."""
    fields = dict(part.split("=", 1) for part in message.decode().split("\0") if "=" in part)
    if fields.get("SUBSYSTEM") != "memory" or fields.get("ACTION") not in ACTIONS:
        return ""
    return f"{fields['ACTION']} {fields['DEVPATH']}"


def main() -> None:
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15)  # NETLINK_KOBJECT_UEVENT
    events.bind((os.getpid(), KERNEL_EVENTS))
    print("listening", flush=True)
    seen = loaded = 0
    while True:
        if not select.select([events], [], [], QUIET if seen > loaded else None)[0]:
            script = f"{HERE}/kdump-load.sh"
            if os.spawnvp(os.P_WAIT, "sh", ["sh", script, sys.argv[1]]) != 0:
                raise SystemExit("the crash kernel could not be loaded again")
            loaded = seen
            print(f"loaded {loaded}", flush=True)
        elif event := matching(events.recv(1 << 16)):
            seen += 1
            print(f"event {event}", flush=True)


if __name__ == "__main__":
    main()
