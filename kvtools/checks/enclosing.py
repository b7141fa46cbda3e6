# SPDX-License-Identifier: GPL-2.0-or-later
"""Which function a line of C lies in, by the look of the source; pure.

Kernel style puts the brace of a function alone in the first column, and a body ends with
one there. Macros that make functions give the macro's name (``SYSCALL_DEFINE3(read, ...)``:
``SYSCALL_DEFINE3``), which is as good for telling places apart.
"""

from __future__ import annotations

import re

SUFFIXES = (".c", ".h", ".S", ".rs")
_HEAD = re.compile(r"(?=[A-Za-z_])[^;{}=(]*?(?P<name>\w+)\s*\(")
_ATTRIBUTE = re.compile(r"__\w+\s*\(+[^()]*\)+")


def function_of(text: str, line: int) -> str:
    """The name of the function whose head or body ``line`` (from 1) is in, else ""."""
    rows = text.split("\n")
    if not 1 <= line <= len(rows):
        return ""
    start = line - 1
    while start >= 0 and not rows[start].startswith("{"):
        if rows[start].startswith("}") and start != line - 1:
            return _head_at(rows, line - 1)
        start -= 1
    if start < 0:
        return _head_at(rows, line - 1)
    end = next((n for n in range(start, len(rows)) if rows[n].startswith("}")), len(rows) - 1)
    if line - 1 > end:
        return _head_at(rows, line - 1)
    return _name(rows, start - 1)


def _head_at(rows: list[str], at: int) -> str:
    """``at`` may be in the lines of a head, above the brace."""
    for below in range(at, min(at + 6, len(rows))):
        row = rows[below].rstrip()
        if row.startswith("{"):
            return _name(rows, below - 1)
        if not row or row.startswith("#") or row.endswith(("}", ";")):
            return ""
    return ""


def _name(rows: list[str], last: int) -> str:
    """The name in the head that ends at ``last``."""
    first = last
    while first > 0 and rows[first][:1] in (" ", "\t"):
        first -= 1
    head = _ATTRIBUTE.sub("", " ".join(rows[first:last + 1]))
    match = _HEAD.match(head)
    return match["name"] if match else ""
