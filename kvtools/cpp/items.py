# SPDX-License-Identifier: GPL-2.0-or-later
"""Declarations at file scope: where they begin and end, what they may declare, what they cost.

Everything here is an over-approximation: two declarations taken for one share their names,
a name that is no declaration only makes more units be compiled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kvtools.cpp.lines import IDENTIFIER, tokens
from kvtools.cpp.macros import Macros, Opaque, arguments, closure, expand_item
from kvtools.cpp.source import CONDITIONS, OPENS, Source


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TYPES = _words("void char short int long float double signed unsigned _Bool __int128")
KEYWORDS = TYPES | _words("""
    auto break case const continue default do else enum extern for goto if inline register
    restrict return sizeof static struct switch typedef union volatile while
    _Alignas _Alignof _Atomic _Noreturn _Static_assert _Thread_local asm typeof
    __asm __asm__ __attribute __attribute__ __const __extension__ __inline __inline__
    __restrict __signed__ __typeof __typeof__ __volatile __volatile__ __alignof__
    __builtin_offsetof __builtin_types_compatible_p""")
INLINE = frozenset({"inline", "__inline", "__inline__", "__always_inline"})
TAGS = frozenset({"struct", "union", "enum"})
_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")
# An attribute with one of these words may put something into the object by itself.
_EMITS = _words("""
    used __used__ __used section __section__ __section constructor destructor alias __alias__
    externally_visible __externally_visible__ ifunc weak __weak__ weakref retain""")
_STAYS = _words("used __used__ __used retain __retain__ constructor __constructor__")
_ATTRIBUTE = frozenset({"__attribute__", "__attribute"})
_CALL_LIKE = frozenset({"__attribute__", "__attribute", "typeof", "__typeof__", "__typeof",
                        "asm", "__asm__", "__asm", "_Alignas"})


@dataclass(frozen=True, slots=True)
class Item:
    """``rows`` are the indices of the lines it is made of, ``words`` its tokens after the
    macros that stand for declarations were expanded, ``names`` everything it may declare.

    ``harmless`` items add nothing to an object that does not mention one of their names.
    ``opaque``: it was not understood; then neither ``names`` nor ``harmless`` counts.
    """

    rows: frozenset[int]
    words: tuple[str, ...]
    raw: frozenset[str]
    names: frozenset[str]
    harmless: bool
    opaque: bool = False

    def mentions(self) -> set[str]:
        """Every identifier in it, as written and as expanded."""
        return {w for w in self.words if IDENTIFIER.fullmatch(w)} | self.raw


def items(source: Source, macros: Macros) -> tuple[Item, ...]:
    """The declarations in the live lines of ``source``, in order.

    ``macros`` are the definitions that may be in force. A file that cannot be cut is one
    opaque item.
    """
    try:
        return tuple(_cut(source, macros))
    except Opaque:
        rows = frozenset(i for i, line in enumerate(source.lines) if not line.directive)
        raw = frozenset(w for line in source.lines for w in IDENTIFIER.findall(line.text))
        return (Item(rows, (), raw, frozenset(), False, True),)


def _stream(source: Source) -> Iterable[tuple[int, str, bool]]:
    """(line, token, False), or (line, directive, True) for conditions that may go either way."""
    unknown = {i for g in source.groups if not g.known for i in (g.first, g.last, *g.turns)}
    for index, line in enumerate(source.lines):
        if not source.live[index]:
            continue
        if line.directive in CONDITIONS:
            if index in unknown:
                yield index, line.directive, True
        elif not line.directive:
            for word in tokens(line.text):
                yield index, word, False


class _Cutter:
    """The item under way and how deep in brackets it is."""

    def __init__(self) -> None:
        self.words: list[tuple[int, str]] = []
        self.depth = 0

    def add(self, row: int, word: str) -> None:
        self.words.append((row, word))
        if word in _OPEN:
            self.depth += 1
        elif word in _CLOSE:
            self.depth -= 1
            if self.depth < 0:
                raise Opaque("a bracket too many")


def _cut(source: Source, macros: Macros) -> Iterable[Item]:
    if not source.balanced:
        raise Opaque("conditions that do not pair up")
    cutter = _Cutter()
    heights: list[int] = []
    for row, word, condition in _stream(source):
        if condition:
            _keep_height(cutter.depth, heights, word)
            continue
        cutter.add(row, word)
        if cutter.depth == 0 and (word == ";" or (
                word == "}" and _is_function([w for _, w in cutter.words]))):
            yield from _finish(cutter.words, macros)
            cutter.words = []
    if cutter.depth:
        raise Opaque("a bracket too few")
    if cutter.words:
        yield from _finish(cutter.words, macros)


def _keep_height(depth: int, heights: list[int], word: str) -> None:
    """Both branches of an unknown condition must leave the brackets as they found them."""
    if word in OPENS:
        heights.append(depth)
    elif heights and heights[-1] != depth:
        raise Opaque("a condition that splits brackets")
    if word == "endif" and heights:
        heights.pop()


def _is_function(words: Sequence[str]) -> bool:
    """Whether the ``{`` that the last ``}`` closes begins a function body."""
    start = _brace(words)
    head = words[:start]
    if start == 0 or words[start - 1] != ")" or "=" in _outside(head):
        return False
    for index, word in enumerate(head):
        if word in TAGS:
            # struct __attribute__((x)) { ... }: no name between the tag word and the brace
            return any(IDENTIFIER.fullmatch(w) and w not in KEYWORDS and after != "("
                       for w, after in zip(head[index + 1:], [*head[index + 2:], ""],
                                           strict=True))
    return True


def _brace(words: Sequence[str]) -> int:
    depth = 0
    for index, word in enumerate(words):
        if depth == 0 and word == "{":
            return index
        depth += (word in _OPEN) - (word in _CLOSE)
    return 0


def _outside(words: Sequence[str]) -> list[str]:
    """The tokens that are in no brackets, with the brackets themselves."""
    depth = 0
    found = []
    for word in words:
        if word in _CLOSE:
            depth -= 1
        if depth == 0:
            found.append(word)
        if word in _OPEN:
            depth += 1
    return found


def _finish(words: list[tuple[int, str]], macros: Macros) -> Iterable[Item]:
    """The item itself, or those that the macro calls at its beginning stand for."""
    try:
        yield from _expanded([(frozenset({row}), word) for row, word in words], macros)
    except Opaque:
        rows = frozenset(row for row, _ in words)
        plain = tuple(word for _, word in words)
        raw = frozenset(w for w in plain if IDENTIFIER.fullmatch(w))
        yield Item(rows, plain, raw, frozenset(), False, True)


_Word = tuple[frozenset[int], str]
"""A token and the rows it stands in, or those of the call that it came out of."""


def _expanded(words: list[_Word], macros: Macros) -> list[Item]:
    found: list[Item] = []
    part: list[_Word] = []
    calls: list[_Word] = []
    depth = steps = 0
    while words:
        head = words[0][1]
        if not part and head == ";":
            words = words[1:]
            continue
        if not part and _stands_for_items(head, words, macros):
            steps += 1
            if steps > 400:
                raise Opaque("a macro that does not end")
            plain = [w for _, w in words]
            _, end = arguments(plain, 1)
            rows = frozenset(row for some, _ in words[:end] for row in some)
            result = expand_item(plain[:end], macros)
            calls.append((rows, head))
            words = [(rows, w) for w in result] + words[end:]
            continue
        part.append(words.pop(0))
        depth += (head in _OPEN) - (head in _CLOSE)
        plain = [w for _, w in part] if depth == 0 and head in ";}" else []
        if plain and (head == ";" or _is_function(plain)):
            found.append(_item(part, plain, calls, macros))
            part = []
    if part:
        raise Opaque("a declaration that does not end")
    return found


def _stands_for_items(head: str, words: list[_Word], macros: Macros) -> bool:
    return (head not in KEYWORDS and head in macros and len(words) > 1 and words[1][1] == "("
            and any(m.params is not None for m in macros[head]))


def _item(part: list[_Word], words: list[str], calls: list[_Word], macros: Macros) -> Item:
    """``calls`` are the macros expanded so far; those of its rows made it."""
    rows = frozenset(row for some, _ in part for row in some)
    raw = frozenset(name for some, name in calls if some & rows)
    outside = _outside(words)
    names = _tags(words) | _declared(words, outside, macros)
    hidden = [w for w, after in zip(outside, [*outside[1:], ""], strict=True)
              if _hides(w, after == "(", macros)]
    if hidden:
        raise Opaque(hidden[0])
    for name in [n for n in names if n in macros]:  # a macro may stand for the real name
        if any(m.params is None for m in macros[name]):
            names |= closure([name], macros) - KEYWORDS
    return Item(rows, tuple(words), raw, frozenset(names),
                _harmless(words, outside, macros))


def _hides(name: str, called: bool, macros: Macros) -> bool:
    """Whether a macro in the middle of a declaration may declare something of its own."""
    if name in KEYWORDS or _attribute_only(name, macros):
        return False
    known = [m for m in macros.get(name, ()) if called or m.params is None]
    if called and any(m.params is not None for m in known):
        return True
    reach = closure([name], macros) if known else set()
    bodies = [m for n in reach for m in macros.get(n, ()) if m.params is None]
    return any(w in ("##", ";", "{", "=") for m in bodies for w in m.body)


def _tags(words: Sequence[str]) -> set[str]:
    """Tags and enumerators that are defined, at whatever depth; forward tags too."""
    found: set[str] = set()
    for index, word in enumerate(words):
        if word in TAGS:
            names, at = _tag(words, index + 1)
            after = words[at] if at < len(words) else ""
            if after == "{" or (after == ";" and index == 0):
                found |= names
                if word == "enum" and after == "{":
                    found |= _enumerators(words, at)
    return found - KEYWORDS


def _tag(words: Sequence[str], at: int) -> tuple[set[str], int]:
    """The identifiers behind ``struct``, attributes with their brackets left out, and the end."""
    names: set[str] = set()
    while at < len(words):
        if words[at] == "(":
            depth = 0
            while at < len(words):
                depth += (words[at] == "(") - (words[at] == ")")
                at += 1
                if depth == 0:
                    break
        elif IDENTIFIER.fullmatch(words[at]):
            names.add(words[at])
            at += 1
        else:
            break
    return names, at


def _enumerators(words: Sequence[str], brace: int) -> set[str]:
    """Every identifier in the braces: the values count as names too, which only adds."""
    found: set[str] = set()
    depth = 0
    for word in words[brace:]:
        depth += (word in _OPEN) - (word in _CLOSE)
        if depth == 0:
            break
        if IDENTIFIER.fullmatch(word):
            found.add(word)
    return found


def _attribute_only(name: str, macros: Macros, deep: int = 0) -> bool:
    """A macro that only ever stands for attributes, qualifiers or nothing."""
    known = macros.get(name, ())
    return bool(known) and deep < 8 and all(_attributes(m.body, name, macros, deep)
                                            for m in known)


def _attributes(body: Sequence[str], name: str, macros: Macros, deep: int) -> bool:
    at = 0
    while at < len(body):
        word = body[at]
        fits = (word in _ATTRIBUTE or word in INLINE or word == name
                or (word in KEYWORDS and word not in TYPES | TAGS | {"asm", "__asm__"})
                or _attribute_only(word, macros, deep + 1))
        if not fits:
            return False
        at += 1
        if body[at:at + 1] == ("(",):
            _, at = _tag(body, at)
    return True


def _declared(words: Sequence[str], outside: Sequence[str], macros: Macros) -> set[str]:
    """What may be declared as function, variable or type name; a superset."""
    plain = [w for w in outside if IDENTIFIER.fullmatch(w)]
    before = {w for w, after in zip(outside, [*outside[1:], ""], strict=True)
              if after == "(" and IDENTIFIER.fullmatch(w) and w not in _CALL_LIKE
              and not _attribute_only(w, macros)}
    names = {w for w in before if w not in KEYWORDS}
    if "typedef" not in outside and "{" in outside and outside[-1] == "}" and names:
        return names  # a function with its body
    # A prototype. What follows the brackets is an attribute, or another declarator.
    if names and not before & KEYWORDS and not {"typedef", ",", "="} & set(outside):
        return names
    if "(" in outside:
        names |= {w for w in _inside(words) if IDENTIFIER.fullmatch(w)}
    previous = ["", *outside[:-1]]
    tags = {i for i, w in enumerate(outside) if i and outside[i - 1] in TAGS}
    declarators = [w for i, w in enumerate(outside)
                   if IDENTIFIER.fullmatch(w) and i not in tags and w not in KEYWORDS
                   and not _attribute_only(w, macros)]
    if not (TYPES | TAGS) & set(plain) and len(declarators) > 1 and previous:
        declarators = declarators[1:]  # the first one is the type
    return (names | set(declarators)) - KEYWORDS


def _inside(words: Sequence[str]) -> list[str]:
    """The tokens within round brackets at file scope: function pointers declare there."""
    depth = braces = 0
    found = []
    for word in words:
        braces += (word == "{") - (word == "}")
        depth += (word == "(") - (word == ")")
        if depth and not braces:
            found.append(word)
    return found


def _harmless(words: Sequence[str], outside: Sequence[str], macros: Macros) -> bool:
    """Whether it puts nothing into an object that does not use it."""
    head = set(words[:_brace(words) or len(words)])
    # A static variable in a body stays in the object by __used even where nothing calls it.
    if closure(head, macros) & _EMITS or closure(words, macros) & _STAYS:
        return False
    if {"asm", "__asm__", "_Static_assert"} & set(outside):
        return False
    if "=" in outside:
        return False
    if outside[-1] == "}":
        return "static" in outside and bool(INLINE & set(outside))
    if "typedef" in outside or "extern" in outside:
        return True
    if outside[0] in TAGS:
        return _only_a_type(outside, macros)
    return "(" in outside and "{" not in outside and _is_prototype(outside)


def _only_a_type(outside: Sequence[str], macros: Macros) -> bool:
    """``struct x;`` or ``struct x { ... };`` with nothing but attributes around it."""
    if "{" in outside:
        rest = [w for w in outside[outside.index("}") + 1:] if w != ";"]
        return all(w in _ATTRIBUTE or w in "()" or _attribute_only(w, macros) for w in rest)
    if "(" in outside:
        return _is_prototype(outside)
    return len([w for w in outside if IDENTIFIER.fullmatch(w)]) == 2


def _is_prototype(outside: Sequence[str]) -> bool:
    """A function that is declared: a type, a name, brackets. No variable of that form."""
    index = outside.index("(")
    name = outside[index - 1] if index else ""
    return bool(IDENTIFIER.fullmatch(name)) and name not in KEYWORDS and index > 1
