# SPDX-License-Identifier: GPL-2.0-or-later
"""Why a symbol did not get its value: conditions evaluated against the final .config.

A macro such as ``$(cc-option,...)`` cannot be evaluated from text: it is taken as true,
and named as a suspect when nothing else explains a lost symbol.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kvtools.kconfig.language import Definition

_LEVELS = {"n": 0, "m": 1, "y": 2}
_REASON_LENGTH = 240  # characters, above which a reason is told with fewer details
_TOKEN = re.compile(r'\s*(\$\((?:[^()]|\([^()]*\))*\)|"[^"]*"|\'[^\']*\'|&&|\|\||!=|<=|>=|[!=<>()]'
                    r'|[\w.$/-]+)')
_CONSTANT = re.compile(r"[nmy]|\d+|0x[0-9a-fA-F]+|\".*\"|'.*'")


def same_value(one: str, other: str) -> bool:
    """Whether two values are the same one: 0x10 is 16."""
    if one == other:
        return True
    try:
        return int(one, 0) == int(other, 0)
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class _Expr:
    """``op`` is a connective, a comparison, or empty for the symbol or constant ``text``."""

    op: str
    args: tuple[_Expr, ...] = ()
    text: str = ""


def _expression(text: str) -> _Expr:
    """Parse ``A && (B || !C)``; what cannot be read counts as true."""
    tokens = _TOKEN.findall(text)

    def either() -> _Expr:
        left = both()
        while tokens and tokens[0] == "||":
            tokens.pop(0)
            left = _Expr("||", (left, both()))
        return left

    def both() -> _Expr:
        left = unary()
        while tokens and tokens[0] == "&&":
            tokens.pop(0)
            left = _Expr("&&", (left, unary()))
        return left

    def unary() -> _Expr:
        token = tokens.pop(0) if tokens else "y"
        if token == "!":
            return _Expr("!", (unary(),))
        if token == "(":
            inside = either()
            if tokens:
                tokens.pop(0)
            return inside
        left = _Expr("", text=token)
        if tokens and tokens[0] in ("=", "!=", "<", ">", "<=", ">="):
            op = tokens.pop(0)
            return _Expr(op, (left, _Expr("", text=tokens.pop(0) if tokens else "n")))
        return left

    return either()


class Tree:
    """The definitions of a kernel tree beside the values a .config ended with."""

    def __init__(self, known: Mapping[str, list[Definition]], final: Mapping[str, str]) -> None:
        self._known = known
        self._final = final

    def why(self, symbol: str, wanted: str) -> str:
        """One line: why ``symbol`` did not get the value ``wanted``."""
        entries = self._known.get(symbol)
        if not entries:
            near = difflib.get_close_matches(symbol, self._known, 3, 0.75)
            perhaps = f"; perhaps {' or '.join(near)}" if near else ""
            return f"no such symbol in this kernel{perhaps}"
        kind = next((e.type for e in entries if e.type), "bool")
        if wanted in ("y", "m") and (kind not in ("bool", "tristate")
                                     or (kind == "bool" and wanted == "m")):
            return f"is of type {kind} and cannot be {wanted}"
        got = self._final.get(symbol, "n")
        if wanted in _LEVELS and got in _LEVELS and _LEVELS[got] > _LEVELS[wanted]:
            return self._raised(symbol, _LEVELS[wanted])
        return self._lowered(symbol, wanted)

    def _string(self, name: str) -> str:
        if not _CONSTANT.fullmatch(name):
            name = self._final.get(name, "n")
        return name.strip("\"'")

    def _level(self, expr: _Expr) -> int:
        """The value of an expression against the final .config: 0 n, 1 m, 2 y."""
        levels = [self._level(arg) for arg in expr.args]
        if expr.op == "!":
            return 2 - levels[0]
        if expr.op in ("&&", "||"):
            return min(levels) if expr.op == "&&" else max(levels)
        if expr.op:
            return 2 if self._compare(expr) else 0
        if expr.text.startswith("$("):
            return 2
        level = _LEVELS.get(self._string(expr.text), 0)
        return 0 if expr.text == "m" and self._final.get("MODULES", "n") != "y" else level

    def _compare(self, expr: _Expr) -> bool:
        left, right = (self._string(arg.text) for arg in expr.args)
        if expr.op in ("=", "!="):
            return same_value(left, right) == (expr.op == "=")
        try:
            a, b = int(left, 0), int(right, 0)
        except ValueError:
            return True
        return {"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[expr.op]

    def _unmet(self, expr: _Expr, need: int, depth: int) -> list[str]:
        """The smallest parts of ``expr`` that keep it below ``need``."""
        if self._level(expr) >= need:
            return []
        if expr.op == "&&":
            return [part for arg in expr.args for part in self._unmet(arg, need, depth)]
        if expr.op == "||":
            parts = [" and ".join(self._unmet(arg, need, depth)) for arg in expr.args]
            return [" or ".join(dict.fromkeys(parts))]
        if expr.op == "!":
            inner = expr.args[0]
            if inner.op:
                return ["not (" + _text(inner) + ")"]
            return [f"{inner.text}=n (is {self._string(inner.text)})"]
        if expr.op:
            return [f"{_text(expr)} ({expr.args[0].text} is {self._string(expr.args[0].text)})"]
        got = self._string(expr.text)
        because = self._off(expr.text, depth - 1) if got == "n" and depth else ""
        wanted = f"{expr.text}=y" if got == "m" else expr.text
        return [f"{wanted} (is {got}{': ' + because if because else ''})"]

    def _needs(self, conditions: Sequence[str], need: int, depth: int = 2) -> list[str]:
        """What is unmet of ``conditions``, explained ``depth`` symbols deep if that is short."""
        parts = (part for text in conditions
                 for part in self._unmet(_expression(text), need, depth))
        found = list(dict.fromkeys(parts))
        if depth and sum(map(len, found)) > _REASON_LENGTH:
            return self._needs(conditions, need, depth - 1)
        return found

    def _off(self, symbol: str, depth: int) -> str:
        """Why a symbol that another one needs is n; empty if it is just not set."""
        entries = self._known.get(symbol)
        if not entries:
            return "" if symbol in ("m", "n") else "no such symbol in this kernel"
        needs = min((self._needs((*e.depends, *e.prompt_if), 1, depth) for e in entries), key=len)
        if needs:
            return "needs " + ", ".join(needs)
        return "" if any(e.prompt for e in entries) else self._hidden(symbol)

    def _hidden(self, symbol: str) -> str:
        """What could set a symbol that has no prompt."""
        selectors = sorted({e.symbol for e in self._all()
                            if any(target == symbol for target, _ in e.selects)})
        text = "has no prompt"
        if selectors:
            more = f" and {len(selectors) - 4} more" if len(selectors) > 4 else ""
            text += f", set only by select from {', '.join(selectors[:4])}{more}"
        conditions = [cond for e in self._known[symbol] for value, cond in e.defaults
                      if value != "n" and cond]
        return text + (f", default only if {conditions[0]}" if conditions else "")

    def _all(self) -> Iterator[Definition]:
        return (entry for entries in self._known.values() for entry in entries)

    def _lowered(self, symbol: str, wanted: str) -> str:
        entries = self._known[symbol]
        tristate = any(e.type == "tristate" for e in entries)
        need = 2 if wanted == "y" and tristate else 1
        prompts = [e for e in entries if e.prompt]
        needs = min((self._needs((*e.depends, *e.prompt_if), need) for e in prompts or entries),
                    key=len)
        if needs:
            return "needs " + ", ".join(needs)
        if not prompts:
            return self._hidden(symbol)
        if wanted == "m" and self._final.get("MODULES", "n") != "y":
            return "m needs MODULES=y (is n)"
        choices = {e.choice for e in prompts if e.choice}
        winners = [e.symbol for e in self._all() if e.choice in choices and e.symbol != symbol
                   and self._final.get(e.symbol) == "y"]
        if winners:
            return f"the choice fell on {winners[0]}"
        return self._range(prompts, wanted) or self._suspects(prompts)

    def _range(self, entries: Sequence[Definition], wanted: str) -> str:
        for entry in entries:
            for low, high, cond in entry.ranges:
                inside = _Expr("&&", (_Expr("<=", (_Expr("", text=low), _Expr("", text=wanted))),
                                      _Expr("<=", (_Expr("", text=wanted), _Expr("", text=high)))))
                if self._level(_expression(cond)) and not self._level(inside):
                    return f"must be from {low} to {high}"
        return ""

    @staticmethod
    def _suspects(entries: Sequence[Definition]) -> str:
        macros = [macro for e in entries for text in (*e.depends, *e.prompt_if)
                  for macro in _TOKEN.findall(text) if macro.startswith("$(")]
        if macros:
            return f"perhaps {macros[0]} does not hold here"
        return "its dependencies hold, so something after the merge changed it"

    def _raised(self, symbol: str, wanted: int) -> str:
        for entry in self._all():
            by = _LEVELS.get(self._final.get(entry.symbol, "n"), 0)
            for target, cond in entry.selects:
                if target == symbol and min(by, self._level(_expression(cond))) > wanted:
                    return f"selected by {entry.symbol}={self._final[entry.symbol]}"
        entries = self._known[symbol]
        prompts = [e for e in entries if e.prompt]
        if not prompts:
            return "has no prompt, its default holds"
        needs = min((self._needs((*e.depends, *e.prompt_if), 1) for e in prompts), key=len)
        if needs:
            return "its default holds: the prompt needs " + ", ".join(needs)
        if any(e.choice for e in prompts):
            return "the choice has to fall on it: ask for another member of it"
        return self._suspects(prompts)


def _text(expr: _Expr) -> str:
    if not expr.op:
        return expr.text
    if expr.op == "!":
        return f"!{_text(expr.args[0])}"
    return f" {expr.op} ".join(_text(arg) for arg in expr.args)
