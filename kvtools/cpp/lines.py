# SPDX-License-Identifier: GPL-2.0-or-later
"""Logical lines and tokens of C source (C11 5.1.1.2, translation phases 2 and 3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_TOKEN = re.compile(
    r"[A-Za-z_$][A-Za-z0-9_$]*"
    r"|\.?[0-9](?:[eEpP][+-]|[A-Za-z0-9_.])*"
    r'|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\''
    r"|##|->|\.\.\.|[=!<>]=|&&|\|\||<<|>>|\S")
# A literal first, so that what looks like a comment in it is none.
_COMMENT = re.compile(
    r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//(?:\\\n|[^\n])*', re.DOTALL)
_LOGICAL = re.compile(r"((?:\\\n|[^\n])*)(?:\n|\Z)")
_DIRECTIVE = re.compile(r"\s*(?:#|%:)\s*([A-Za-z_]*)\s?(.*)", re.DOTALL)
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line that is not blank.

    ``first`` and ``last`` are the physical lines it spans, from 1. ``text`` has every
    comment and run of white space as one space, which is all that the preprocessor can see
    of them (# stringifies so, C11 6.10.3.2). ``directive`` is "" for text, else the word
    behind the #, and ``rest`` what follows that word.
    """

    first: int
    last: int
    text: str
    directive: str = ""
    rest: str = ""


def _blank(match: re.Match[str]) -> str:
    found = match[0]
    if found[0] in "\"'":
        return found
    # A comment is one space, and does not end the line even where it spans several.
    return " " + "\\\n" * found.count("\n")


def lines(source: str) -> tuple[Line, ...]:
    """The logical lines of ``source`` without comments and blank ones."""
    source = source.replace("\r\n", "\n")
    cleaned = _COMMENT.sub(_blank, source)
    found: list[Line] = []
    number = 1
    for match in _LOGICAL.finditer(cleaned):
        raw = match[1]
        spliced = raw.count("\n")
        text = _SPACE.sub(" ", raw.replace("\\\n", "")).strip()
        if text:
            found.append(_line(number, number + spliced, text))
        number += spliced + 1
    return tuple(found)


def _line(first: int, last: int, text: str) -> Line:
    match = _DIRECTIVE.fullmatch(text)
    if match is None:
        return Line(first, last, text)
    return Line(first, last, text, match[1] or "#", match[2].strip())


def tokens(text: str) -> list[str]:
    """The preprocessing tokens of a line; ``##``, ``->`` and ``...`` are one token each."""
    return _TOKEN.findall(text)


def identifiers(text: str) -> set[str]:
    """Everything in ``text`` that looks like an identifier, in comments and strings too."""
    return set(IDENTIFIER.findall(text))
