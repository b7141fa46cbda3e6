# SPDX-License-Identifier: GPL-2.0-or-later
"""From changed names to the headers that carry the change on, and to the units it reaches."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from kvtools.cpp.lines import IDENTIFIER
from kvtools.cpp.source import CONDITIONS
from kvtools.headers.universe import Universe, now_of


@dataclass(frozen=True, slots=True)
class Reached:
    """``names`` whose meaning may have changed, headers whose every reader may see it
    (``roots``), macros that stood for declarations on the way (``calls``), and headers with a
    declaration that mentions one of ``names`` (``carriers``): it has to compile still."""

    names: frozenset[str]
    roots: frozenset[str]
    calls: frozenset[str]
    carriers: frozenset[str] = frozenset()


def close(names: AbstractSet[str], universe: Universe, limit: int,
          also: AbstractSet[str] = frozenset()) -> Reached:
    """Everything in the headers that mentions one of ``names``, and what mentions that.

    ``also`` are headers to look into whether their text has such a name or not. Stops early
    once more than ``limit`` names are reached: then nearly all is.
    """
    known: set[str] = set()
    roots: set[str] = set()
    calls: set[str] = set()
    carriers: set[str] = set()
    todo = set(names)
    while todo and len(known) <= limit:
        known |= todo
        found: set[str] = set()
        for path in universe.headers:
            if now_of(path) not in roots and (
                    path in also or universe.identifiers[path] & todo):
                more, root = _carried(path, known, universe, calls, carriers)
                found |= more
                if root:
                    roots.add(now_of(path))
        todo = found - known
    return Reached(frozenset(known | todo), frozenset(roots), frozenset(calls),
                   frozenset(carriers))


def lost(names: AbstractSet[str], edited: Iterable[str], universe: Universe) -> str:
    """Why headers may not compile without ``names``, "" if they do.

    What another of the ``edited`` headers has now has only moved. A macro that mentions a name
    which is gone is harmless until somebody uses it.
    """
    moved = {name for path in edited for item in universe.items(path) for name in item.names}
    moved |= {name for path in edited for name in universe.defined_in(path)}
    gone = set(names - moved)
    todo = set(gone)
    headers = [path for path in universe.headers if now_of(path) == path]
    while todo:
        more = {macro for path in headers if universe.identifiers[path] & todo
                for macro, bodies in universe.defined_in(path).items()
                if any(todo & set(body.body) for body in bodies)}
        todo = more - gone
        gone |= todo
    for path in headers:
        if universe.identifiers[path] & gone:
            for item in universe.items(path):
                if item.mentions() & gone:
                    return f"{min(item.mentions() & gone)} is gone, and {path} needs it"
    return ""


def _carried(path: str, names: AbstractSet[str], universe: Universe, calls: set[str],
             carriers: set[str]) -> tuple[set[str], bool]:
    """The names that ``path`` makes out of ``names``, and whether it does so uncertainly."""
    source = universe.source(path)
    if not source.balanced or not universe.guarded(path):
        return set(), True
    found: set[str] = set()
    for line, live in zip(source.lines, source.live, strict=True):
        if not live or not line.directive:
            continue
        mentioned = names & set(IDENTIFIER.findall(line.rest))
        if not mentioned:
            continue
        if line.directive == "define":
            name = IDENTIFIER.match(line.rest)
            assert name is not None
            found.add(name[0])
        elif line.directive != "undef" and not _decided(line.directive, line.rest, universe):
            return found, True
    for item in universe.items(path):
        if item.opaque:
            if item.raw & names:
                return found, True
        elif item.mentions() & names:
            if not item.harmless:
                return found, True
            found |= item.names
            calls |= item.raw
            carriers.add(now_of(path))
    return found, False


def _decided(directive: str, rest: str, universe: Universe) -> bool:
    """A condition that the configuration alone decides, whatever it mentions."""
    return directive in CONDITIONS and (
        directive in ("else", "endif") or universe.config.test(directive, rest) is not None)
