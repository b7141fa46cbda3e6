# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel tests share: where things are, and a run of ``kvtools test`` as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvtools import scenarios

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
LIMIT = 40 * 60.0
AGAIN = "passed when run again"
HEAVY = ("vmem.zone",)
"""140 s on two cores: ``./kv test --base oracle`` has it."""

QUICK = ("vmem.probe", "vmem.resize", "vmem.granularity", "vmem.partial-section", "vmem.sysfs",
         "balloon.offline", "kselftest:memory-hotplug", "kselftest:driver-online")
"""What the short way through our series takes; ``./kv test`` has all that the series promises."""


def _oracle() -> tuple[str, ...]:
    names = [n for n in scenarios.names() if n != "boot" and n not in HEAVY]
    cells = ["boot", "dump", *(f"selftest:{n}" for n in names if not n.startswith("dump."))]
    return ("--base", "oracle", *(word for cell in cells for word in ("--only", cell)))


ORACLE = _oracle()
"""The run of the untouched tree that most tests share."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of ``kvtools test`` left: its exit status and its JSON."""

    code: int
    data: Mapping[str, Any]
    stdout: str
    stderr: str

    def outcome(self, patch: int, cell: str) -> Mapping[str, Any]:
        for row in self.data["patches"]:
            if row["number"] == patch:
                for outcome in row["outcomes"]:
                    if f"{outcome['step']}:{outcome['name']}".rstrip(":") == cell:
                        found: Mapping[str, Any] = outcome
                        return found
        raise KeyError(f"{patch}:{cell}")

    def statuses(self, patch: int) -> dict[str, str]:
        """Cell to status, the subtests left out.

        A guest that is starved of its processor may have an RCU stall; what passed when it was
        run again passed.
        """
        row = next(r for r in self.data["patches"] if r["number"] == patch)
        return {
            f"{o['step']}:{o['name']}".rstrip(":"):
                "PASS" if o["summary"].startswith(AGAIN) else o["status"]
            for o in row["outcomes"]
            if "subtest_of" not in o["details"]
        }
