# SPDX-License-Identifier: GPL-2.0-or-later
"""Link vmlinux.o with the units of this side and have modpost read it.

make runs modpost only when something was linked, so what it says is seen on both sides only when
both are linked on purpose (as NIPA does). Only the touched units are compiled for it; all other
objects are those of the build. Modules are left to the build: it reports what modpost says of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from kvtools import process, units, warnings
from kvtools.checks import touched_units
from kvtools.checks.program import Finding, Note, Request, Said, Skip, run
from kvtools.errors import MachineError

_DEADLINE = 120.0
_ARCHIVE = "vmlinux.a"


def check(request: Request) -> Iterator[Said]:
    touched = touched_units.find(request)
    touched.need_units(request)
    at = touched_units.place(request)
    if not touched.units:
        yield Note("no unit to link: what modpost says is with the build")
        return
    linker = units.command_of(at.objects, "vmlinux.o")
    if linker is None or _ARCHIVE not in linker or not (at.objects / _ARCHIVE).is_file():
        raise Skip("this kernel does not link vmlinux.o from vmlinux.a (before 6.1)")
    replaced = {one.unit.object: one.object
                for one in touched_units.compiled(request, touched) if one.object}
    scratch = Path.cwd()
    members = process.run(["ar", "t", _ARCHIVE], cwd=at.objects, deadline=_DEADLINE).text.split()
    known = [os.path.normpath(member) for member in members]
    if not replaced.keys() & set(known):
        yield Note("what is touched is in a module: what modpost says is with the build")
        return
    archive, whole = scratch / _ARCHIVE, scratch / "vmlinux.o"
    # Thin archives have paths relative to themselves, and a missing member is no error to ld.
    paths = [str(at.objects / replaced.get(name, Path(name))) for name in known]
    (scratch / "members").write_text("\n".join(paths), "utf-8")
    process.run(["ar", "cDPrST", str(archive), f"@{scratch / 'members'}"], cwd=at.objects,
                deadline=_DEADLINE)
    argv = [str(archive) if word == _ARCHIVE else str(whole) if word == "vmlinux.o" else word
            for word in linker]
    process.run(argv, cwd=at.objects, deadline=_DEADLINE)
    built = at.objects / whole.name
    if built.is_file() and whole.stat().st_size < built.stat().st_size // 2:
        raise MachineError(f"the link of {len(paths)} objects came out too small")
    # By its name, without a directory, modpost knows that it is no module.
    done = process.run([str(at.objects / "scripts/mod/modpost"), "-o", "symvers", whole.name],
                       cwd=scratch, deadline=_DEADLINE, check=False, merge=True)
    print(done.text)
    yield from touched_units.distinct(_findings(request, done.text))


def _findings(request: Request, text: str) -> Iterator[Finding]:
    for diagnostic in warnings.diagnostics(text, request.at("")):
        found = diagnostic.finding
        if found.tool == "modpost":
            rule = "section" if "section mismatch" in found.text else found.severity
            yield Finding(rule, found.text, lines=diagnostic.lines, message=diagnostic.message)


if __name__ == "__main__":
    run(check)
