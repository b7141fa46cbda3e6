# SPDX-License-Identifier: GPL-2.0-or-later
"""One file: its lines, which of them the configuration leaves, what conditions enclose them."""

from __future__ import annotations

from dataclasses import dataclass

from kvtools.cpp.conditions import Config
from kvtools.cpp.lines import Line, lines, tokens

OPENS = frozenset({"if", "ifdef", "ifndef"})
TURNS = frozenset({"elif", "else", "elifdef", "elifndef"})
CONDITIONS = OPENS | TURNS | {"endif"}


@dataclass(frozen=True, slots=True)
class Group:
    """``#if`` to ``#endif``: indices into the lines, the first and last and those between.

    ``known`` is whether the configuration decides which branch is taken.
    """

    first: int
    last: int
    turns: tuple[int, ...]
    known: bool


@dataclass(frozen=True, slots=True)
class Source:
    """``live[i]`` is False only where line i is certainly skipped. ``groups`` by their first
    line. ``balanced`` is False where #if and #endif do not pair up: nothing is known then."""

    lines: tuple[Line, ...]
    live: tuple[bool, ...]
    groups: tuple[Group, ...]
    balanced: bool

    def innermost(self, index: int) -> Group | None:
        """The smallest group around line ``index``, its own when the line is a condition."""
        around = [g for g in self.groups if g.first <= index <= g.last]
        return min(around, key=lambda g: g.last - g.first, default=None)


@dataclass(slots=True)
class _Open:
    first: int
    turns: list[int]
    outer: bool
    taken: bool | None  # whether a branch so far was taken
    known: bool


def read(text: str, config: Config) -> Source:
    """The structure of one file under ``config``."""
    found = lines(text)
    protector = guard(found)
    live: list[bool] = []
    groups: list[Group] = []
    stack: list[_Open] = []
    now = True
    balanced = True
    for index, line in enumerate(found):
        word = line.directive
        if word in OPENS:
            test = True if index == 0 and protector else config.test(word, line.rest)
            live.append(now)
            stack.append(_Open(index, [], now, test, test is not None))
            now = now and test is not False
        elif word in TURNS and stack:
            group = stack[-1]
            live.append(group.outer)
            group.turns.append(index)
            test = True if word == "else" else config.test(word.replace("elifd", "ifd")
                                                           .replace("elifn", "ifn"), line.rest)
            group.known = group.known and (test is not None or group.taken is True)
            now = group.outer and group.taken is not True and test is not False
            group.taken = _either(group.taken, test)
        elif word == "endif" and stack:
            group = stack.pop()
            now = group.outer
            live.append(now)
            groups.append(Group(group.first, index, tuple(group.turns), group.known))
        else:
            balanced = balanced and word not in CONDITIONS
            live.append(now)
    balanced = balanced and not stack
    if not balanced:
        live = [True] * len(found)
    return Source(found, tuple(live), tuple(sorted(groups, key=lambda g: g.first)), balanced)


def _either(one: bool | None, other: bool | None) -> bool | None:
    if one or other:
        return True
    return None if one is None or other is None else False


def guard(found: tuple[Line, ...]) -> str:
    """The macro that keeps a file from being read twice, "" where there is none.

    Only the plain form counts: ``#ifndef X``, ``#define X``, everything, ``#endif``.
    """
    if len(found) < 3 or found[-1].directive != "endif":
        return ""
    first, second = found[0], found[1]
    words = tokens(first.rest)
    if first.directive == "ifndef" and len(words) == 1:
        name = words[0]
    elif first.directive == "if" and words[:2] == ["!", "defined"]:
        inner = [w for w in words[2:] if w not in "()"]
        if len(inner) != 1:
            return ""
        name = inner[0]
    else:
        return ""
    if second.directive != "define" or tokens(second.rest)[:1] != [name]:
        return ""
    depth = 0
    for index, line in enumerate(found):
        if line.directive in OPENS:
            depth += 1
        elif line.directive in TURNS and depth == 1:
            return ""
        elif line.directive == "endif":
            depth -= 1
            if depth == 0 and index != len(found) - 1:
                return ""
    return name if depth == 0 else ""
