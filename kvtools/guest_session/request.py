# SPDX-License-Identifier: GPL-2.0-or-later
"""What the steps that boot a guest are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kvtools.model import Step


@dataclass(frozen=True, slots=True)
class GuestRequest:
    """``step`` is the one asked for: boot, selftest or dump. ``image`` is the build's directory,
    ``repo`` and ``commit`` the tree it was built of.

    ``accel`` is ``kvm`` or ``tcg``; ``deadline`` overrides the scenario's (seconds under KVM).
    ``keep``: dump files stay although all is well. ``extra_memory``: bytes on top of what the
    scenario's machine has; ``slowdown`` stretches all deadlines.
    """

    step: Step
    image: Path
    scenario: str
    accel: str
    repo: Path
    commit: str
    out: Path
    deadline: float | None = None
    keep: bool = False
    extra_memory: int = 0
    slowdown: float = 1.0
