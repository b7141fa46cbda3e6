# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools completion``."""

from __future__ import annotations

from argparse import Namespace

from argcomplete.shell_integration import shellcode


def run(arguments: Namespace) -> int:
    print(shellcode(["kvtools", "kv"], shell=arguments.shell))
    return 0
