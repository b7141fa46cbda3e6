# SPDX-License-Identifier: GPL-2.0-or-later
"""The report of abidiff (libabigail); pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_REMOVED = re.compile(r"  \[D\] '(?P<what>function|variable) (?P<declaration>.*)'")
_ADDED = re.compile(r"  \[A\] '(?P<what>function|variable) (?P<declaration>.*)'")
_CHANGED = re.compile(r"  \[C\] '(?:(?P<what>function|variable) )?(?P<declaration>.*?)'"
                      r"(?: at (?P<file>[^:\s]+):\d+:\d+)?(?: has some| was changed)")
_NAME = re.compile(r"(?P<name>\w+)\s*(?:\(|\[|$)")


@dataclass(frozen=True, slots=True)
class Change:
    """A function or variable that was added, removed or changed: ``how`` is one of these.

    ``lines`` say what changed, as abidiff has it.
    """

    how: str
    name: str
    declaration: str
    lines: tuple[str, ...] = ()


def parse(output: str) -> tuple[Change, ...]:
    """Every change in a report, in its order."""
    found: list[Change] = []
    below: list[str] = []
    for line in output.splitlines():
        head = next(((how, match) for how, pattern in
                     (("removed", _REMOVED), ("added", _ADDED), ("changed", _CHANGED))
                     if (match := pattern.match(line))), None)
        if head:
            how, match = head
            below = []
            declaration = match["declaration"]
            found.append(Change(how, _name(declaration), declaration))
        elif found and line.startswith("    "):
            below.append(line.removeprefix("    "))
            last = found[-1]
            found[-1] = Change(last.how, last.name, last.declaration, tuple(below))
    return tuple(found)


def _name(declaration: str) -> str:
    match = _NAME.search(declaration)
    return match["name"] if match else declaration
