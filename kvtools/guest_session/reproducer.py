# SPDX-License-Identifier: GPL-2.0-or-later
"""Shell lines that repeat by hand what was done to a guest: no kvtools needed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kvtools import paths, vng
from kvtools.channel import AGENT
from kvtools.errors import ToolMissing
from kvtools.model import Json
from kvtools.process import command_line

if TYPE_CHECKING:
    from kvtools.guest_session.guest import Guest

BY_HAND = Path("/tmp/kv")  # the run directory of whoever repeats it: short, for the sockets
SCRIPTS_SHOWN = 10


def reproducer(guest: Guest) -> tuple[str, ...]:
    """A guest with a shell in it, then what the host told QEMU, then what ran inside.

    ``guest.out`` is renamed when the outcome is stored; a directory in the cache, which the
    guest sees as well, takes its place.
    """
    try:
        start = by_hand(guest.machine, guest.image, guest.accel, BY_HAND)
    except ToolMissing:
        return ()
    lines = [*guest.on_host, *start]
    changes = guest.changes
    if changes:
        lines += ["# in another terminal, one after the other:"]
        lines += [qmp_line(name, arguments) for name, arguments in changes]
    scripts = guest.scripts[:SCRIPTS_SHOWN]
    if any(str(AGENT.parent) in script for script in scripts):
        lines.append(f"# guest scripts: {AGENT.parent}")
    if scripts:
        lines += ["# in the guest:", *scripts]
    lines = [line.replace(str(guest.share), str(vng.Places(BY_HAND).share)) for line in lines]
    stable = str(paths.home().cache / "by-hand" / guest.source.commit[:12])
    return tuple(line.replace(str(guest.out), stable) for line in lines)


def by_hand(machine: vng.Machine, image: Path, accel: str, directory: Path) -> list[str]:
    """The lines that start that machine on a terminal."""
    places = vng.Places(directory)
    lines = [
        command_line(["mkdir", "-p", places.image.parent]),
        command_line(["ln", "-sf", image / "bzImage", places.image]),
    ]
    modules = (image / "modules" / "lib" / "modules").is_dir()
    if modules:
        lines += [
            command_line(["mkdir", "-p", places.modules.parent]),
            command_line(["ln", "-sfn", image / "modules/lib/modules", places.modules]),
        ]
    if machine.share:
        lines.append(command_line(["mkdir", "-p", places.share]))
    argv = vng.argv(machine, places, accel=accel, command=None, modules=modules,
                    scripts=AGENT.parent)
    venv = Path(argv[0]).parent  # vng calls virtme-run through PATH
    lines.append(f"PATH={shlex.quote(str(venv))}:$PATH " + command_line(["vng", *argv[1:]]))
    return lines


def qmp_line(
    command: str, arguments: Mapping[str, Json], directory: Path = BY_HAND
) -> str:
    """One line that sends one QMP command and prints what QEMU says."""
    request = {"execute": command, "arguments": dict(arguments)}
    message = '{"execute":"qmp_capabilities"}' + json.dumps(request)
    path = str(vng.Places(directory).qmp)
    program = (
        "import socket; s = socket.socket(socket.AF_UNIX); "
        f"s.connect({path!r}); s.sendall(b{message!r}); f = s.makefile(); "
        "print(*(f.readline() for _ in range(3)))"
    )
    return command_line(["python3", "-c", program])
