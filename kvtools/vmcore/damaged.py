# SPDX-License-Identifier: GPL-2.0-or-later
"""A dump file that is not whole."""

from __future__ import annotations

from kvtools.errors import MachineError


class Damaged(MachineError):
    """Not a dump, or cut short: whoever wrote or carried it is at fault, not what it shows."""
