#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that holds memory in a guest, and says whether it is still intact.

    hog.py hold MIB           anonymous memory; no page is like its neighbours
    hog.py pin MIB STRIDE     one page of every STRIDE KiB of MIB pinned (vmsplice(2) into a
                              pipe), the rest given back
    hog.py mix MIB MIB        kernel memory that cannot be moved (pipes full of data), and
                              anonymous memory
    hog.py churn MIB SEED     up to MIB of anonymous memory allocated, compared and freed again
                              and again, in pieces of any size, until the next command

Commands come line by line on standard input: "check" compares what is held with what was
written, "end" compares and exits. One KTAP document goes to standard output: a result when
the memory is filled and one for each command; the plan comes with "end", so that a hog that
was killed shows. Should the OOM killer look for a victim it is the hog, not the test.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import resource
import select
import sys
import zlib

MIB = 1 << 20
PAGE = mmap.PAGESIZE
CHUNK = 64 << 10
STEP = 4099  # odd: it takes CHUNK chunks until one is like another

# Bytes without a pattern. Not from os.urandom(), which waits for entropy in a guest that has
# just booted, for a minute on a busy host.
base = (3**331000).to_bytes(CHUNK + 200, "little")[:CHUNK]
checksum = zlib.crc32(base)


def chunk(number: int) -> bytes:
    """What the chunk of that number holds: the base rotated by a different amount each."""
    at = number * STEP % CHUNK
    return base[at:] + base[:at]


def anonymous(mebibytes: int) -> mmap.mmap:
    # Populated at once: under emulation a page fault costs far more than a page.
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    return mmap.mmap(-1, mebibytes * MIB, flags)


class Hold:
    def __init__(self, mebibytes: int) -> None:
        self.chunks = range(mebibytes * MIB // CHUNK)
        self.memory = anonymous(mebibytes)
        for number in self.chunks:
            self.memory[number * CHUNK : (number + 1) * CHUNK] = chunk(number)

    def wrong(self) -> list[str]:
        return [
            f"{CHUNK // 1024} KiB at {number * CHUNK:#x} changed"
            for number in self.chunks
            if self.memory[number * CHUNK : (number + 1) * CHUNK] != chunk(number)
        ]


class Pin:
    """The pages stay mapped; the pipes hold a reference to each, which keeps it in its place."""

    BUFFERS = 16  # of a new pipe, see pipe(7)

    def __init__(self, mebibytes: int, stride: int) -> None:
        self.memory = anonymous(mebibytes)
        self.pages = range(0, mebibytes * MIB, stride * 1024)
        self.pipes: list[tuple[int, int]] = []
        libc = ctypes.CDLL(None, use_errno=True)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        for number, offset in enumerate(self.pages):
            self.memory[offset : offset + 8] = offset.to_bytes(8, "little")
            if number % self.BUFFERS == 0:
                self.pipes.append(os.pipe())
            vector = (ctypes.c_size_t * 2)(start + offset, PAGE)
            if libc.vmsplice(self.pipes[-1][1], vector, 1, 0) != PAGE:
                raise OSError(ctypes.get_errno(), "vmsplice")
        last = 0
        for offset in (*self.pages, mebibytes * MIB):
            if offset > last:
                self.memory.madvise(mmap.MADV_DONTNEED, last, offset - last)
            last = offset + PAGE

    def wrong(self) -> list[str]:
        return [
            f"pinned page at {offset:#x} changed"
            for offset in self.pages
            if self.memory[offset : offset + 8] != offset.to_bytes(8, "little")
        ]


class Mix:
    def __init__(self, kernel: int, own: int) -> None:
        files = 2 * kernel + 64
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        self.own = Hold(own)
        self.pipes = []
        for number in range(kernel):
            ends = os.pipe()
            fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, MIB)
            for _ in range(MIB // CHUNK):
                os.write(ends[1], chunk(number))
            self.pipes.append(ends)

    def wrong(self) -> list[str]:
        """Reads the pipes empty, so it can be asked once."""
        found = self.own.wrong()
        for number, (end, _) in enumerate(self.pipes):
            held = b""
            while len(held) < MIB and (more := os.read(end, MIB - len(held))):
                held += more
            if held != chunk(number) * (MIB // CHUNK):
                found.append(f"pipe {number} changed")
        return found


class Churn:
    def __init__(self, mebibytes: int, seed: int) -> None:
        self.most, self.state, self.rounds = mebibytes, seed, 0
        self.found: list[str] = []

    def turn(self) -> None:
        self.state = (self.state * 1103515245 + 12345) % (1 << 31)
        size = 1 + (self.state >> 8) % self.most
        held = Hold(size)
        self.found += held.wrong()
        held.memory.close()
        self.rounds += size

    def wrong(self) -> list[str]:
        return self.found


KINDS = {"hold": Hold, "pin": Pin, "mix": Mix, "churn": Churn}


def main() -> None:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    print("KTAP version 1", flush=True)
    held = KINDS[sys.argv[1]](*map(int, sys.argv[2:]))
    print("ok 1 filled", flush=True)
    results, command = 1, ""
    while command != "end":
        while isinstance(held, Churn) and not select.select([0], [], [], 0)[0]:
            held.turn()
        command = os.read(0, 64).decode().strip()
        wrong = held.wrong()
        if zlib.crc32(base) != checksum:
            wrong.append("what it is compared with changed")
        for line in wrong[:10]:
            print("#", line)
        if isinstance(held, Churn):
            print("# churned", held.rounds)
        results += 1
        print(f"{'not ' if wrong else ''}ok {results} {command}", flush=True)
    print(f"1..{results}", flush=True)


main()
