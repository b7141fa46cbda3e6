# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools doctor``."""

from __future__ import annotations

from argparse import Namespace

from kvtools import doctor


def run(arguments: Namespace) -> int:
    """0 when nothing that is needed is missing, else 3."""
    bad = False
    for item in doctor.examine():
        print(f"{item.status:8} {item.name:16} {item.what}")
        if item.mend:
            print(f"{'':8} {'':16}   mend: {item.mend}")
        bad = bad or item.status == "missing"
    return 3 if bad else 0
