# SPDX-License-Identifier: GPL-2.0-or-later
"""C headers as text: lines, conditionals, macros, declarations. Pure: text in, values out.

Everything here errs to one side. A boundary between declarations that is not certain is no
boundary, a condition that is not certain is unknown, and a name that might be declared is.
"""

from kvtools.cpp.comments import without_comments
from kvtools.cpp.conditions import Config, parse_autoconf
from kvtools.cpp.items import Item, items
from kvtools.cpp.lines import IDENTIFIER, Line, identifiers, lines, tokens
from kvtools.cpp.macros import Macro, Macros, expand_item
from kvtools.cpp.source import Source, guard, read

__all__ = ["IDENTIFIER", "Config", "Item", "Line", "Macro", "Macros", "Source", "expand_item",
           "guard", "identifiers", "items", "lines", "parse_autoconf", "read", "tokens",
           "without_comments"]
