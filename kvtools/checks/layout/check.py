# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare the layouts of the structures that touched files define.

The debug information is our own, whatever the config says: units are compiled again with -g, and
a header alone with the types in it that nobody uses yet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path

from kvtools import process, units
from kvtools.checks import touched_units
from kvtools.checks.program import Figure, Finding, Note, Request, Said, run
from kvtools.formats import pahole
from kvtools.formats.pahole import Layout, Member

_DEADLINE = 60.0
_DEFINED = re.compile(r"^\s*(?:typedef\s+)?(?P<kind>struct|union)\s+(?:__\w+(?:\(.*?\))?\s+)*"
                      r"(?P<name>\w+)\s*\{", re.MULTILINE)
_ALL_TYPES = ("-fno-eliminate-unused-debug-types",)
_KEPT = "layouts.json"


def check(request: Request) -> Iterator[Said]:
    touched = touched_units.find(request)
    touched.need_units(request)
    layouts, places = _layouts(request, touched)
    kept = request.keep / _KEPT
    if request.side == "before":
        kept.write_text(json.dumps({name: asdict(one) for name, one in layouts.items()}), "utf-8")
        return
    yield from touched.notes()
    old = {name: _layout(data) for name, data in
           json.loads(kept.read_text("utf-8") if kept.is_file() else "{}").items()}
    changed = [(old[name], one) for name, one in layouts.items()
               if name in old and old[name] != one]
    for before, after in changed:
        yield from _judge(request, before, after, places[_full(after)])
    yield from _told(request, changed)


def _layout(data: dict[str, object]) -> Layout:
    values = dict(data)
    members = values.pop("members")
    assert isinstance(members, list)
    return Layout(members=tuple(Member(**one) for one in members), **values)  # type: ignore[arg-type]


def _layouts(request: Request, touched: touched_units.Touched
             ) -> tuple[dict[str, Layout], dict[str, str]]:
    """Layouts by full name, and the file each is defined in."""
    at = touched_units.place(request)
    places: dict[str, str] = {}
    for path in request.files:
        for match in _DEFINED.finditer(request.text(path)):
            places.setdefault(f"{match['kind']} {match['name']}", path)
    alone = [units.of_header(at, header, touched_units.like(request, header), _ALL_TYPES)
             for header in touched.headers if header in places.values()]
    objects = [units.compile_one(at, unit, touched_units.flags(request)).object for unit in alone]
    if any(path.endswith(".c") for path in places.values()) or None in objects:
        objects += [one.object for one in touched_units.compiled(request, touched)]
    found: dict[str, Layout] = {}
    for one in objects:
        if one is not None:
            found = {**_of_object(one, places), **found}
    return found, places


def _of_object(path: Path, places: dict[str, str]) -> dict[str, Layout]:
    if not places:
        return {}
    names = ",".join(sorted({name.split()[1] for name in places}))
    done = process.run(["pahole", "-C", names, str(path)], deadline=_DEADLINE, check=False)
    return {name: one for name, one in pahole.parse(done.text).items() if name in places}


def _full(layout: Layout) -> str:
    return f"{layout.kind} {layout.name}"


def _judge(request: Request, old: Layout, new: Layout, file: str) -> Iterator[Finding]:
    name, options = _full(new), request.options
    gone = pahole.moved(old, new)
    if any(fnmatchcase(file, pattern) for pattern in options["uapi"]):
        if gone or new.size < old.size:
            yield Finding("uapi", f"{name}: the layout that user space was compiled with changes",
                          file, message=f"{name}: {_moves(gone, new)}", lines=_lines(old, new))
        elif new.size > old.size:
            yield Finding("uapi-grown", f"{name} grows: is its size part of an ioctl or a "
                          "system call?", file, message=f"{name} grows from {old.size} to "
                          f"{new.size} bytes: is its size part of an ioctl or a system call?",
                          lines=_lines(old, new))
    elif new.size > old.size and name in (*options["grown"], *options["hot"]):
        yield Finding("grown" if name in options["grown"] else "hot", f"{name} grows", file,
                      message=f"{name} grows from {old.size} to {new.size} bytes",
                      lines=_lines(old, new))


def _moves(gone: tuple[Member, ...], new: Layout) -> str:
    if not gone:
        return f"shrinks to {new.size} bytes"
    first = gone[0]
    now = next((m for m in new.members if m.name == first.name), None)
    more = f" (and {len(gone) - 1} more)" if len(gone) > 1 else ""
    if now is None:
        return f"{first.name} at {first.offset} is gone{more}"
    return (f"{first.name}, {first.size} bytes at {first.offset}, is now {now.size} bytes at "
            f"{now.offset}{more}")


def _lines(old: Layout, new: Layout) -> tuple[str, ...]:
    rows = []
    for sign, one, other in (("-", old, new), ("+", new, old)):
        known = set(other.members)
        rows += [f"{sign}{m.offset:5} {m.size:5}  {m.type} {m.name}".rstrip()
                 for m in one.members if m not in known]
        rows.append(f"{sign} size {one.size}, {one.hole} bytes in {one.holes} holes")
    return tuple(rows)


def _told(request: Request, changed: list[tuple[Layout, Layout]]) -> Iterator[Said]:
    if not changed:
        yield Note("no structure changes its layout")
        return
    shown = changed[:request.options["shown"]]
    rest = f", {len(changed) - len(shown)} more" if len(changed) > len(shown) else ""
    yield Note("; ".join(_one(old, new) for old, new in shown) + rest)
    for old, new in changed:
        yield Figure(f"sizeof {_full(new)}", new.size - old.size, "B")


def _one(old: Layout, new: Layout) -> str:
    size = f"{old.size} to {new.size} bytes" if old.size != new.size else f"{new.size} bytes"
    holes = f", {new.hole} of them in holes" if new.hole > old.hole else ""
    return f"{_full(new)}: {size}{holes}"


if __name__ == "__main__":
    run(check)
