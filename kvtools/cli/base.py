# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools base``."""

from __future__ import annotations

from argparse import Namespace

from kvtools import bases
from kvtools.console import Console


def run(arguments: Namespace) -> int:
    if arguments.action == "list":
        for info in bases.names():
            state = info.commit[:12] if info.commit else "not prepared"
            print(f"{info.name:20} {state:14} {info.description}")
        return 0
    with Console() as console:
        base = bases.prepare(arguments.name, console.emit)
    if arguments.action == "path":
        print(base.repo)
    else:
        print(f"{base.name} {base.version} is {base.commit} in {base.repo}")
        print(f"from: {base.origin}")
    return 0
