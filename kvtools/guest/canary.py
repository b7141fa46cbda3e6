#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Put pages with a known content into parts of physical memory, and tell where they are.

Arguments: MIB TOKEN START-END...: locks MIB mebibytes of anonymous memory; for each range of
physical addresses (hex, END exclusive) prints a line ``START FRAME:INDEX ...`` of up to 64
pages that lie in it and have the content :func:`pattern` now, then ``ready``, and stays until
it is killed. It runs in the guest with the standard library alone.
"""

import ctypes
import mmap
import signal
import struct
import sys
from pathlib import Path

PAGE = 4096
PRESENT = 1 << 63  # Documentation/admin-guide/mm/pagemap.rst
FRAME = (1 << 55) - 1
MOST = 64


def pattern(token: str, index: int) -> bytes:
    return f"{token:>16.16}{index:016x}".encode() * (PAGE // 32)


def main() -> None:
    count = (int(sys.argv[1]) << 20) // PAGE
    memory = mmap.mmap(-1, count * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if ctypes.CDLL(None).mlock(ctypes.c_void_p(address), ctypes.c_size_t(count * PAGE)):
        raise SystemExit("mlock failed")
    with Path("/proc/self/pagemap").open("rb") as pagemap:
        pagemap.seek(address // PAGE * 8)
        entries = struct.unpack(f"<{count}Q", pagemap.read(count * 8))
    for word in sys.argv[3:]:
        start, end = (int(part, 16) // PAGE for part in word.split("-"))
        found = [i for i, e in enumerate(entries) if e & PRESENT and start <= e & FRAME < end]
        chosen = found[:: max(1, len(found) // MOST)][:MOST]
        for index in chosen:
            memory[index * PAGE : (index + 1) * PAGE] = pattern(sys.argv[2], index)
        print(f"{start * PAGE:x}", *(f"{entries[index] & FRAME}:{index}" for index in chosen))
    print("ready", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
