# SPDX-License-Identifier: GPL-2.0-or-later
"""Sizes as people and QEMU write them: ``512M``, ``20G``, ``1.5 GiB``."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?)i?B?", re.IGNORECASE)


def parse(value: object) -> int:
    """``value``, the text of a size, in bytes; units are powers of 1024.

    Raises ValueError for what is no such text, with its reason in words.
    """
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match:
        raise ValueError(f'{value!r} is not a size such as "512M"')
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))
