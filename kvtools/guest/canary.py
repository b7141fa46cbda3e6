#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Put pages with a known content into parts of physical memory, and tell where they are.

Arguments: MIB TOKEN START-END...: locks anonymous memory, a little at a time and MIB mebibytes
at most, until some of it lies in each range of physical addresses (hex, END exclusive); puts
the content :func:`pattern` into up to 64 pages of each range, prints ``START FRAME:INDEX ...``
for it, then ``ready``, and stays until it is killed. It runs in the guest with the standard
library alone.
"""

import ctypes
import mmap
import signal
import struct
import sys

PAGE = 4096
PRESENT = 1 << 63  # Documentation/admin-guide/mm/pagemap.rst
FRAME = (1 << 55) - 1
MOST = 64
STEP = 2 << 20


def pattern(token: str, index: int) -> bytes:
    return f"{token:>16.16}{index:016x}".encode() * (PAGE // 32)


class Piece:
    """Locked memory; ``frames`` are the page frames of its pages."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, STEP, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        if ctypes.CDLL(None).mlock(ctypes.c_void_p(address), ctypes.c_size_t(STEP)):
            raise SystemExit("mlock failed")
        with open("/proc/self/pagemap", "rb") as pagemap:
            pagemap.seek(address // PAGE * 8)
            entries = struct.unpack(f"<{STEP // PAGE}Q", pagemap.read(STEP // PAGE * 8))
        self.frames = [entry & FRAME if entry & PRESENT else 0 for entry in entries]


def main() -> None:
    most, token = int(sys.argv[1]) << 20, sys.argv[2]
    ranges = [tuple(int(part, 16) // PAGE for part in word.split("-")) for word in sys.argv[3:]]
    pieces: list[Piece] = []
    found: list[list[tuple[int, int]]] = [[] for _ in ranges]
    while not all(found) and len(pieces) * STEP < most:
        pieces.append(Piece())
        for place, (start, end) in zip(found, ranges, strict=True):
            frames = enumerate(pieces[-1].frames, (len(pieces) - 1) * STEP // PAGE)
            place += [(frame, index) for index, frame in frames if start <= frame < end]
    for place, (start, _) in zip(found, ranges, strict=True):
        chosen = place[:: max(1, len(place) // MOST)][:MOST]
        for _, index in chosen:
            piece, at = divmod(index * PAGE, STEP)
            pieces[piece].memory[at : at + PAGE] = pattern(token, index)
        print(f"{start * PAGE:x}", *(f"{frame}:{index}" for frame, index in chosen))
    print("ready", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
