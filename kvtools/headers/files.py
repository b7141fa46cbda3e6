# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands in a file, read once for all patches of a run: a patch changes few of 3000."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from kvtools.cpp.lines import IDENTIFIER

_DEFINES = re.compile(r"^[ \t]*#[ \t]*(define|undef)[ \t]+([A-Za-z_$][\w$]*)", re.MULTILINE)
_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+([A-Za-z_$][\w$]*)(\([^)]*\))?((?:\\\n|[^\n])*)",
                     re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_KEPT = 8192
"""Files; a kernel of the guest config reads 3000."""


@dataclass(frozen=True, slots=True)
class File:
    """``identifiers`` are those anywhere in ``text``, comments too; ``touched`` the names that
    it defines ("define") or undefines ("undef"); ``macros`` what it defines in which words, as
    (name, parameters with their brackets, body without comments)."""

    text: str
    identifiers: frozenset[str]
    touched: tuple[tuple[str, str], ...]
    macros: tuple[tuple[str, str, str], ...]


def read(path: str) -> File:
    """The file at ``path``, an empty one when there is none."""
    try:
        found = Path(path).stat()
        # The time of the last change of an inode cannot be set: what has it is as it was.
        return _read(path, found.st_ino, found.st_size, found.st_ctime_ns)
    except FileNotFoundError:
        return of_text("")


def of_text(text: str) -> File:
    return File(text, frozenset(map(sys.intern, IDENTIFIER.findall(text))),
                tuple(_DEFINES.findall(text)), tuple(definitions(text)))


def definitions(text: str) -> list[tuple[str, str, str]]:
    """See :attr:`File.macros`."""
    return [(name, params, COMMENT.sub(" ", body) if "/" in body else body)
            for name, params, body in _DEFINE.findall(text)]


@lru_cache(maxsize=_KEPT)
def _read(path: str, inode: int, size: int, changed: int) -> File:
    return of_text(Path(path).read_text("utf-8", "surrogateescape"))
