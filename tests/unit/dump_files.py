# SPDX-License-Identifier: GPL-2.0-or-later
"""Small dump files of every kind, built by hand for the tests."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

PAGE = 4096
ZERO = bytes(PAGE)


def elf(
    segments: Mapping[int, bytes], *, notes: bytes = b"", headers_at: int = 64, gap: int = 0
) -> bytes:
    """A core file with a PT_LOAD for each physical address; headers as far out as QEMU's."""
    count = len(segments) + 1
    body = headers_at + 56 * count + gap
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 4, 62, 1, 0, headers_at,
        64 * (headers_at > 64), 0, 64, 56, count, 64, int(headers_at > 64), 0,
    )  # fmt: skip
    programs = struct.pack("<IIQQQQQQ", 4, 0, body, 0, 0, len(notes), len(notes), 0)
    at, data = body + len(notes), notes
    for address, content in segments.items():
        size = len(content)
        programs += struct.pack("<IIQQQQQQ", 1, 7, at, 0, address, size, size, 0)
        data += content
        at += size
    return header + bytes(headers_at - 64) + programs + bytes(gap) + data


def note(name: str, data: bytes, kind: int = 0) -> bytes:
    def padded(part: bytes) -> bytes:
        return part + bytes(-len(part) % 4)

    raw = name.encode() + b"\0"
    return struct.pack("<III", len(raw), len(data), kind) + padded(raw) + padded(data)


def kdump(
    held: Mapping[int, bytes],
    *,
    present: int = 0,
    level: int = 0,
    info: str = "",
    status: int = 1,
    compress: bool = True,
) -> bytes:
    """A kdump-compressed file; pages of zeroes share one at a level that leaves them out."""
    present |= sum(1 << frame for frame in held)
    dumped = sum(1 << frame for frame in held)
    half = -(-max(present.bit_length(), 1) // 8 // PAGE) or 1
    bitmaps = b"".join(m.to_bytes(half * PAGE, "little") for m in (present, dumped))
    at = (2 + 2 * half) * PAGE
    descriptors, data = b"", info.encode()
    info_at = at + 24 * len(held)
    zero_at = 0
    for frame in sorted(held):
        raw, flags = held[frame], 0
        if compress and len(packed := zlib.compress(raw)) < len(raw):
            raw, flags = packed, 1
        here = info_at + len(data)
        if level & 1 and held[frame] == ZERO:
            here, zero_at = zero_at or here, zero_at or here
        if here == info_at + len(data):
            data += raw
        descriptors += struct.pack("<qIIQ", here, len(raw), flags, 0)
    header = struct.pack(
        "<8si390x6xqqIIIIIIIIIi", b"KDUMP   ", 6, 0, 0, status, PAGE, 1, 2 * half,
        present.bit_length(), 0, 0, 0, 0, 1,
    )  # fmt: skip
    sub = struct.pack(
        "<QiiQQqQqQqQQQQ", 0, level, 0, 0, 0, info_at if info else 0, len(info), 0, 0, 0, 0,
        0, 0, present.bit_length(),
    )  # fmt: skip
    return b"".join((header.ljust(PAGE, b"\0"), sub.ljust(PAGE, b"\0"), bitmaps, descriptors, data))


def flat(data: bytes, piece: int = 1000) -> bytes:
    """The same bytes in flattened format, written from the end to the beginning."""
    head = b"makedumpfile\0\0\0\0" + struct.pack(">qq", 1, 1)
    records = [
        struct.pack(">qq", at, len(data[at : at + piece])) + data[at : at + piece]
        for at in range(0, len(data), piece)
    ]
    end = struct.pack(">qq", -1, -1)
    return head.ljust(PAGE, b"\0") + b"".join(reversed(records)) + end
