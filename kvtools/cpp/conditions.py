# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``#if`` says where only the configuration decides: true, false, or None for unknown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kvtools.cpp.lines import tokens

_DEFINE = re.compile(r"^#define (CONFIG_\w+)(?: (.*))?$", re.MULTILINE)
_NUMBER = re.compile(r"(0[xX][0-9a-fA-F]+|[0-9]+)[uUlL]*")
_MACROS = ("IS_ENABLED", "IS_BUILTIN", "IS_MODULE")


def parse_autoconf(text: str) -> dict[str, str]:
    """``include/generated/autoconf.h`` as symbol to value."""
    return {name: (value or "").strip() for name, value in _DEFINE.findall(text)}


@dataclass(frozen=True, slots=True)
class Config:
    """What is known of the macros that conditions test.

    ``symbols`` are those of autoconf.h; a CONFIG_ name that is not there is not defined.
    ``assumed`` are other names that are defined (True) or not (False) in every unit asked
    about. ``unsure`` are names that some file defines or undefines itself.
    """

    symbols: Mapping[str, str]
    assumed: Mapping[str, bool]
    unsure: frozenset[str] = frozenset()

    def defined(self, name: str) -> bool | None:
        if name in self.unsure:
            return None
        if name.startswith("CONFIG_"):
            return name in self.symbols
        return self.assumed.get(name)

    def value(self, name: str) -> int | None:
        """What ``name`` is worth in ``#if``; 0 where it is certainly not defined."""
        known = self.defined(name)
        if known is False:
            return 0
        if known and name.startswith("CONFIG_"):
            return _number(self.symbols[name])
        return None

    def enabled(self, macro: str, name: str) -> bool | None:
        module = f"{name}_MODULE"
        if name in self.unsure or module in self.unsure or not name.startswith("CONFIG_"):
            return None
        built_in = self.symbols.get(name) == "1"
        modular = self.symbols.get(module) == "1"
        return {"IS_ENABLED": built_in or modular, "IS_BUILTIN": built_in,
                "IS_MODULE": modular}[macro]

    def test(self, directive: str, rest: str) -> bool | None:
        """The truth of ``#if``, ``#ifdef``, ``#ifndef`` or ``#elif``."""
        if directive in ("ifdef", "ifndef"):
            words = tokens(rest)
            known = self.defined(words[0]) if words else None
            return known if directive == "ifdef" or known is None else not known
        try:
            result = _Expression(tokens(rest), self).whole()
        except (IndexError, ValueError):
            return None
        return None if result is None else bool(result)


def _number(text: str) -> int | None:
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    digits = match[1]
    if digits[:1] == "0" and digits[1:].isdigit():
        return int(digits, 8)
    return int(digits, 0)


class _Expression:
    """``||``, ``&&``, ``!``, comparison, parentheses; anything else makes the whole unknown."""

    def __init__(self, words: list[str], config: Config) -> None:
        self._words = words
        self._at = 0
        self._config = config

    def whole(self) -> int | None:
        result = self._or()
        if self._at != len(self._words):
            raise ValueError("more than is understood")
        return result

    def _peek(self) -> str:
        return self._words[self._at] if self._at < len(self._words) else ""

    def _take(self, wanted: str = "") -> str:
        word = self._words[self._at]
        if wanted and word != wanted:
            raise ValueError(word)
        self._at += 1
        return word

    def _or(self) -> int | None:
        result = self._and()
        while self._peek() == "||":
            self._take()
            other = self._and()
            if result or other:
                result = 1
            elif result is None or other is None:
                result = None
            else:
                result = 0
        return result

    def _and(self) -> int | None:
        result = self._compare()
        while self._peek() == "&&":
            self._take()
            other = self._compare()
            if result == 0 or other == 0:
                result = 0
            elif result is None or other is None:
                result = None
            else:
                result = 1
        return result

    def _compare(self) -> int | None:
        left = self._unary()
        if self._peek() in ("==", "!=", "<", ">", "<=", ">="):
            operator = self._take()
            right = self._unary()
            if left is None or right is None:
                return None
            return int({"==": left == right, "!=": left != right, "<": left < right,
                        ">": left > right, "<=": left <= right, ">=": left >= right}[operator])
        return left

    def _unary(self) -> int | None:
        word = self._take()
        if word == "!":
            value = self._unary()
            return None if value is None else int(not value)
        if word == "(":
            value = self._or()
            self._take(")")
            return value
        if word == "defined":
            bracket = self._peek() == "("
            if bracket:
                self._take()
            known = self._config.defined(self._take())
            if bracket:
                self._take(")")
            return None if known is None else int(known)
        if word in _MACROS and self._peek() == "(":
            self._take()
            on = self._config.enabled(word, self._take())
            self._take(")")
            return None if on is None else int(on)
        if word[0].isdigit():
            return _number(word)
        if word[0].isalpha() or word[0] == "_":
            if self._peek() == "(":
                raise ValueError(word)
            return self._config.value(word)
        raise ValueError(word)
