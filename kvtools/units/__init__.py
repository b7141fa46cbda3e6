# SPDX-License-Identifier: GPL-2.0-or-later
"""Single compilations of a kernel build: what kbuild recorded of them, and doing them again."""

from kvtools.units.again import (
    Compiled,
    Place,
    arguments_of,
    compile_all,
    compile_one,
    of_header,
)
from kvtools.units.flags import Flags, ask
from kvtools.units.recorded import (
    Recorded,
    Unit,
    any_unit,
    command_of,
    including,
    parse,
    unit,
)

__all__ = ["Compiled", "Flags", "Place", "Recorded", "Unit", "any_unit", "arguments_of", "ask",
           "command_of", "compile_all", "compile_one", "including", "of_header", "parse", "unit"]
