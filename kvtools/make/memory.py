# SPDX-License-Identifier: GPL-2.0-or-later
"""Remembers the warnings of every object, so that an incremental build knows them all.

make shows a warning only when it compiles, but what a kernel warns about must not depend
on what was built before it. What the programs say goes to :data:`OUTPUT` as it comes;
:func:`settle` takes it into :data:`_KNOWN` and drops what was compiled anew without it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path, PurePosixPath

from kvtools.model import Finding
from kvtools.warnings import Diagnostic, diagnostics

OUTPUT = ".kvtools-output"
_KNOWN = ".kvtools-warnings.json"
_COMPILED = re.compile(r"\s+(?:CC|AS|HOSTCC)\s+(?:\[M\]\s+)?(?P<object>\S+)")
# A link or a modpost run repeats all that it has to say.
_WHOLE = re.compile(r"\s+(?:(?P<ld>LD)\s+vmlinux(?:\.o)?|(?P<modpost>MODPOST)\s+\S+)$")


def settle(objects: Path, source: Path) -> None:
    """Take in what make said since the last time, also when that make was killed."""
    output = objects / OUTPUT
    if not output.exists():
        return
    text = output.read_text("utf-8", "replace")
    known = _load(objects)
    for line in text.splitlines():
        if match := _COMPILED.match(line):
            known.pop(_unit(match["object"]), None)
        elif match := _WHOLE.match(line):
            for tool in (name for name, value in match.groupdict().items() if value):
                known.pop(f"({tool})", None)
    for diagnostic in diagnostics(text, source):
        if diagnostic.finding.severity == "warning" and diagnostic.finding.tool != "make":
            entry = known.setdefault(_unit_of(diagnostic), [])
            if diagnostic not in entry:
                entry.append(diagnostic)
    _save(objects, known)
    output.unlink()


def warnings(objects: Path) -> tuple[Diagnostic, ...]:
    """Every warning of what is in the object directory now, by unit."""
    known = _load(objects)
    return tuple(_distinct(d for unit in sorted(known) for d in known[unit]))


def warned(objects: Path) -> frozenset[str]:
    """The units that have a warning, without suffix; ``(ld)`` and ``(modpost)`` are tools."""
    return frozenset(unit for unit, found in _load(objects).items() if found)


def _distinct(found: Iterable[Diagnostic]) -> Iterable[Diagnostic]:
    """A header's warning comes with every unit that includes it."""
    return {(*d.finding.identity, d.finding.line): d for d in found}.values()


def _unit(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _unit_of(diagnostic: Diagnostic) -> str:
    """The object a warning came with: the file that included all the others, or the tool."""
    finding = diagnostic.finding
    if finding.tool in ("ld", "modpost"):
        return f"({finding.tool})"
    outermost = diagnostic.included_from[-1].rpartition(":")[0] if diagnostic.included_from else ""
    return _unit(outermost or finding.file)


def _load(objects: Path) -> dict[str, list[Diagnostic]]:
    try:
        stored = json.loads((objects / _KNOWN).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return {unit: [Diagnostic(Finding(**d["finding"]), d["message"], tuple(d["included_from"]),
                              tuple(d["lines"])) for d in entry]
            for unit, entry in stored.items()}


def _save(objects: Path, known: dict[str, list[Diagnostic]]) -> None:
    part = objects / f"{_KNOWN}.part"
    part.write_text(json.dumps({u: [asdict(d) for d in e] for u, e in known.items() if e}), "utf-8")
    part.replace(objects / _KNOWN)
