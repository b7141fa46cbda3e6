# SPDX-License-Identifier: GPL-2.0-or-later
"""Run smatch on the touched units, as ``make C=1 CHECK="smatch -p=kernel"`` does."""

from __future__ import annotations

from kvtools.checks import semantic
from kvtools.checks.program import run
from kvtools.formats import sparse

check = semantic.checker(sparse.parse_smatch)

if __name__ == "__main__":
    run(check)
