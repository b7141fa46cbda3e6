#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Try to online and offline memory blocks through sysfs, and tell what the kernel says.

Arguments: numbers of memory blocks. Prints KTAP: for each block what it says of itself
before and after ("-" where there is no such file), and the errno of every write ("0" when
the kernel took it).
"""

from __future__ import annotations

import errno
import os
import sys

BLOCKS = "/sys/devices/system/memory"
WRITES = (
    ("state", "offline"), ("state", "online"), ("state", "online_kernel"),
    ("state", "online_movable"), ("online", "0"), ("online", "1"),
)  # fmt: skip


def read(block: str, name: str) -> str:
    try:
        with open(f"{BLOCKS}/memory{block}/{name}") as file:
            return file.read().strip() or "-"
    except OSError:
        return "-"


def write(block: str, name: str, value: str) -> str:
    try:
        descriptor = os.open(f"{BLOCKS}/memory{block}/{name}", os.O_WRONLY)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno))
    return "0"


print("KTAP version 1")
print(f"1..{len(sys.argv) - 1}")
for number, block in enumerate(sys.argv[1:], 1):
    names = ("state_control", "removable", "state")
    print("# before", block, *(read(block, name) for name in names))
    # Writing "1" to online of a block that is online changes nothing and is no error.
    for name, value in WRITES:
        if (name, value) != ("online", "1") or read(block, "state") != "online":
            print("# write", block, name, value, write(block, name, value))
    print("# after", block, *(read(block, name) for name in names))
    print(f"ok {number} memory{block}")
