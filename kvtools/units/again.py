# SPDX-License-Identifier: GPL-2.0-or-later
"""Compile single units again, beside the build: with more warnings, debug information, to a
directory of our own.

What was compiled for one commit is kept below O= until the next but one, because several
checks want the same object and the tree of one patch is the parent of the next.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kvtools import process
from kvtools.errors import MachineError
from kvtools.units.flags import CACHE, Flags
from kvtools.units.recorded import Unit

_DEADLINE = 300.0
_KEPT = 3
"""Commits of which compiled units are kept: parent, patch, and one for a run beside it."""
# Types and line numbers are wanted, where a variable lives is not; that costs a third of the time.
_DEBUG = ("-g", "-fno-var-tracking", "-fno-var-tracking-assignments")


@dataclass(frozen=True, slots=True)
class Place:
    """A checked-out ``source`` at ``commit`` and the O= of a build of it or of its neighbour."""

    source: Path
    objects: Path
    commit: str
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A unit compiled with W=1 and debug information.

    ``object`` is None when it does not compile; ``text`` is what the compiler said.
    """

    unit: Unit
    object: Path | None
    text: str


def compile_all(place: Place, units: Sequence[Unit], flags: Flags, jobs: int
                ) -> tuple[Compiled, ...]:
    """Compile ``units`` in the order given, ``jobs`` at a time."""
    _forget(place)
    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        return tuple(pool.map(lambda unit: compile_one(place, unit, flags), units))


def compile_one(place: Place, unit: Unit, flags: Flags) -> Compiled:
    """One unit, from the cache if it is there. Raises MachineError when no compiler runs."""
    argv = [*flags.with_extra(unit.argv), *_DEBUG]
    room = _room(place) / _digest(argv)
    target = room / unit.object
    answer = target.with_suffix(".json")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_suffix(".lock")):
        try:
            stored = json.loads(answer.read_text("utf-8"))
        except (OSError, ValueError):
            stored = _compile(place, argv, unit, target)
            part = answer.with_suffix(".part")
            part.write_text(json.dumps(stored), "utf-8")
            part.replace(answer)
    return Compiled(unit, target if stored["status"] == 0 else None, stored["text"])


def _compile(place: Place, argv: Sequence[str], unit: Unit, target: Path) -> dict[str, object]:
    done = process.run([*argv, "-c", "-o", str(target), str(place.source / unit.source)],
                       cwd=place.objects, env=place.env, deadline=_DEADLINE, check=False,
                       merge=True)
    if done.returncode < 0 or "internal compiler error" in done.text:
        raise MachineError(f"the compiler was killed at {unit.source}")
    return {"status": done.returncode, "text": done.text}


def of_header(place: Place, header: str, like: Unit, more: Sequence[str] = ()) -> Unit:
    """A unit that is this header and nothing else, to be compiled as ``like`` is.

    ``more`` are further words for the compiler.
    """
    argv = (*like.argv, *more, "-include", str(place.source / header))
    empty = place.objects / CACHE / "empty.c"
    empty.parent.mkdir(exist_ok=True)
    empty.touch()
    return Unit(str(Path("header") / header) + ".o", str(empty), argv)


def arguments_of(unit: Unit) -> tuple[str, ...]:
    """What the compiler was told, without its own name (and that of a wrapper)."""
    at = next((at for at, word in enumerate(unit.argv) if word.startswith("-")), len(unit.argv))
    return unit.argv[at:]


def _room(place: Place) -> Path:
    return place.objects / CACHE / place.commit[:16]


def _digest(argv: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(argv).encode()).hexdigest()[:8]


def _forget(place: Place) -> None:
    """Remove what was compiled for commits before the last ones."""
    room = _room(place)
    room.mkdir(parents=True, exist_ok=True)
    os.utime(room)
    rooms = sorted((path for path in room.parent.iterdir() if path.is_dir()),
                   key=lambda path: path.stat().st_mtime_ns)
    for old in rooms[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two checks want the same unit at the same time: one of them compiles it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
