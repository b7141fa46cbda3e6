# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether what was built with kept objects is, byte for byte, what make alone builds."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator
from pathlib import Path

# Links of what is compared one by one, and files of make's own.
_NOT_COMPARED = (".tmp_", ".kvtools")


def differing(built: Path, fresh: Path) -> tuple[str, ...]:
    """Objects and images of ``fresh``, a build from nothing, that are missing or not the same
    in ``built``; paths relative to both."""
    return tuple(name for name in products(fresh) if not _same(built / name, fresh / name))


def products(objects: Path) -> Iterator[str]:
    """What is compared: every .o, every module, and the kernel itself."""
    for path in sorted(objects.rglob("*")):
        wanted = path.suffix in (".o", ".ko") or path.name in ("vmlinux", "bzImage", "System.map")
        if wanted and not path.name.startswith(_NOT_COMPARED) and path.is_file():
            yield str(path.relative_to(objects))


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and filecmp.cmp(one, other, shallow=False)
