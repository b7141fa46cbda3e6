# SPDX-License-Identifier: GPL-2.0-or-later
"""What kbuild wrote down of every compilation: the command and the files that went in.

Read from the ``.X.o.cmd`` files beside the objects (scripts/basic/fixdep.c writes them), so
that one unit can be compiled again by itself, with other flags or from another tree.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kvtools import dotcmd

_DEPENDENCIES = re.compile(r"-Wp,-M[MD]*,\S+")
_CODE_SUFFIX = ".c"


@dataclass(frozen=True, slots=True)
class Unit:
    """One compilation: its ``object`` below O=, its ``source`` below the tree, the command.

    ``argv`` has neither the output, nor the source, nor the file for its dependencies.
    """

    object: str
    source: str
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A ``.cmd`` file as it stands: first command, source and dependencies as written."""

    argv: tuple[str, ...]
    source: str
    dependencies: tuple[str, ...]


def parse(text: str) -> Recorded | None:
    """Read a ``.cmd`` file; None for what did not come from a source file."""
    said = dotcmd.parse(text)
    argv = _words(said.command) if said.command and said.source else None
    return Recorded(argv, said.source, said.dependencies) if argv is not None else None


def command_of(objects: Path, product: str) -> tuple[str, ...] | None:
    """The first command that made ``product``, whatever it is; None if none is recorded."""
    path = objects / product
    try:
        text = (path.parent / f".{path.name}.cmd").read_text("utf-8", "replace")
    except FileNotFoundError:
        return None
    command = dotcmd.parse(text).command
    return _words(command) if command else None


def _words(line: str) -> tuple[str, ...] | None:
    try:
        return _first(shlex.split(dotcmd.unescaped(line)))
    except ValueError:  # an open quote: the file is half-written
        return None


def _first(words: Sequence[str]) -> tuple[str, ...]:
    """The compiler's own words: objtool and others follow behind a semicolon."""
    taken: list[str] = []
    for word in words:
        if word in (";", "&&", "||"):
            break
        taken.append(word.removesuffix(";"))
        if word.endswith(";"):
            break
    return tuple(taken)


def unit(objects: Path, source: Path, name: str) -> Unit | None:
    """How ``name``, a .c file of the tree, was compiled; None if it is not in this build."""
    path = PurePosixPath(name)
    command = objects / path.parent / f".{path.stem}.o.cmd"
    made = _made(objects, source, command) if command.is_file() else None
    return made if made and made.source == name else None


def _bare(recorded: Recorded) -> tuple[str, ...]:
    kept: list[str] = []
    words = iter(recorded.argv)
    for word in words:
        if word == "-o":
            next(words, None)
        elif word not in ("-c", recorded.source) and not _DEPENDENCIES.fullmatch(word):
            kept.append(word)
    return tuple(kept)


def including(objects: Path, source: Path, headers: Collection[str], most: int
              ) -> tuple[Unit, ...]:
    """The units of the build that read one of these headers, by name; none if over ``most``."""
    wanted = tuple(f"/{header} " for header in headers)
    found: list[Path] = []
    for directory, name in _commands(objects):
        text = (directory / name).read_text("utf-8", "replace")
        if any(header in text for header in wanted):
            found.append(directory / name)
        if len(found) > most:
            return ()
    made = (_made(objects, source, path) for path in found)
    return tuple(sorted((unit for unit in made if unit), key=lambda unit: unit.object))


def any_unit(objects: Path, source: Path, near: str = "") -> Unit | None:
    """A unit of kernel proper (not of a boot stage), in the directory ``near`` if there is one."""
    for place in dict.fromkeys((str(PurePosixPath(near).parent), "mm", "kernel", "init")):
        for path in sorted((objects / place).glob(".*.o.cmd")):
            if unit := _made(objects, source, path):
                return unit
    return None


def _made(objects: Path, source: Path, path: Path) -> Unit | None:
    """The unit of a .cmd file, if it is one of C."""
    recorded = parse(path.read_text("utf-8", "replace"))
    if recorded is None or not recorded.source.endswith(_CODE_SUFFIX):
        return None
    product = str((path.parent / path.name[1:-4]).relative_to(objects))
    return Unit(product, _relative(recorded.source, source), _bare(recorded))


def _commands(objects: Path) -> Iterator[tuple[Path, str]]:
    for directory, _, files in os.walk(objects):
        for file in files:
            if file.startswith(".") and file.endswith(".o.cmd"):
                yield Path(directory), file


def _relative(path: str, source: Path) -> str:
    """A file of the tree relative to it, whichever way kbuild wrote it."""
    text = os.path.normpath(path)
    root = f"{source}/"
    if text.startswith(root):
        return text[len(root):]
    while text.startswith("../"):
        text = text[3:]
    return text
