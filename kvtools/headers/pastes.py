# SPDX-License-Identifier: GPL-2.0-or-later
"""Which names ``##`` can make, where no text shows them whole.

Every ``##`` stands in the body of a macro, in a chain of tokens that are literal or
parameters. A name can come out of it when it can be cut so that the literal parts fit and
each parameter may get its part: as the first or last token of an argument of a call that
stands in some text, or from another macro that hands on a parameter or a chain of its own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kvtools.cpp import Macro, lines
from kvtools.cpp.lines import IDENTIFIER, tokens
from kvtools.cpp.macros import Opaque, arguments, parse
from kvtools.headers.files import COMMENT, definitions
from kvtools.headers.universe import Universe, is_header

_WORD = re.compile(r"[A-Za-z0-9_$]+")
_OPEN = re.compile(r"[ \t]*\(")
_BRACKET = re.compile(r"[()]")
_MISLEADING = re.compile(r"/[*/]|[\"']")
_LONGEST = 6000
"""Characters of the longest call that is read; what is longer passes anything."""

Chain = tuple[str | int, ...]
"""Tokens joined by ``##``: a literal, or the number of a parameter."""
Place = tuple[str, int]
"""A parameter: the name of its macro and its number."""


PATIENCE = 20.0
"""Seconds of processor time for all questions together."""


class Tired(Exception):
    """The question takes longer than compiling."""


class Pastes:
    """``unchanged`` are the changed files, with the lines in them that stayed."""

    def __init__(self, universe: Universe, unchanged: Mapping[str, str]) -> None:
        self._universe = universe
        self._unchanged = unchanged
        self._macros: dict[str, list[Macro]] = {}
        self._chains: list[tuple[str, Chain]] = []
        self._feeds: dict[Place, set[tuple[str, Chain]]] = {}
        self._same: dict[Place, set[Place]] = {}
        self._reached: dict[Place, frozenset[Place]] = {}
        self._steps = 0
        self._ends: dict[str, set[str]] = {}
        self._made: frozenset[str] = frozenset()
        self._found: dict[tuple[Place, str], frozenset[str] | None] = {}
        self._expanded = False
        self._passed: dict[str, dict[int, dict[str, set[str]]]] = {}
        self._texts: dict[str, str] = {}
        self._carriers: dict[str, set[str]] = {}
        self._until = time.process_time() + PATIENCE
        self._asking: set[tuple[Place, str]] = set()
        self._circles = 0
        self._names = {path: frozenset(IDENTIFIER.findall(unchanged[path]))
                       if path in unchanged else known
                       for path, known in universe.identifiers.items()}
        self._where: dict[str, frozenset[str]] = {}
        self._learn()

    def readers(self, name: str) -> set[str]:
        """The files that help to make ``name``; a file that only has the macro is among them."""
        found: set[str] = set()
        for macro, chain in self._chains:
            files = self._match(macro, chain, name)
            if files is not None:
                found |= files or self._mentioning(macro)
        return found

    def without_items(self) -> Pastes:
        """From now on without the calls that stand for declarations in headers: what they
        declare, and what that mentions, is known by :func:`kvtools.cpp.items`."""
        self._expanded = True
        self._found.clear()
        self._passed.clear()
        return self

    def _match(self, macro: str, chain: Chain, word: str) -> frozenset[str] | None:
        """The files that pass the parts of ``word``; None when it cannot be cut so."""
        if not chain:
            return frozenset() if not word else None
        first, rest = chain[0], chain[1:]
        if isinstance(first, str):
            return self._match(macro, rest, word[len(first):]) if word.startswith(first) else None
        found: frozenset[str] | None = None
        # An argument may be empty too.
        for cut in range(len(word) + 1) if rest else (len(word),):
            behind = self._match(macro, rest, word[cut:])
            here = None if behind is None else self._given((macro, first), word[:cut])
            if here is not None and behind is not None:
                found = (found or frozenset()) | here | behind
        return found

    def _given(self, place: Place, word: str) -> frozenset[str] | None:
        """The files that give ``word`` to a parameter; None when nobody does."""
        if not word:
            return frozenset()
        self._steps += 1
        if self._steps % 500 == 0 and time.process_time() > self._until:
            raise Tired
        asked = (place, word)
        if asked in self._found:
            return self._found[asked]
        if asked in self._asking:  # a macro that feeds itself adds nothing
            self._circles += 1
            return None
        circles = self._circles
        self._asking.add(asked)
        found: frozenset[str] | None = None
        for source in self._origins(place):
            files = self._in_text(source, word)
            if files is not None:
                found = (found or frozenset()) | files
            for macro, chain in self._feeds.get(source, ()):
                files = self._match(macro, chain, word)
                if files is not None:
                    found = (found or frozenset()) | (files or self._mentioning(macro))
        self._asking.discard(asked)
        if circles == self._circles or not self._asking:  # else it was cut short
            self._found[asked] = found
        return found

    def _origins(self, place: Place) -> frozenset[Place]:
        """The parameter and all that are handed on to it as they are."""
        if place not in self._reached:
            seen: set[Place] = set()
            todo = [place]
            while todo:
                one = todo.pop()
                if one not in seen:
                    seen.add(one)
                    todo += self._same.get(one, ())
            self._reached[place] = frozenset(seen)
        return self._reached[place]

    # Macros

    def _learn(self) -> None:
        """Only what pastes, or hands on to what pastes, is parsed: one macro in thirty."""
        texts: dict[str, set[tuple[str, str]]] = {}
        for path, file in self._universe.files.items():
            stayed = self._unchanged.get(path)
            for name, params, body in file.macros if stayed is None else definitions(stayed):
                texts.setdefault(name, set()).add((params, body))
        pasting = self._pasting(texts)
        self._made = frozenset(name for names in self._ends.values() for name in names)
        for name in pasting:
            for params, body in texts.get(name, ()):
                made = lines(f"#define {name}{params}{body}")
                macro = parse(made[0].rest) if made else None
                if macro:
                    self._macros.setdefault(name, []).append(macro)
                    self._chains += [(name, chain) for chain in _chains(
                        macro.body, _params(macro)) if len(chain) > 1]
        for name in pasting:
            for macro in self._macros.get(name, ()):
                self._feed(macro, pasting)

    def _pasting(self, texts: Mapping[str, set[tuple[str, str]]]) -> set[str]:
        """The macros with ## and those with parameters that mention one of them."""
        callers: dict[str, set[str]] = {}
        for name, known in texts.items():
            for params, body in known:
                words = _WORD.findall(body)
                for end in {words[0], words[-1]} if words else ():
                    self._ends.setdefault(end, set()).add(name)
                for word in words if params else ():
                    callers.setdefault(word, set()).add(name)
        found = {name for name, known in texts.items() if any("##" in b for _, b in known)}
        todo = list(found)
        while todo:
            more = callers.get(todo.pop(), set()) - found
            found |= more
            todo += more
        return found

    def _feed(self, macro: Macro, pasting: set[str]) -> None:
        params = _params(macro)
        for index, word in enumerate(macro.body[:-1]):
            if word not in pasting or macro.body[index + 1] != "(":
                continue
            try:
                given, _ = arguments(macro.body, index + 1)
            except Opaque:
                continue  # a call that another macro completes; its text is read as such
            for number, argument in self._numbered(word, given):
                made = list(_chains(argument, params))
                for chain in {*made[:1], *made[-1:]}:
                    first = chain[0]
                    if len(chain) > 1:
                        self._feeds.setdefault((word, number), set()).add((macro.name, chain))
                    elif isinstance(first, int):
                        self._same.setdefault((word, number), set()).add((macro.name, first))

    def _numbered(self, name: str, given: Sequence[Sequence[str]]) -> Iterator[
            tuple[int, Sequence[str]]]:
        """Arguments with the number of their parameter: a variadic one takes all the rest."""
        last = self._width(name) - 1
        for index, argument in enumerate(given):
            yield min(index, max(last, 0)), argument

    # Text

    def _mentioning(self, token: str) -> frozenset[str]:
        if token not in self._where:
            self._where[token] = frozenset(
                path for path, known in self._names.items() if token in known)
        return self._where[token]

    def _in_text(self, place: Place, word: str) -> frozenset[str] | None:
        """The files with a call whose argument begins or ends with ``word``, or may come to."""
        macro, number = place
        if macro not in self._passed:
            self._passed[macro] = self._index(macro)
        given = self._passed[macro].get(number)
        if given is None:
            return None
        if word not in self._carriers:
            names = {word}
            todo = [word]
            while todo:
                more = self._ends.get(todo.pop(), set()) - names
                names |= more
                todo += more
            self._carriers[word] = names
        found = {path for name in self._carriers[word] for path in given.get(name, ())}
        found |= given.get("", set())
        return frozenset(found) or None

    def _index(self, macro: str) -> dict[int, dict[str, set[str]]]:
        """What all texts pass to ``macro``: by parameter, token and file.

        The ends of an argument count, and every name in it that is a macro: what that stands
        for may begin or end with anything of :attr:`_ends`. A call that cannot be read is
        entered as "", which fits every word.
        """
        found: dict[int, dict[str, set[str]]] = {}
        known: dict[str, tuple[tuple[int, frozenset[str]], ...]] = {}
        for path in self._with_calls(macro):
            if time.process_time() > self._until:
                raise Tired
            # A call in a comment only adds.
            for part in _calls(self._text(path), macro):
                if part not in known:
                    known[part] = tuple(self._read(macro, part))
                for number, given in known[part]:
                    words = found.setdefault(number, {})
                    for word in given:
                        words.setdefault(word, set()).add(path)
        return found

    def _with_calls(self, macro: str) -> Iterable[str]:
        """The files that may call ``macro``. What an expanded text names it need not have
        written."""
        if not self._expanded:
            return self._mentioning(macro)
        return (path for path in self._universe.texts
                if (macro in self._text(path) if is_header(path) else macro in self._names[path]))

    def _read(self, macro: str, part: str) -> Iterator[tuple[int, frozenset[str]]]:
        """What a call passes, by parameter; a comment in it is no token."""
        words = tokens(COMMENT.sub(" ", part).replace("\\\n", " "))
        try:
            given, _ = arguments(words, 1) if part else ([], 0)
        except Opaque:
            given = []
        if not given:
            for number in range(self._width(macro)):
                yield number, frozenset({""})
        for number, argument in self._numbered(macro, given):
            if argument:
                yield number, frozenset({argument[0], argument[-1],
                                         *(self._made.intersection(argument))})

    def _width(self, name: str) -> int:
        return max((len(m.params or ()) for m in self._macros.get(name, ())), default=1)

    def _text(self, path: str) -> str:
        if not self._expanded or not is_header(path):
            return self._unchanged.get(path, self._universe.texts[path])
        if path not in self._texts:
            source = self._universe.source(path)
            directives = [line.text for line in source.lines if line.directive]
            self._texts[path] = "\n".join([*directives, *(
                " ".join(item.words) for item in self._universe.items(path))])
        return self._texts[path]


def _calls(text: str, macro: str) -> Iterator[str]:
    """Every call of ``macro`` in ``text``, as :func:`_call` gives it."""
    start = text.find(macro)
    while start >= 0:
        end = start + len(macro)
        if not _WORD.match(text[start - 1:start]) and _OPEN.match(text, end):
            yield _call(text, start)
        start = text.find(macro, end)


def _call(text: str, start: int) -> str:
    """The call that begins at ``start``, or more; "" when its end is not near."""
    depth = 0
    for match in _BRACKET.finditer(text, start, start + _LONGEST):
        depth += 1 if match[0] == "(" else -1
        if depth == 0:
            part = text[start:match.end()]
            if not _MISLEADING.search(part):
                return part
            break  # brackets in comments and literals do not count
    return text[start:start + _LONGEST] if depth == 0 else ""


def _params(macro: Macro) -> list[str]:
    return ["__VA_ARGS__" if p == "..." else p.rstrip(".") for p in macro.params or ()]


def _chains(words: Iterable[str], params: Sequence[str]) -> Iterator[Chain]:
    """The tokens of ``words``, those that ## joins together; parameters as numbers."""
    chain: list[str | int] = []
    joined = False
    for word in words:
        if word == "##":
            joined = bool(chain)
            continue
        part: str | int = params.index(word) if word in params else word
        if joined and chain[-1] != ",":  # , ## __VA_ARGS__ joins nothing
            chain.append(part)
        else:
            if chain:
                yield tuple(chain)
            chain = [part]
        joined = False
    if chain:
        yield tuple(chain)
