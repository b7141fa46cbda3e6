# SPDX-License-Identifier: GPL-2.0-or-later
"""Files named on the command line: checked before the work, written whole after it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

from kvtools.cli.arguments import FORMATS
from kvtools.errors import MachineError, UserError
from kvtools.model import Json


def wanted(arguments: Namespace) -> dict[str, str]:
    """The formats asked for, each with the file it goes to."""
    return {name: path for name in FORMATS if (path := getattr(arguments, name))}


def check_writable(name: str | None, option: str) -> None:
    """Raises UserError now rather than after an hour when ``name`` cannot be written."""
    if not name or name == "-":
        return
    path = Path(name)
    if path.is_dir():
        raise UserError(f"{option} {name} is a directory", fix="name a file")
    if not path.parent.is_dir():
        raise UserError(f"{option} {name}: no directory {path.parent}", fix="make it first")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"{option} {name} cannot be written", fix="name another file")


def dumps(data: Json) -> str:
    """JSON for a file or a pipe."""
    return json.dumps(data, indent=1) + "\n"


def write(name: str, text: str) -> None:
    """Write ``text`` to stdout for ``-``, else to the file: the old or the new one, never half.

    A device or pipe (``/dev/stderr``, ``>(...)``) is written in place.
    """
    data = text.encode("utf-8", "backslashreplace")
    if name == "-":
        sys.stdout.buffer.write(data)
        return
    path = Path(name)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as error:
        raise MachineError(f"cannot write {name}: {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
