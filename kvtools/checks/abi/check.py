# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare what the touched files export, and the types of what both sides export.

Exports are read from the source, so a config without modules sees them too; types are compared
on objects of our own with debug information, restricted to the exported symbols.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from kvtools import process
from kvtools.checks import touched_units
from kvtools.checks.program import Finding, Note, Request, Said, run
from kvtools.errors import MachineError
from kvtools.formats import abidiff
from kvtools.git.command import git

_DEADLINE = 100.0
_EXPORT = re.compile(r"^\s*EXPORT_(?:PER_CPU_|STATIC_CALL_|TRACEPOINT_)?SYMBOL(?:_NS)?"
                     r"(?P<gpl>(?:_NS)?_GPL)?\s*\(\s*(?P<name>\w+)", re.MULTILINE)
_KEPT = "exports.json"


def check(request: Request) -> Iterator[Said]:
    touched = touched_units.find(request)
    exports = {path: {m["name"]: bool(m["gpl"]) for m in _EXPORT.finditer(request.text(path))}
               for path in request.files}
    if request.side == "before":
        (request.keep / _KEPT).write_text(json.dumps(exports), "utf-8")
        if _names(exports):
            for one in touched_units.compiled(request, touched):
                place = touched_units.keep_object(request, one)
                place.parent.mkdir(parents=True, exist_ok=True)
                assert one.object is not None
                shutil.copyfile(one.object, place)
        return
    kept = request.keep / _KEPT
    old = json.loads(kept.read_text("utf-8")) if kept.is_file() else {}
    yield from _listed(request, _names(old), _names(exports))
    common = _names(old).keys() & _names(exports).keys()
    if common:
        yield from touched.notes()
        yield from _types(request, touched, sorted(common))


def _names(exports: dict[str, dict[str, bool]]) -> dict[str, bool]:
    """Every exported name, and whether for GPL modules only."""
    return {name: gpl for names in exports.values() for name, gpl in names.items()}


def _listed(request: Request, old: dict[str, bool], new: dict[str, bool]) -> Iterator[Said]:
    added, removed = sorted(new.keys() - old.keys()), sorted(old.keys() - new.keys())
    if not added and not removed and not new:
        yield Note("exports nothing")
    if added:
        yield Note(f"exports {', '.join(added)}")
    if removed:
        yield Note(f"no longer exports {', '.join(removed)}")
    for name in removed:
        users = _users(request, name)
        if users:
            yield Finding("removed", f"{name} is no longer exported and has users",
                          message=f"{name} is no longer exported; used in {', '.join(users[:4])}"
                                  f"{' and more' if len(users) > 4 else ''}")
    for name in sorted(old.keys() & new.keys()):
        if old[name] and not new[name]:
            yield Finding("licence", f"{name} was for GPL modules only and is for all now")


def _users(request: Request, name: str) -> list[str]:
    """Files that use the symbol and do not define it: none when it is inline now."""
    done = git(request.at(""), "grep", "--no-color", "-w", "-l", "-e", name, "--", "*.c",
               check=False)
    files = [path for path in done.text.splitlines() if path not in request.files]
    inline = git(request.at(""), "grep", "--no-color", "-l", "-E", "-e",
                 rf"(inline .*\b{name}\s*\(|define {name}\b)", "--", "*.h", check=False)
    return [] if inline.text.strip() else files


def _types(request: Request, touched: touched_units.Touched, names: list[str]) -> Iterator[Said]:
    allowed = Path("symbols")
    allowed.write_text("[kvtools_whitelist]\n" + "".join(f"  {name}\n" for name in names), "utf-8")
    changes: dict[str, abidiff.Change] = {}
    for one in touched_units.compiled(request, touched):
        old = touched_units.keep_object(request, one)
        if not old.is_file() or one.object is None:
            continue
        argv = ["abidiff", "--no-default-suppression", "--no-show-locs", "--kmi-whitelist",
                str(allowed), str(old), str(one.object)]
        done = process.run(argv, deadline=_DEADLINE, check=False)
        # doc/manuals/abidiff.rst: 1 an error, 2 wrong usage, 4 a change, 8 an incompatible one
        if done.returncode & 3 or done.returncode < 0:
            raise MachineError(f"abidiff on {one.unit.object}: status {done.returncode}")
        print(done.text)
        changes |= {change.name: change for change in abidiff.parse(done.text)
                    if change.how == "changed"}
    for change in changes.values():
        yield Finding("changed", f"{change.name}: its types change", lines=change.lines,
                      message=f"{change.declaration}: {' '.join(' '.join(change.lines).split())}")
    if changes:
        shown = list(changes)[:request.options["shown"]]
        more = f" and {len(changes) - len(shown)} more" if len(changes) > len(shown) else ""
        yield Note(f"modules that use {', '.join(shown)}{more} have to be compiled again")


if __name__ == "__main__":
    run(check)
