# SPDX-License-Identifier: GPL-2.0-or-later
"""The Kconfig language, as far as the conditions of a symbol go.

Source: Documentation/kbuild/kconfig-language.rst.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

ROOT = "Kconfig"


@dataclass(frozen=True, slots=True)
class Definition:
    """One ``config`` entry with all conditions around it. Conditions are expressions."""

    symbol: str
    file: str
    line: int
    type: str = ""
    prompt: bool = False
    prompt_if: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()
    selects: tuple[tuple[str, str], ...] = ()
    ranges: tuple[tuple[str, str, str], ...] = ()
    choice: tuple[str, int] | None = None


@dataclass(slots=True)
class _Block:
    """An ``if``, ``menu`` or ``choice`` while its content is read."""

    depends: list[str]
    visible: list[str] = field(default_factory=list)
    choice: tuple[str, int] | None = None


def definitions(texts: Mapping[str, str], srcarch: str) -> dict[str, list[Definition]]:
    """Every definition of every symbol, following ``source`` from the top Kconfig.

    ``texts`` maps paths in the tree to what the files hold; without a ``Kconfig`` among
    them each one is read by itself. ``srcarch`` stands for ``$(SRCARCH)``.
    """
    found: dict[str, list[Definition]] = {}
    for root in [ROOT] if ROOT in texts else sorted(texts):
        for entry in _Reader(texts, srcarch).read(root):
            found.setdefault(entry.symbol, []).append(entry)
    return found


class _Reader:
    """Walks the files and knows which blocks are open."""

    def __init__(self, texts: Mapping[str, str], srcarch: str) -> None:
        self._texts = texts
        self._srcarch = srcarch
        self._blocks: list[_Block] = []
        self._files: list[str] = []

    def read(self, path: str) -> Iterator[Definition]:
        """The definitions in ``path`` and in what it sources."""
        if path not in self._texts or path in self._files:
            return
        self._files.append(path)
        entry: Definition | None = None
        block: _Block | None = None  # a menu or choice that may still get attributes
        for number, words, line in _statements(self._texts[path]):
            if words[0] not in _OPENERS:
                if entry:
                    entry = _attribute(entry, words, line)
                elif block:
                    _block_attribute(block, words, line)
                continue
            if entry:
                yield entry
            entry, block = None, None
            if words[0] in ("config", "menuconfig"):
                entry = self._entry(words[1], path, number)
            elif words[0] == "source":
                where = line.split(None, 1)[1].strip("\"' ")
                yield from self.read(re.sub(r"\$\(?SRCARCH\)?", self._srcarch, where))
            else:
                block = self._nest(words[0], line, (path, number))
        if entry:
            yield entry
        self._files.pop()

    def _entry(self, symbol: str, path: str, number: int) -> Definition:
        return Definition(
            symbol, path, number,
            depends=tuple(e for b in self._blocks for e in b.depends),
            prompt_if=tuple(e for b in self._blocks for e in b.visible),
            choice=next((b.choice for b in reversed(self._blocks) if b.choice), None))

    def _nest(self, word: str, line: str, where: tuple[str, int]) -> _Block | None:
        """Open or close a block; a menu or choice is returned to get its attributes."""
        if word == "if":
            self._blocks.append(_Block([line.split(None, 1)[1]]))
        elif word in ("menu", "choice"):
            self._blocks.append(_Block([], choice=where if word == "choice" else None))
            return self._blocks[-1]
        elif word.startswith("end") and self._blocks:
            self._blocks.pop()
        return None


def _block_attribute(block: _Block, words: Sequence[str], line: str) -> None:
    if words[:2] == ["depends", "on"]:
        block.depends.append(line.split(None, 2)[2])
    elif words[:2] == ["visible", "if"]:
        block.visible.append(line.split(None, 2)[2])


_OPENERS = frozenset(("config", "menuconfig", "source", "if", "endif", "menu", "endmenu", "choice",
                      "endchoice", "comment", "mainmenu"))
_WORDS = {"config": 2, "menuconfig": 2, "source": 2, "if": 2, "depends": 3, "visible": 3,
          "select": 2, "default": 2, "range": 3}
_TYPES = frozenset(("bool", "tristate", "int", "hex", "string"))


def _statements(text: str) -> Iterator[tuple[int, list[str], str]]:
    """(line number, words, line) without comments, help texts and continuation marks."""
    in_help, indent, joined = False, -1, ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.expandtabs()
        if in_help:
            depth = len(line) - len(line.lstrip())
            if not line.strip():
                continue
            if indent < 0 and depth:
                indent = depth
            if indent >= 0 and depth >= indent:
                continue
            in_help = False
        line = joined + re.sub(r"(^|\s)#[^\"']*$", "", line).strip()
        if line.endswith("\\"):
            joined = line[:-1].rstrip() + " "
            continue
        joined = ""
        words = line.split()
        if not words or len(words) < _WORDS.get(words[0], 1):
            continue  # kconfig itself complains of a line that is cut short
        if words[0] in ("help", "---help---"):
            in_help, indent = True, -1
            continue
        yield number, words, line


def _attribute(entry: Definition, words: Sequence[str], line: str) -> Definition:
    body, _, condition = line.partition(" if ")
    rest = body.split(None, 1)[1] if len(body.split(None, 1)) > 1 else ""
    word = words[0]
    if word in _TYPES or word == "prompt":
        kind = entry.type if word == "prompt" else word
        if not rest:
            return replace(entry, type=kind)
        # A prompt may hold the word "if": the condition stands behind its closing quote.
        quote = re.match(r"\s*(\"(?:\\.|[^\"\\])*\"|'[^']*')\s*(?:if (.*))?$", line[len(word):])
        cond = (quote[2] or "") if quote else condition
        more = (cond,) if cond else ()
        return replace(entry, type=kind, prompt=True, prompt_if=(*entry.prompt_if, *more))
    if words[:2] == ["depends", "on"]:
        return replace(entry, depends=(*entry.depends, line.split(None, 2)[2]))
    if word in ("default", "def_bool", "def_tristate"):
        kind = entry.type if word == "default" else word.removeprefix("def_")
        return replace(entry, type=kind, defaults=(*entry.defaults, (rest, condition)))
    if word == "select":
        return replace(entry, selects=(*entry.selects, (rest.strip(), condition)))
    if word == "range" and len(rest.split()) == 2:
        low, high = rest.split()
        return replace(entry, ranges=(*entry.ranges, (low, high, condition)))
    return entry
