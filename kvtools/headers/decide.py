# SPDX-License-Identifier: GPL-2.0-or-later
"""Which products have to be made again after an edit of headers. docs/headers.md has the proof."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from kvtools.cpp.lines import IDENTIFIER
from kvtools.headers.closure import Reached, close, lost
from kvtools.headers.commands import Product, compile_words, defines, is_kernel_c
from kvtools.headers.pastes import Pastes, Tired
from kvtools.headers.seeds import LINES, Seeds, Undecided, seeds
from kvtools.headers.universe import Universe, before_of, is_header, now_of

_OWN = re.compile(r"^[ \t]*#[ \t]*define[ \t]+([A-Za-z_$][\w$]*)((?:\\\n|[^\n])*)", re.MULTILINE)
MANY = 1500
"""Names; more than this many are reached only by a change that nearly all units see."""

Check = Callable[[Sequence[str], str, Sequence[str]], str]
"""(compiler call, header, headers that read it): why it does not compile alone, or ""."""


@dataclass(frozen=True, slots=True)
class Decision:
    """``rebuild`` and ``spare`` are targets that depend on a header of ``decided``.

    ``left`` says of each header that make has to decide about why.
    """

    decided: frozenset[str]
    rebuild: frozenset[str]
    spare: frozenset[str]
    left: Mapping[str, str]
    names: frozenset[str] = frozenset()
    reasons: Mapping[str, str] = field(default_factory=dict)


def decide(edits: Mapping[str, str], products: Sequence[Product], symbols: Mapping[str, str],
           compiler: Sequence[str], check: Check, always: AbstractSet[str],
           set_otherwise: AbstractSet[str] = frozenset()) -> Decision:
    """``edits``: header to its text before; what is on the disk is the text now.

    ``symbols`` of autoconf.h, ``compiler`` the words that begin a compile of the kernel,
    ``always`` targets not to spare in any case. ``set_otherwise`` are names of symbols that
    have another value since: what mentions one of them make compiles (fixdep writes it down),
    so that only what an edited header says of them has to be left to it.
    """
    affected = [p for p in products if not edits.keys().isdisjoint(p.deps)]
    words = {p.target: compile_words(p) for p in affected}
    units = [p for p in affected if is_kernel_c(p, words[p.target], compiler)]
    universe = Universe({d for p in units for d in p.deps} | set(edits), symbols, edits,
                        set_otherwise)
    found, left = _seeds(edits, universe)
    left |= {path: f"{path}: mentions {min(hit)}, which is set otherwise now" for path in found
             if (hit := set_otherwise & (universe.identifiers[path]
                                         | universe.identifiers[before_of(path)]))}
    left |= _alone(found, units, words, universe, check)
    gone = lost(frozenset().union(*(one.gone for one in found.values())), edits, universe)
    left |= {path: f"{path}: {gone}" for path in found if gone}
    found = {path: one for path, one in found.items() if path not in left}
    names = frozenset(n for one in found.values() for n in one.names)
    try:
        reached, readers = _reach(found, names, universe)
    except Tired:
        reached = None
    if reached is None:
        left |= {path: f"{path}: it reaches too much" for path in found}
        return Decision(frozenset(), frozenset(), frozenset(), left, names)
    foreign = _foreign(found, universe)
    decided = frozenset(found)
    mine = [p for p in affected if not decided.isdisjoint(p.deps)]
    standard = {p.target for p in units}
    reasons: dict[str, str] = {}
    for product in mine:
        if product.target not in standard:
            reasons[product.target] = "no plain C unit of the kernel"
        elif product.target in always:
            reasons[product.target] = "asked for"
        else:
            why = (_told(words[product.target], reached.names)
                   or _sees(product, found, reached, readers | foreign, universe)
                   or _redefines(product, words[product.target], found, reached, universe))
            if why:
                reasons[product.target] = why
    carriers = reached.carriers - decided  # those have been compiled alone
    reasons |= _witnesses(carriers, mine, standard, words, reasons.keys())
    spare = frozenset(p.target for p in mine) - reasons.keys()
    # What also depends on a header that make decides about is made again whatever is said here.
    spare -= {p.target for p in mine if not left.keys().isdisjoint(p.deps)}
    return Decision(decided, frozenset(reasons), spare, left, reached.names, reasons)


def _seeds(edits: Mapping[str, str], universe: Universe) -> tuple[dict[str, Seeds],
                                                                  dict[str, str]]:
    found: dict[str, Seeds] = {}
    left: dict[str, str] = {}
    for path in sorted(edits):
        try:
            found[path] = seeds(path, universe)
        except Undecided as error:
            left[path] = str(error)
    return found, left


def _alone(found: Mapping[str, Seeds], units: Sequence[Product],
           words: Mapping[str, Sequence[str]], universe: Universe, check: Check) -> dict[str, str]:
    """What a header has now must compile wherever it may be read first."""
    left: dict[str, str] = {}
    for path in sorted(p for p, one in found.items() if one.declares or one.names):
        readers = [u for u in units if path in u.deps]
        if not readers:
            continue
        plainest = min(readers, key=lambda u: (len(defines(words[u.target])), u.target))
        why = check(words[plainest.target], path, cycle(path, universe))
        if why:
            left[path] = why
    return left


def _witnesses(carriers: AbstractSet[str], mine: Sequence[Product], standard: AbstractSet[str],
               words: Mapping[str, Sequence[str]],
               rebuilt: AbstractSet[str]) -> dict[str, str]:
    """A unit for each carrier that none of the rebuilt ones reads: a declaration that does not
    compile any more has to break a build here too, whether a unit uses it or not."""
    missing = carriers - {path for p in mine if p.target in rebuilt and p.target in standard
                          for path in p.deps}
    found: dict[str, str] = {}
    for unit in sorted((p for p in mine if p.target in standard),
                       key=lambda p: (len(defines(words[p.target])), p.target)):
        hit = missing & set(unit.deps)
        if hit:
            found[unit.target] = f"to see that {min(hit)} compiles"
            missing -= hit
    return found


def _foreign(found: Mapping[str, Seeds], universe: Universe) -> frozenset[str]:
    """Headers that define a macro which what changed uses, and are not read with its header."""
    result: set[str] = set()
    for path, one in found.items():
        below = _walk(path, lambda p: _includes(p, universe))
        result |= {where for name in one.used for where in universe.files_defining(name)
                   if now_of(where) not in below
                   and name in universe.defined_in(where).keys() | universe.undefined}
    return frozenset(result)


def cycle(path: str, universe: Universe) -> tuple[str, ...]:
    """The headers that may be under way, half read, when ``path`` is: they lead to it, and it
    leads to them."""
    below = _walk(path, lambda p: _includes(p, universe))
    above: dict[str, set[str]] = {}
    for one in below:
        for other in _includes(one, universe):
            above.setdefault(other, set()).add(one)
    return tuple(sorted((_walk(path, lambda p: above.get(p, set())) & below) - {path}))


def _walk(start: str, following: Callable[[str], AbstractSet[str]]) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo += following(path)
    return seen


def _includes(path: str, universe: Universe) -> set[str]:
    """Every header that some #include of ``path`` may mean, by the end of its path."""
    return {found for line in universe.source(path).lines if line.directive == "include"
            for found in universe.ending(line.rest.strip('<>" '))}


def _reach(found: Mapping[str, Seeds], names: AbstractSet[str],
           universe: Universe) -> tuple[Reached | None, frozenset[str]]:
    """The closure of ``names``, and the files that may help to paste one of it together.

    None when that is too much to be worth the asking.
    """
    reached = close(names, universe, MANY)
    if len(reached.names) > MANY:
        return None, frozenset()
    if not names:
        return reached, frozenset()
    stayed = {key: one.unchanged for path, one in found.items()
              for key in (path, before_of(path))}
    pastes = Pastes(universe, stayed)
    makers: set[str] = set()
    asked: set[str] = set()
    while True:
        for name in reached.names - asked:
            makers |= pastes.readers(name)
        asked |= reached.names
        again = close(reached.names, universe, MANY, makers & universe.headers)
        reached = Reached(again.names, again.roots | reached.roots, again.calls | reached.calls,
                          again.carriers | reached.carriers)
        if len(reached.names) > MANY:
            return None, frozenset()
        if reached.names <= asked:
            break
    if makers & universe.headers:
        left = pastes.without_items()
        makers = {path for name in reached.names for path in left.readers(name)} | {
            path for path in makers if not is_header(path)}
    return reached, frozenset(now_of(path) for path in makers)


def _told(words: Sequence[str], names: AbstractSet[str]) -> str:
    """Whether the command line itself mentions one of ``names``."""
    said = {n for w in words if w[:2] in ("-D", "-U") for n in IDENTIFIER.findall(w[2:])}
    return f"its command line mentions {min(said & names)}" if said & names else ""


def _sees(unit: Product, found: Mapping[str, Seeds], reached: Reached,
          files: frozenset[str], universe: Universe) -> str:
    """Why ``unit`` may see the change by a file that it reads, "" when it cannot."""
    for path in reached.roots.intersection(unit.deps):
        return f"{path} may carry it"
    for path in files.intersection(unit.deps):
        return f"{path} may make or remake a name"
    for path in unit.deps:
        if not is_header(path):
            hit = universe.identifiers[path] & reached.names
            if hit:
                return f"mentions {min(hit)}"
    return ""


def _redefines(unit: Product, words: Sequence[str], found: Mapping[str, Seeds],
               reached: Reached, universe: Universe) -> str:
    """Why a header's text may mean something else in ``unit`` than elsewhere."""
    seen = [one for path, one in found.items() if path in unit.deps]
    used = reached.calls.union(*(one.used | one.names for one in seen))
    moved: frozenset[str] = frozenset().union(*(one.moved for one in seen))
    outside = defines(words) & (used | moved)
    if outside:
        return f"its command line defines {min(outside)}"
    for path in unit.deps:
        own = universe.own_defines.get(path, set())
        if own & used:
            return f"defines {min(own & used)} itself"
        if own & moved and _lines_matter(universe.texts[path], moved, universe):
            return "gives a macro of the header another meaning, with line numbers"
    return ""


def _lines_matter(text: str, names: AbstractSet[str], universe: Universe) -> bool:
    """Whether a macro of ``names`` that ``text`` defines may come to ``__LINE__``."""
    own: dict[str, set[str]] = {}
    for name, body in _OWN.findall(text):
        own.setdefault(name, set()).update(IDENTIFIER.findall(body))
    seen: set[str] = set()
    todo = set(own) & names
    while todo:
        seen |= todo
        reach = universe.reach({w for n in todo for w in own.get(n, ())})
        if reach & LINES:
            return True
        todo = (reach & own.keys()) - seen
    return False
