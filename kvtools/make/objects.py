# SPDX-License-Identifier: GPL-2.0-or-later
"""An object directory: who owns it, what a killed build left in it, what is stale in it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kvtools import dotcmd
from kvtools.errors import MachineError
from kvtools.make import memory
from kvtools.make.ccache import Ccache
from kvtools.toolchain import Toolchain

_OWNER = ".kvtools-owner"
_BUSY = ".kvtools-busy"
_COUNT = ".kvtools-objects"
STATE = ".kvtools-tree"
"""Written by kvtools.headers: the commit that all objects were made of."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A kernel source and the directory its objects go to; both absolute.

    ``ccache`` answers for the compiler where it can.
    """

    source: Path
    objects: Path
    toolchain: Toolchain
    ccache: Ccache | None = None


def open_objects(tree: Tree) -> None:
    """Make the object directory usable, whatever happened in it before.

    One that belongs to another source path or toolchain is emptied; after a build that
    was killed, files that may be half-written are removed. Raises :class:`MachineError`
    for a directory that kvtools did not make, and for a path that kbuild refuses.
    """
    for path in (tree.source, tree.objects):
        if re.search(r"[\s:]", str(path)):  # the kernel's Makefile refuses them
            raise MachineError(f"kbuild cannot work in {path}",
                               fix="set KVTOOLS_HOME to a path without spaces and colons")
    owner = hashlib.sha256(f"{tree.source}\0{tree.toolchain.digest}".encode()).hexdigest()
    mark = tree.objects / _OWNER
    try:
        if tree.objects.is_dir() and any(tree.objects.iterdir()):
            if not mark.is_file():
                raise MachineError(f"{tree.objects} holds files that kvtools did not make",
                                   fix="remove them or choose another KVTOOLS_HOME")
            if mark.read_text() != owner:
                shutil.rmtree(tree.objects)
            elif (tree.objects / _BUSY).exists():
                _remove_half_written(tree.objects)
        tree.objects.mkdir(parents=True, exist_ok=True)
        mark.write_text(owner)
        memory.settle(tree.objects, tree.source)
    except OSError as error:
        raise MachineError(f"object directory {tree.objects}: {error}") from error


def _remove_half_written(objects: Path) -> None:
    """Kbuild writes ``.X.cmd`` after X: an X that is younger was never finished."""
    for directory, name in _commands(objects):
        product = directory / name
        try:
            if product.stat().st_mtime_ns > (directory / f".{name}.cmd").stat().st_mtime_ns:
                product.unlink()
        except FileNotFoundError:
            continue
    (objects / _BUSY).unlink()


def _commands(objects: Path) -> Iterator[tuple[Path, str]]:
    for directory, _, files in os.walk(objects):
        for file in files:
            if file.startswith(".") and file.endswith(".cmd"):
                yield Path(directory), file[1:-4]


def begin(tree: Tree) -> None:
    """Mark that make is at work; :func:`open_objects` mends what is left if it never ends.

    What the objects are made of is not known from here on (see kvtools.headers).
    """
    (tree.objects / STATE).unlink(missing_ok=True)
    (tree.objects / _BUSY).touch()


def end(tree: Tree, *, complete: bool) -> None:
    """Make ended by itself; ``complete`` when everything was built."""
    (tree.objects / _BUSY).unlink()
    if complete:
        (tree.objects / _COUNT).write_text(f"{sum(1 for _ in _objects(tree.objects))}\n")


def expected_objects(tree: Tree) -> int:
    """How many objects make is going to compile: those that are older than a source of theirs.

    For an empty object directory the number an architecture's description records.
    """
    objects = list(_objects(tree.objects))
    if not objects:
        return tree.toolchain.arch.objects
    ages: dict[str, int] = {}
    recorded = tree.objects / _COUNT
    whole = int(recorded.read_text()) if recorded.is_file() else tree.toolchain.arch.objects
    stale = sum(_stale(tree.objects, *where, ages) for where in objects)
    return stale + max(whole - len(objects), 0)


def _objects(objects: Path) -> Iterator[tuple[Path, str]]:
    return ((directory, name) for directory, name in _commands(objects) if name.endswith(".o"))


def _stale(objects: Path, directory: Path, name: str, ages: dict[str, int]) -> bool:
    """Whether a source that fixdep listed in ``.name.cmd`` is younger than the object."""
    try:
        own = (directory / name).stat().st_mtime_ns
        said = dotcmd.read(directory / f".{name}.cmd")
    except FileNotFoundError:
        return True
    for source in filter(None, (said.source, *said.dependencies)):
        if source not in ages:
            try:
                ages[source] = (objects / source).stat().st_mtime_ns
            except OSError:
                ages[source] = 0
        if ages[source] > own:
            return True
    return False
