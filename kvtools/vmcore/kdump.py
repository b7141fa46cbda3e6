# SPDX-License-Identifier: GPL-2.0-or-later
"""The kdump-compressed format of makedumpfile and QEMU (makedumpfile's IMPLEMENTATION).

Blocks of one page: header, sub-header, two bitmaps (memory that there is, pages that the
file holds), then a descriptor for each page of the second bitmap, then their data.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from enum import IntFlag

from kvtools.vmcore import lzo, pages
from kvtools.vmcore.damaged import Damaged
from kvtools.vmcore.elfcore import Note, parse_notes
from kvtools.vmcore.pages import PAGE

MAGIC = b"KDUMP   "
_HEADER = struct.Struct("<8si390x6xqqIIIIIIIIIi")
_SUB = struct.Struct("<QiiQQqQqQqQQQQ")
_DESCRIPTOR = struct.Struct("<qIIQ")
_SMALL = 128  # a page of zeroes compresses to less, whatever the method


class Flags(IntFlag):
    """Of a page descriptor, and of the header's status."""

    ZLIB = 0x1
    LZO = 0x2
    SNAPPY = 0x4
    INCOMPLETE = 0x8
    EXCLUDED_VMEMMAP = 0x10
    ZSTD = 0x20


METHODS = Flags.ZLIB | Flags.LZO | Flags.SNAPPY | Flags.ZSTD

Decompress = Callable[[bytes], bytes]


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error as error:
        raise Damaged(f"zlib data that is damaged: {error}") from error


class KdumpFile:
    """A dump over a buffer (bytes or mmap). Raises Damaged; every descriptor is looked at.

    ``present`` are the pages that the dumped machine had, ``dumped`` those the file holds;
    of them ``shared`` have no data of their own (at a level that leaves zeroes out, makedumpfile
    lists such pages and stores one for all).
    ``more`` are ways to decompress beyond zlib and LZO.
    """

    def __init__(
        self, data: bytes, *, more: Mapping[Flags, Decompress] | None = None
    ) -> None:
        self._data = data
        self._decompress = {Flags.ZLIB: _inflate, Flags.LZO: lzo.decompress, **(more or {})}
        if data[: len(MAGIC)] != MAGIC or len(data) < 2 * PAGE:
            raise Damaged("not a kdump-compressed file")
        header = _HEADER.unpack_from(data)
        self.version, self.status, block = header[1], Flags(header[4]), header[5]
        if block != PAGE:
            raise Damaged(f"a dump with blocks of {block} bytes")
        sub_blocks, bitmap_blocks = header[6], header[7]
        sub = _SUB.unpack_from(data, PAGE)
        self.dump_level = sub[1]
        self.notes: tuple[Note, ...] = tuple(parse_notes(self._part("notes", sub[7], sub[8])))
        text = self._part("VMCOREINFO", sub[5], sub[6])
        self.vmcoreinfo: str | None = text.decode("ascii", "replace") if text else None
        if self.status & Flags.INCOMPLETE:
            raise Damaged("the dump says of itself that it is incomplete")
        self._bitmaps((1 + sub_blocks) * PAGE, bitmap_blocks * PAGE)
        self._descriptors = (1 + sub_blocks + bitmap_blocks) * PAGE
        self._check_descriptors()
        self._index: dict[int, int] | None = None

    def _part(self, what: str, offset: int, size: int) -> bytes:
        if offset + size > len(self._data):
            raise Damaged(f"the dump ends before its {what}")
        return bytes(self._data[offset : offset + size]) if size else b""

    def _bitmaps(self, at: int, size: int) -> None:
        both = self._part("bitmaps", at, size)
        half = size // 2
        self.present = int.from_bytes(both[:half], "little")
        self.dumped = int.from_bytes(both[half:], "little")
        if self.dumped & ~self.present:
            raise Damaged("the dump holds pages that its own map does not know")

    def _check_descriptors(self) -> None:
        table = self._part(
            "page descriptors", self._descriptors, pages.count(self.dumped) * _DESCRIPTOR.size
        )
        end = len(self._data)
        places: list[int] = []
        for offset, size, _, _ in _DESCRIPTOR.iter_unpack(table):
            if offset <= 0 or size > PAGE or offset + size > end:
                raise Damaged("the dump ends before the data of a page that it lists")
            places.append(offset)
        uses = Counter(places)
        self._frames = tuple(pages.frames(self.dumped))
        self.shared = pages.of(
            frame for frame, at in zip(self._frames, places, strict=True) if uses[at] > 1
        )

    def page(self, frame: int) -> bytes | None:
        """The content of a page, None where it was left out."""
        if self._index is None:
            self._index = {pfn: n for n, pfn in enumerate(self._frames)}
        number = self._index.get(frame)
        if number is None:
            return None
        at = self._descriptors + number * _DESCRIPTOR.size
        offset, size, flags, _ = _DESCRIPTOR.unpack_from(self._data, at)
        return self._content(bytes(self._data[offset : offset + size]), Flags(flags))

    def _content(self, raw: bytes, flags: Flags) -> bytes:
        method = flags & METHODS
        if not method:
            found = raw
        elif method in self._decompress:
            found = self._decompress[method](raw)
        else:
            raise Damaged(f"pages compressed with {method.name}, which this machine cannot read")
        if len(found) != PAGE:
            raise Damaged(f"a page of {len(found)} bytes")
        return found

    def zero_pages(self) -> int:
        """The set of pages that are nothing but zeroes; looks into each small one once."""
        zero, known = bytes(PAGE), dict[bytes, bool]()
        size_of_table = len(self._frames) * _DESCRIPTOR.size
        table = self._data[self._descriptors : self._descriptors + size_of_table]
        found: list[int] = []
        for frame, (offset, size, flags, _) in zip(
            self._frames, _DESCRIPTOR.iter_unpack(table), strict=True
        ):
            if _SMALL < size < PAGE:
                continue
            raw = bytes(self._data[offset : offset + size])
            if size == PAGE:
                is_zero = raw == zero
            elif raw in known:
                is_zero = known[raw]
            else:
                is_zero = known[raw] = self._content(raw, Flags(flags)) == zero
            if is_zero:
                found.append(frame)
        return pages.of(found)
