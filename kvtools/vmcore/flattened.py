# SPDX-License-Identifier: GPL-2.0-or-later
"""makedumpfile's flattened format: a dump for a pipe, as (offset, length, bytes) records.

A header of 4096 bytes, then records with big-endian 64-bit offset and length; the last one
has -1 for both (makedumpfile.h: ``struct makedumpfile_data_header``). QEMU writes it too.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from kvtools.vmcore.damaged import Damaged

SIGNATURE = b"makedumpfile\0\0\0\0"
HEADER = 4096
_RECORD = struct.Struct(">qq")
_END = (-1, -1)


def is_flattened(head: bytes) -> bool:
    return head.startswith(SIGNATURE)


def rearrange(source: BinaryIO, target: BinaryIO) -> None:
    """Write the dump file that ``source`` describes. Raises Damaged."""
    if not is_flattened(source.read(HEADER)):
        raise Damaged("not a dump in flattened format")
    while True:
        record = source.read(_RECORD.size)
        if len(record) < _RECORD.size:
            raise Damaged("the flattened dump ends without its end mark")
        offset, size = _RECORD.unpack(record)
        if (offset, size) == _END:
            return
        if offset < 0 or size < 0:
            raise Damaged(f"the flattened dump has a record of {size} bytes at {offset}")
        data = source.read(size)
        if len(data) < size:
            raise Damaged(f"the flattened dump is cut short in a record of {size} bytes")
        target.seek(offset)
        target.write(data)
