# SPDX-License-Identifier: GPL-2.0-or-later
"""What the edit of one header changes: names, and declarations whose line numbers matter."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from kvtools.cpp import Item, Line, Source
from kvtools.cpp.items import KEYWORDS, TAGS
from kvtools.cpp.lines import IDENTIFIER
from kvtools.cpp.source import CONDITIONS
from kvtools.headers.universe import Universe, before_of

COUNTERS = frozenset({"__COUNTER__"})
LINES = frozenset({"__LINE__", "__builtin_LINE"})


class Undecided(Exception):
    """Why make has to decide by itself."""


@dataclass(slots=True)
class Seeds:
    """``names`` that mean something else, or did not exist, on one of the two sides.

    ``used`` are the identifiers that what changed may expand, ``moved`` those of what stands
    at another line now. ``declares``: there is new text that a compiler has to accept.
    ``unchanged`` is the text that stayed. ``gone`` are the names that the header no longer has.
    """

    names: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    declares: bool = False
    unchanged: str = ""
    gone: frozenset[str] = frozenset()


def seeds(path: str, universe: Universe) -> Seeds:
    """Compare the header ``path`` with its text before. Raises Undecided."""
    old, new = before_of(path), path
    sides = (universe.source(old), universe.source(new))
    for key, side in zip((old, new), sides, strict=True):
        if not side.balanced or not universe.guarded(key):
            raise Undecided(f"{path}: no plain include guard")
    changed, moved = _difference(sides[0].lines, sides[1].lines)
    _widen(sides, changed, moved)
    result = Seeds(unchanged="\n".join(
        line.text for row, line in enumerate(sides[1].lines) if row not in changed[1]))
    for key, side, rows in zip((old, new), sides, changed, strict=True):
        _directives(path, side, rows, result)
        for item in universe.items(key):
            if item.rows & rows:
                _changed_item(path, key, item, rows, universe, result, new=key == new)
        if key == old:
            result.gone = frozenset(result.names)
    was, now = (_tags(side, universe.items(key)) for key, side in zip((old, new), sides,
                                                                      strict=True))
    result.names |= {tag for tags, rows in zip((was, now), changed, strict=True)
                     for tag, first in tags.items() if first.rows & rows
                     and not (tag in was and was[tag].plain and tag in now and now[tag].plain)}
    result.gone |= was.keys() & result.names
    result.gone -= now.keys() | universe.defined_in(new).keys()
    result.gone -= {name for item in universe.items(new) for name in item.names}
    shifted = {row for row, counterpart in moved.items()
               if not _same_place(sides[1].lines[row], sides[0].lines[counterpart])}
    for item in universe.items(new):
        if item.rows & shifted and not item.rows & changed[1]:
            _shifted_item(path, item, universe, result)
    return result


def _same_place(one: Line, other: Line) -> bool:
    return (one.first, one.last) == (other.first, other.last)


def _difference(old: Sequence[Line], new: Sequence[Line]) -> tuple[
        tuple[set[int], set[int]], dict[int, int]]:
    """The lines of each side without a counterpart, and new line to old line for the others."""
    matcher = difflib.SequenceMatcher(None, [x.text for x in old], [x.text for x in new],
                                      autojunk=False)
    same = {b + i: a + i for a, b, size in matcher.get_matching_blocks() for i in range(size)}
    return (set(range(len(old))) - set(same.values()), set(range(len(new))) - set(same)), same


def _widen(sides: tuple[Source, Source], changed: tuple[set[int], set[int]],
           same: dict[int, int]) -> None:
    """A changed condition changes all that it encloses, on both sides."""
    back = {a: b for b, a in same.items()}
    again = True
    while again:
        again = False
        for number, other in ((0, back), (1, same)):
            for row in [r for r in changed[number]
                        if sides[number].lines[r].directive in CONDITIONS]:
                group = sides[number].innermost(row)
                assert group is not None
                inside = set(range(group.first, group.last + 1))
                partners = {other[r] for r in inside if r in other}
                if not inside <= changed[number] or not partners <= changed[1 - number]:
                    again = True
                    changed[number].update(inside)
                    changed[1 - number].update(partners)
    for row in [b for b, a in same.items() if b in changed[1] or a in changed[0]]:
        changed[1].add(row)
        changed[0].add(same.pop(row))


def _directives(path: str, side: Source, rows: set[int], result: Seeds) -> None:
    for row in sorted(rows):
        line = side.lines[row]
        if not side.live[row] or not line.directive:
            continue
        if line.directive in ("define", "undef"):
            name = IDENTIFIER.match(line.rest)
            if name is None:
                raise Undecided(f"{path}:{line.first}: #{line.directive} without a name")
            result.names.add(name[0])
        elif line.directive in CONDITIONS:
            if row in (0, len(side.lines) - 1):
                raise Undecided(f"{path}: the include guard changed")
        else:
            raise Undecided(f"{path}:{line.first}: #{line.directive} changed")


def _changed_item(path: str, key: str, item: Item, rows: set[int], universe: Universe,
                  result: Seeds, *, new: bool) -> None:
    source = universe.source(key)
    where = f"{path}:{min(source.lines[r].first for r in item.rows)}"
    if item.opaque or not item.harmless:
        raise Undecided(f"{where}: a change in something that is no plain declaration")
    reach = universe.reach(item.mentions())
    if reach & COUNTERS:
        raise Undecided(f"{where}: __COUNTER__ counts on")
    if "_Pragma" in reach or "__pragma" in reach:
        raise Undecided(f"{where}: a pragma")
    result.names |= item.names
    result.used |= reach
    result.declares = result.declares or new


@dataclass(frozen=True, slots=True)
class _First:
    """Where a header mentions a tag first. ``plain``: at file scope, and in any case."""

    rows: frozenset[int]
    plain: bool


def _tags(source: Source, items: Sequence[Item]) -> dict[str, _First]:
    """The tags that the header declares by mentioning them first (C11 6.7.2.3p8).

    A tag that is plain on both sides is declared at file scope before anything else mentions it,
    in the header and in what reads it: nothing can tell the sides apart by it.
    """
    found: dict[str, _First] = {}
    earlier: set[str] = set()
    row = 0
    for item in sorted(items, key=lambda item: min(item.rows)):
        first, last = min(item.rows), max(item.rows)
        for line in source.lines[row:first]:
            earlier.update(IDENTIFIER.findall(line.text))
        row = max(row, first)
        sure = all(g.known or g.last < first or g.first > last for g in source.groups)
        for tag, outermost in _mentions(item.words):
            if tag not in earlier:
                found.setdefault(tag, _First(item.rows, sure and outermost))
    return found


def _mentions(words: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """The tags that a declaration mentions, and whether they would have file scope.

    In parameters and in the body of a function they have a scope of their own. What has a
    parenthesis before its first brace may be a function.
    """
    depth = 0
    called = body = False
    for word, after in pairwise(words):
        depth += (word == "(") - (word == ")")
        called = called or word == "("
        body = body or (word == "{" and called)
        if word in TAGS and after not in KEYWORDS and IDENTIFIER.fullmatch(after):
            yield after, depth == 0 and not body


def _shifted_item(path: str, item: Item, universe: Universe, result: Seeds) -> None:
    """The same text at another line: it matters where ``__LINE__`` may come into it."""
    reach = universe.reach(item.mentions())
    result.moved |= reach
    if not reach & LINES:
        return
    if item.opaque or not item.harmless:
        raise Undecided(f"{path}: the line of something that is no plain declaration moved")
    result.names |= item.names
