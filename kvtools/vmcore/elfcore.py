# SPDX-License-Identifier: GPL-2.0-or-later
"""ELF core files of 64-bit machines: /proc/vmcore, ``makedumpfile -E``, QEMU's elf dumps."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kvtools.vmcore import pages
from kvtools.vmcore.damaged import Damaged
from kvtools.vmcore.pages import PAGE

MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little-endian
PT_LOAD, PT_NOTE = 1, 4
ET_CORE = 4
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_NOTE = struct.Struct("<III")
_PHOFF_AT = 32
_ANY = 0xFFFF  # PN_XNUM
HIGHEST = 1 << 42  # /proc/kcore has -1 for what has no physical address


@dataclass(frozen=True, slots=True)
class Segment:
    """A PT_LOAD: ``size`` bytes at ``offset`` are those at physical ``start``."""

    start: int
    size: int
    offset: int

    @property
    def end(self) -> int:
        return self.start + self.size


@dataclass(frozen=True, slots=True)
class Note:
    name: str
    kind: int
    data: bytes


class ElfCore:
    """A core file over a buffer (bytes or mmap). Raises Damaged."""

    def __init__(self, data: bytes, *, headers_only: bool = False) -> None:
        """``headers_only``: the buffer may end behind the notes."""
        self._data = data
        if data[: len(MAGIC)] != MAGIC or len(data) < _HEADER.size:
            raise Damaged("not an ELF file")
        fields = _HEADER.unpack_from(data)
        self.program_headers_at = fields[5]
        count = fields[10]
        if fields[1] != ET_CORE or count == _ANY:
            raise Damaged("not an ELF core file")
        self.segments: list[Segment] = []
        self.notes: list[Note] = []
        for number in range(count):
            self._program_header(fields[5] + number * _PROGRAM.size, headers_only)
        self.present = pages.spans((s.start, s.end) for s in self.segments)
        self.dumped = self.present
        self.shared = 0

    def _program_header(self, at: int, headers_only: bool) -> None:
        if at + _PROGRAM.size > len(self._data):
            raise Damaged("the program headers of the core file are cut short")
        kind, _, offset, _, start, size, _, _ = _PROGRAM.unpack_from(self._data, at)
        if kind == PT_NOTE:
            if offset + size > len(self._data):
                raise Damaged("the notes of the core file are cut short")
            self.notes += parse_notes(bytes(self._data[offset : offset + size]))
        elif kind == PT_LOAD and start + size <= HIGHEST:
            if offset + size > len(self._data) and not headers_only:
                raise Damaged(f"the core file ends before its memory at {start:#x}")
            self.segments.append(Segment(start, size, offset))

    @property
    def vmcoreinfo(self) -> str | None:
        """The text of the note, None when there is none."""
        return _vmcoreinfo(self.notes)

    def page(self, frame: int) -> bytes | None:
        """The content of a page, None where the file has none of it."""
        address = frame * PAGE
        for segment in self.segments:
            if segment.start <= address and address + PAGE <= segment.end:
                at = segment.offset + address - segment.start
                return bytes(self._data[at : at + PAGE])
        return None

    def zero_pages(self) -> int:
        """The set of pages that are nothing but zeroes."""
        zero = bytes(PAGE)
        found: list[int] = []
        for segment in self.segments:
            first = -(-segment.start // PAGE)
            begin = segment.offset + first * PAGE - segment.start
            end = segment.offset + segment.size - PAGE
            for number, at in enumerate(range(begin, end + 1, PAGE)):
                if self._data[at : at + PAGE] == zero:
                    found.append(first + number)
        return pages.of(found)


def _vmcoreinfo(notes: Sequence[Note]) -> str | None:
    for note in notes:
        if note.name == "VMCOREINFO":
            return note.data.decode("ascii", "replace")
    return None


def parse_notes(data: bytes) -> Iterator[Note]:
    """The notes of a PT_NOTE segment; what is not whole at its end is left out."""
    at = 0
    while at + _NOTE.size <= len(data):
        name_size, size, kind = _NOTE.unpack_from(data, at)
        name_at = at + _NOTE.size
        at = name_at + (name_size + 3 & ~3)
        if name_size == 0 or at + size > len(data):
            return
        name = data[name_at : name_at + name_size].rstrip(b"\0").decode("ascii", "replace")
        yield Note(name, kind, data[at : at + size])
        at += size + 3 & ~3


def with_headers_in_front(data: bytes) -> bytes:
    """The first bytes of a core file with its program headers right behind the ELF header.

    QEMU 7.2 puts section headers between the two and makedumpfile 1.7.2 does not look at
    e_phoff ("Can't get the number of PT_LOAD"). Raises Damaged when there is no room.
    """
    core = ElfCore(data, headers_only=True)
    fields = _HEADER.unpack_from(data)
    if core.program_headers_at < _HEADER.size:
        raise Damaged("the program headers overlap the ELF header")
    size = fields[10] * _PROGRAM.size
    headers = data[core.program_headers_at : core.program_headers_at + size]
    front = bytearray(data[: _HEADER.size])
    struct.pack_into("<Q", front, _PHOFF_AT, _HEADER.size)
    struct.pack_into("<Q", front, 40, 0)  # e_shoff: the section headers are overwritten
    struct.pack_into("<HHH", front, 58, 0, 0, 0)  # e_shentsize, e_shnum, e_shstrndx
    return bytes(front) + headers
