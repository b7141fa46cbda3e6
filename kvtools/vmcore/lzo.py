# SPDX-License-Identifier: GPL-2.0-or-later
"""Decompress LZO1X, as makedumpfile -l writes it (Documentation/staging/lzo.rst)."""

from __future__ import annotations

from kvtools.vmcore.damaged import Damaged

_NEAR, _MIDDLE, _FAR = 1, 2049, 16384
_RUN = 4  # the state after a run of literals


def decompress(data: bytes) -> bytes:
    """Raises Damaged on what is no whole LZO1X stream."""
    try:
        return bytes(_Stream(data).run())
    except IndexError:
        raise Damaged("LZO data that is cut short") from None


class _Stream:
    """``state``: how many literals the last instruction copied, 4 for a run of them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._out = bytearray()
        self._state = 0

    def run(self) -> bytearray:
        head = self._data[0]
        if head > 17:  # the first instruction may be a run of literals
            self._at = 1
            self._literals(head - 17)
            self._state = min(head - 17, _RUN)
        while True:
            code = self._byte()
            if code < 16 and self._state == 0:
                self._literals(3 + (code or self._long(15)))
                self._state = _RUN
                continue
            length, distance = self._match(code)
            if distance == 0:
                return self._out
            self._copy(length, distance)
            self._literals(self._state)

    def _match(self, code: int) -> tuple[int, int]:
        """Length and distance of a match; distance 0 is the end of the stream."""
        if code < 16:
            after_run = self._state == _RUN
            self._state = code & 3
            distance = (self._byte() << 2) + (code >> 2)
            return (3, distance + _MIDDLE) if after_run else (2, distance + _NEAR)
        if code < 32:
            length = 2 + ((code & 7) or self._long(7))
            distance = ((code & 8) << 11) + self._word()
            return length, distance + _FAR if distance else 0
        if code < 64:
            length = 2 + ((code & 31) or self._long(31))
            return length, self._word() + 1
        self._state = code & 3
        distance = (self._byte() << 3) + ((code >> 2) & 7) + 1
        return (3 + ((code >> 5) & 1) if code < 128 else 5 + ((code >> 5) & 3)), distance

    def _byte(self) -> int:
        value = self._data[self._at]
        self._at += 1
        return value

    def _word(self) -> int:
        """14 bits of a distance; the other two are the literals that follow."""
        value = self._byte() | self._byte() << 8
        self._state = value & 3
        return value >> 2

    def _long(self, least: int) -> int:
        total = least
        while (value := self._byte()) == 0:
            total += 255
        return total + value

    def _literals(self, count: int) -> None:
        end = self._at + count
        if end > len(self._data):
            raise IndexError
        self._out += self._data[self._at : end]
        self._at = end

    def _copy(self, length: int, distance: int) -> None:
        out = self._out
        start = len(out) - distance
        if start < 0:
            raise Damaged("LZO data that refers to before its start")
        piece = bytes(out[start : start + length])
        if len(piece) < length:  # it repeats itself
            piece = (piece * (length // len(piece) + 1))[:length]
        out += piece
