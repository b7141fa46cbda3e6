# SPDX-License-Identifier: GPL-2.0-or-later
"""Which compilations a patch touches, for the checks that look at objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from kvtools import units
from kvtools.checks.program import Finding, Note, Request, Skip
from kvtools.errors import MachineError
from kvtools.units import Compiled, Flags, Place, Unit

MANY = 6
"""Units that include a touched header and are compiled for its sake; above it only the header
itself: what is wrong in others by default shows in the build."""

_NOT_KERNEL = ("tools", "scripts", "samples", "usr", "Documentation", "rust")


@dataclass(frozen=True, slots=True)
class Touched:
    """``units`` to compile, ``headers`` that can be compiled by themselves, ``unbuilt`` .c files
    that this config does not compile."""

    units: tuple[Unit, ...]
    headers: tuple[str, ...]
    unbuilt: tuple[str, ...]

    def notes(self) -> Iterator[Note]:
        if self.unbuilt:
            yield Note(f"not compiled by this config: {', '.join(self.unbuilt)}")

    def need_units(self, request: Request) -> None:
        """Raises Skip when nothing that the patch touches is compiled here."""
        if request.side == "after" and not self.units and not self.headers and self.unbuilt:
            raise Skip(f"config {request.config} compiles none of what the patch touches: "
                       f"{', '.join(self.unbuilt)}")


def place(request: Request) -> Place:
    """Where the units of this side are compiled. Raises Skip where nothing is built."""
    if request.worktree is None or request.objects is None:
        raise Skip("nothing is built here")
    commit = request.commit if request.side == "after" else request.parent
    return Place(request.worktree, request.objects, commit, request.env)


def flags(request: Request) -> Flags:
    """What W=1 and C=1 are in this tree."""
    at = place(request)
    return units.ask(request.make, request.env, at.source, at.objects)


def find(request: Request) -> Touched:
    """The units of the touched files on this side."""
    at = place(request)
    found: dict[str, Unit] = {}
    unbuilt, headers = [], []
    for path in request.files:
        if path.endswith(".h"):
            if _of_this_kernel(path, request.arch):
                headers.append(path)
        elif unit := units.unit(at.objects, at.source, path):
            found[unit.object] = unit
        elif PurePosixPath(path).parts[0] not in _NOT_KERNEL:
            unbuilt.append(path)
    if headers:
        users = units.including(at.objects, at.source, headers, MANY)
        found |= {unit.object: unit for unit in users}
    return Touched(tuple(found.values()), tuple(headers), tuple(unbuilt))


def _of_this_kernel(path: str, arch: str) -> bool:
    """Whether a header can be compiled for this architecture; ``arch`` as make has it."""
    parts = PurePosixPath(path).parts
    if parts[0] in _NOT_KERNEL:
        return False
    ours = {arch, {"x86_64": "x86", "i386": "x86"}.get(arch, arch)}
    return parts[0] != "arch" or (len(parts) > 1 and parts[1] in ours)


def compiled(request: Request, touched: Touched) -> tuple[Compiled, ...]:
    """The touched units with W=1 and debug information.

    Raises Skip when one does not compile: its build did, so the objects here are of another
    state than the sources.
    """
    if not touched.units:
        return ()
    done = units.compile_all(place(request), touched.units, flags(request), request.jobs)
    for one in done:
        if one.object is None:
            lines = [line for line in one.text.splitlines() if "error" in line] or ["it failed"]
            raise Skip(f"{one.unit.source} of the {_NAMES[request.side]} does not compile beside "
                       f"this build: {lines[0]}")
    return done


_NAMES = {"before": "parent", "after": "patch"}


def alone(request: Request, touched: Touched) -> tuple[Unit, ...]:
    """Units that are a touched header each: what it says for itself, whoever includes it."""
    at = place(request)
    return tuple(units.of_header(at, header, like(request, header)) for header in touched.headers)


def like(request: Request, near: str) -> Unit:
    """A unit whose command fits for compiling ``near`` by itself. Raises MachineError."""
    at = place(request)
    found = units.any_unit(at.objects, at.source, near)
    if found is None:
        raise MachineError(f"{at.objects} holds no unit that could be compiled again")
    return found


def relative(request: Request, path: str) -> str:
    """``path`` as a program printed it, relative to the tree where it lies in it."""
    root = f"{request.worktree}/"
    return path.removeprefix(root) if path.startswith(root) else path.removeprefix("./")


def distinct(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Every finding once: what is in a header comes with every unit that includes it."""
    seen: set[Finding] = set()
    for finding in findings:
        mark = replace(finding, lines=())
        if mark not in seen:
            seen.add(mark)
            yield finding


def keep_object(request: Request, one: Compiled) -> Path:
    """Where a unit's object of the parent is kept for the side after."""
    return request.keep / one.unit.object
