# SPDX-License-Identifier: GPL-2.0-or-later
"""Macro definitions, and their expansion where they stand for whole declarations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kvtools.cpp.lines import IDENTIFIER, tokens

_HEAD = re.compile(r"([A-Za-z_$][\w$]*)(\()?")
DEEP = 60
LONG = 20_000


@dataclass(frozen=True, slots=True)
class Macro:
    """``params`` is None for an object-like macro; the last may be ``...`` or ``name...``."""

    name: str
    params: tuple[str, ...] | None
    body: tuple[str, ...]

    @property
    def pastes(self) -> bool:
        return "##" in self.body

    def mentions(self) -> set[str]:
        """The identifiers of the body that are not parameters."""
        own = {p.rstrip(".") for p in self.params or ()}
        return {w for w in self.body if IDENTIFIER.fullmatch(w)} - own


Macros = Mapping[str, Sequence[Macro]]
"""Every definition there may be in force, by name."""


def parse(rest: str) -> Macro | None:
    """The macro that ``#define rest`` makes; None where that is not understood."""
    head = _HEAD.match(rest)
    if head is None:
        return None
    if not head[2]:
        return Macro(head[1], None, tuple(tokens(rest[head.end():])))
    close = rest.find(")", head.end())
    if close < 0:
        return None
    inside = rest[head.end():close].replace(" ", "")
    params = tuple(inside.split(",")) if inside else ()
    return Macro(head[1], params, tuple(tokens(rest[close + 1:])))


class Opaque(Exception):
    """An expansion that is not the same everywhere or not understood."""


def arguments(words: Sequence[str], at: int) -> tuple[list[list[str]], int]:
    """The arguments of the call whose ``(`` is ``words[at]``, and the index behind its ``)``."""
    depth = 0
    found: list[list[str]] = [[]]
    for index in range(at, len(words)):
        word = words[index]
        if word == "(":
            depth += 1
            if depth == 1:
                continue
        elif word == ")":
            depth -= 1
            if depth == 0:
                return found, index + 1
        if word == "," and depth == 1:
            found.append([])
        else:
            found[-1].append(word)
    raise Opaque("a call that does not end")


def expand_item(words: Sequence[str], macros: Macros, depth: int = 0) -> list[str]:
    """``words`` with the macro call at their beginning replaced by what it stands for.

    ``words[0]`` is the macro's name, ``words[1]`` the bracket. Raises Opaque where it has
    several definitions or one that is not understood here (#, __VA_ARGS__).
    """
    known = macros.get(words[0], ())
    bodies = {(m.params, m.body) for m in known}
    if len(bodies) != 1 or depth > DEEP:
        raise Opaque(words[0])
    macro = known[0]
    if macro.params is None:
        return [*macro.body, *words[1:]]
    if any(p.endswith("...") for p in macro.params):
        raise Opaque(words[0])
    given, end = arguments(words, 1)
    if not macro.params and given == [[]]:
        given = []
    if len(given) != len(macro.params):
        raise Opaque(words[0])
    # The preprocessor expands an argument before or after it is pasted, as the case may be.
    if any(m.params is None for words_ in given for w in words_ for m in macros.get(w, ())):
        raise Opaque(words[0])
    by_name = dict(zip(macro.params, given, strict=True))
    result = list(_substitute(macro.body, by_name))
    if len(result) > LONG:
        raise Opaque(words[0])
    return [*result, *words[end:]]


def _substitute(body: Sequence[str], by_name: Mapping[str, list[str]]) -> Iterator[str]:
    """Arguments put in as they are: their own macros are expanded, or not, by the reader."""
    out: list[str] = []
    index = 0
    while index < len(body):
        word = body[index]
        if word == "#" and index + 1 < len(body) and body[index + 1] in by_name:
            out.append('""')  # what it says is no name
            index += 2
            continue
        if word == "##" and out and index + 1 < len(body):
            right = by_name.get(body[index + 1], [body[index + 1]])
            if right:
                # An empty left argument has put nothing there: what is before it is not pasted.
                left_empty = body[index - 1] in by_name and not by_name[body[index - 1]]
                if left_empty:
                    out.extend(right)
                else:
                    out[-1:] = [out[-1] + right[0], *right[1:]]
            index += 2
            continue
        out.extend(by_name.get(word, [word]))
        index += 1
    return iter(out)


def closure(start: Iterable[str], macros: Macros) -> set[str]:
    """Every identifier that expanding ``start`` may meet, under any of the definitions.

    Names that ``##`` builds are not in it.
    """
    seen: set[str] = set()
    todo = list(start)
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for macro in macros.get(name, ()):
            todo.extend(macro.mentions() - seen)
    return seen
