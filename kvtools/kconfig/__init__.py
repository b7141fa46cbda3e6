# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads .config files, fragments and Kconfig, and says why a requested symbol is missing.

Pure. :mod:`.language` reads Kconfig files, :mod:`.reasons` evaluates their conditions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kvtools.errors import ConfigError
from kvtools.kconfig.language import definitions
from kvtools.kconfig.reasons import Tree, same_value
from kvtools.model import Config

_ASSIGNMENT = re.compile(r"CONFIG_(\w+)=(.*)$")
_UNSET = re.compile(r"# CONFIG_(\w+) is not set$")
_OPTIONAL = re.compile(r"#\s*optional:\s*(.+)$")


@dataclass(frozen=True, slots=True)
class Fragment:
    """What a fragment asks for: symbol to value; ``optional`` symbol to the reason given."""

    requested: Mapping[str, str]
    optional: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A requested symbol that came out otherwise; values as in .config, ``n`` for absent."""

    symbol: str
    wanted: str
    got: str
    why: str

    def __str__(self) -> str:
        return f"CONFIG_{self.symbol}={self.wanted} became {self.got}: {self.why}"


def parse(text: str) -> dict[str, str]:
    """A .config as symbol (without ``CONFIG_``) to value; strings keep their quotes.

    ``# CONFIG_X is not set`` gives ``n``; the last assignment wins, as in kconfig.
    """
    values: dict[str, str] = {}
    for line in text.splitlines():
        if match := _ASSIGNMENT.match(line.strip()):
            values[match[1]] = match[2]
        elif match := _UNSET.match(line.strip()):
            values[match[1]] = "n"
    return values


def fragment(text: str, where: str) -> Fragment:
    """Read a fragment strictly. Raises :class:`ConfigError` for a line that is no Kconfig.

    The comment ``# optional: REASON`` covers the lines up to the next blank one.
    """
    requested: dict[str, str] = {}
    optional: dict[str, str] = {}
    reason = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line:
            reason = ""
        elif match := _OPTIONAL.match(line):
            reason = match[1]
        elif match := _ASSIGNMENT.match(line) or _UNSET.match(line):
            symbol, value = match[1], match[2] if match.re is _ASSIGNMENT else "n"
            if not value:
                raise ConfigError(f"{where}:{number}: CONFIG_{symbol} has no value",
                                  fix="write =y, =m, a number, a quoted string or "
                                      f"'# CONFIG_{symbol} is not set'")
            requested.pop(symbol, None)
            optional.pop(symbol, None)
            if reason:
                optional[symbol] = reason
            else:
                requested[symbol] = value
        elif not line.startswith("#"):
            raise ConfigError(f"{where}:{number}: not a line of a kernel config: {line[:60]!r}",
                              fix="write CONFIG_SYMBOL=value")
    return Fragment(requested, optional)


def merge(below: Fragment, above: Fragment) -> Fragment:
    """Both, where ``above`` wins for a symbol that is in both."""
    own = above.requested.keys() | above.optional.keys()
    return Fragment(
        {s: v for s, v in below.requested.items() if s not in own} | dict(above.requested),
        {s: v for s, v in below.optional.items() if s not in own} | dict(above.optional))


def missing(config: Config, final: Mapping[str, str]) -> dict[str, str]:
    """The requested symbols that are not in ``final`` as wanted, with the wanted value."""
    return {symbol: wanted for symbol, wanted in config.requested.items()
            if not same_value(wanted, final.get(symbol, "n"))}


def dropped(config: Config, final: Mapping[str, str], kconfig_texts: Mapping[str, str],
            srcarch: str = "x86") -> tuple[Dropped, ...]:
    """The requested symbols that did not survive, each with the reason.

    ``final`` is the .config that olddefconfig left, ``kconfig_texts`` the Kconfig files
    of the tree (path to text), ``srcarch`` what ``$(SRCARCH)`` stands for in them.
    """
    lost = missing(config, final)
    if not lost:
        return ()
    tree = Tree(definitions(kconfig_texts, srcarch), final)
    return tuple(Dropped(symbol, wanted, final.get(symbol, "n"), tree.why(symbol, wanted))
                 for symbol, wanted in lost.items())
