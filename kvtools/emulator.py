# SPDX-License-Identifier: GPL-2.0-or-later
"""Which QEMU and virtme-ng start the guests."""

from __future__ import annotations

import importlib.metadata
import re

from kvtools import process
from kvtools.errors import MachineError, ToolMissing

DEADLINE = 10.0


def versions(qemu: str) -> dict[str, str]:
    """Versions of ``qemu`` (a program's name) and virtme-ng, asked for before anything is built.

    QEMU's is all it says of itself, a distribution's package revision included.

    Raises ToolMissing for the one that is not installed.
    """
    if process.which(qemu) is None:
        raise ToolMissing(
            f"{qemu} is not installed",
            fix="apt-get install qemu-system-x86 (dnf: qemu-kvm, pacman: qemu-system-x86)",
        )
    said = process.run([qemu, "--version"], deadline=DEADLINE).text
    found = re.search(r"version (\d+(?:\.\d+)+.*)", said)
    if not found:
        raise MachineError(f"{qemu} --version names no version", fix=f"reinstall {qemu}")
    try:
        return {"qemu": found[1].strip(), "virtme-ng": importlib.metadata.version("virtme-ng")}
    except importlib.metadata.PackageNotFoundError:
        raise ToolMissing(
            "virtme-ng is not installed beside kvtools", fix="start kvtools with ./kv"
        ) from None
