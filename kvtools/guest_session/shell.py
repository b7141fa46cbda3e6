# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest on the user's terminal."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from kvtools import process, vng
from kvtools.guest_session.guest import link_kernel
from kvtools.guest_session.reproducer import qmp_line
from kvtools.vng import MIB, Machine, Places


def shell(
    image: Path, accel: str, machine: Machine, say: Callable[[str], None]
) -> int:
    """Boot ``image`` (a build's directory) on this terminal; vng's exit status.

    Before that ``say`` gets, for every virtio-mem device of ``machine``, the one command
    that resizes it from another terminal. Raises MachineError.
    """
    directory = Path(tempfile.mkdtemp(prefix="kv."))
    try:
        places = Places(directory)
        modules = link_kernel(image, places)
        if machine.share:
            places.share.mkdir()
        for device in machine.virtio_mem:
            half = device.size // 2 // device.block_size * device.block_size
            say(f"to resize {device.name} to {half // MIB} MiB, in another terminal:")
            say(resize_line(places, device.name, half))
        argv = vng.argv(machine, places, accel=accel, command=None, modules=modules)
        return process.foreground(argv, env=vng.environment(places))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def resize_line(places: Places, device: str, size: int) -> str:
    """A shell line that asks the guest for ``size`` bytes in total."""
    arguments = {
        "path": f"/machine/peripheral/{device}", "property": "requested-size", "value": size,
    }  # fmt: skip
    return qmp_line("qom-set", arguments, places.directory)
