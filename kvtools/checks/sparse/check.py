# SPDX-License-Identifier: GPL-2.0-or-later
"""Run sparse on the touched units with the flags of ``make C=1``."""

from __future__ import annotations

from kvtools.checks import semantic
from kvtools.checks.program import run
from kvtools.formats import sparse

check = semantic.checker(sparse.parse)

if __name__ == "__main__":
    run(check)
