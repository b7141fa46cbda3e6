# SPDX-License-Identifier: GPL-2.0-or-later
"""Sizes in words."""

from __future__ import annotations

import pytest

from kvtools import sizes


@pytest.mark.parametrize(("text", "size"), [
    ("0", 0), ("512", 512), ("4k", 4 << 10), ("512M", 512 << 20), ("1.5G", 3 << 29),
    (" 20 GiB ", 20 << 30), ("2TB", 2 << 40),
])
def test_sizes_are_read_in_powers_of_1024(text: str, size: int) -> None:
    assert sizes.parse(text) == size


@pytest.mark.parametrize("value", ["", "M", "-1M", "5 m m", "1e3", "4X", "0x10", 512, None])
def test_what_is_no_size_is_refused_with_what_it_was(value: object) -> None:
    with pytest.raises(ValueError, match="is not a size such as") as error:
        sizes.parse(value)
    assert repr(value) in str(error.value)
