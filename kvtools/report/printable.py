# SPDX-License-Identifier: GPL-2.0-or-later
"""Make text from patches, logs and file names safe to print, and measure it in columns.

A subject or a console log may hold terminal escape sequences, bidirectional overrides
(CVE-2021-42574) or bytes that are no UTF-8. Everything a report prints goes through
:func:`printable`.
"""

from __future__ import annotations

import re
import unicodedata

from rich.cells import cell_len, set_cell_size

_SAFE = re.compile(r"[\x20-\x7e]*\Z")
_HIDDEN = frozenset({"Cc", "Cs", "Cf", "Cn", "Co", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")  # Persian and Indic names and emoji need them
_JOB = re.compile(r"(?<![\w/])/[^\s:]*?/jobs/[^/\s:]+/(?:src|o)/")  # kvtools.bases.jobs
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def abroad(text: str) -> str:
    """``text`` for readers elsewhere: without where the tree that was built lies on this machine.

    The kernel's make gives gcc absolute paths (O= is no directory below the source), and what
    is in a user's home, the name of it included, concerns nobody on a list.
    """
    return _JOB.sub("", text)


def printable(text: str, *, ascii_only: bool = False) -> str:
    """``text`` as one line in which every control or format character is spelled out.

    Tabs become spaces, an escape character ``\\x1b``, a raw byte (surrogateescape)
    ``\\xNN``. ``ascii_only`` spells everything beyond ASCII out as well.
    """
    if _SAFE.match(text):
        return text
    shown = "".join(_shown(char) for char in text.expandtabs(8))
    return shown.encode("ascii", "backslashreplace").decode() if ascii_only else shown


def _shown(char: str) -> str:
    if char in _JOINERS or unicodedata.category(char) not in _HIDDEN:
        return char
    return _spelled(char)


def _spelled(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if char == "\n":
        return "\\n"
    if char == "\r":
        return "\\r"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def valid_unicode(text: str) -> str:
    """``text`` with lone surrogates spelled out, so that it can be encoded as UTF-8."""
    return _SURROGATE.sub(lambda found: _spelled(found.group()), text)


def width(text: str) -> int:
    """Columns ``text`` takes on a terminal: 2 for wide characters, 0 for combining ones."""
    return cell_len(text)


def shorten(text: str, columns: int, *, ascii_only: bool = False) -> str:
    """``text`` cut to ``columns``, the cut marked with an ellipsis."""
    if width(text) <= columns:
        return text
    mark = ".." if ascii_only else "\u2026"
    if columns <= len(mark):
        return mark[:columns] if columns > 0 else ""
    return set_cell_size(text, columns - len(mark)).rstrip() + mark


def pad(text: str, columns: int) -> str:
    """``text`` followed by spaces up to ``columns``; longer text stays whole."""
    return text + " " * max(0, columns - width(text))


def fold(text: str, columns: int, indent: str = "") -> list[str]:
    """``text`` broken at spaces into lines of ``columns``, the second on with ``indent``.

    A word longer than a line (a path, a commit id) stays whole: it is there to be pasted.
    """
    lines = [""]
    for word in text.split(" "):
        line = lines[-1]
        if line.strip() and width(line) + 1 + width(word) > columns:
            lines.append(indent + word)
        else:
            lines[-1] = f"{line} {word}" if line else word
    return lines
