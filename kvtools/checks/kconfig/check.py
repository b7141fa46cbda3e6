# SPDX-License-Identifier: GPL-2.0-or-later
"""Config entries that the patch adds (Documentation/kbuild/kconfig-language.rst)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kvtools.checks.program import Finding, Request, run
from kvtools.git.command import git

_ENTRY = re.compile(r"(?P<kind>menuconfig|config)\s+(?P<name>\w+)\s*(?:#.*)?$")
_ENDS = re.compile(r"(?:menuconfig|config|choice|endchoice|menu|endmenu|if|endif|source|comment|"
                   r"mainmenu)\b")
_PROMPT = re.compile(r"\s+(?:bool|tristate|int|hex|string)\s+[\"']|\s+prompt\s+[\"']")
_HELP = re.compile(r"\s+(?:help|---help---)\s*$")
_ON = re.compile(r"\s+default\s+y\s*(?:#.*)?$")
_REFERS = re.compile(r"\s+(?:depends\s+on|select|imply|visible\s+if)\s+(?P<what>.*)$")
_SYMBOL = re.compile(r"(?<![\w\"'$])[A-Z][A-Z0-9_]+\b(?![\"'])")


@dataclass(frozen=True, slots=True)
class Entry:
    """A config entry: its first line (from 1) and its text."""

    name: str
    line: int
    rows: tuple[str, ...]


def entries(text: str) -> list[Entry]:
    """The config entries of a Kconfig file; help texts belong to them."""
    found: list[Entry] = []
    rows = text.split("\n")
    starts = [n for n, row in enumerate(rows) if _ENDS.match(row)]
    for at, begin in enumerate(starts):
        match = _ENTRY.match(rows[begin])
        if match:
            end = starts[at + 1] if at + 1 < len(starts) else len(rows)
            found.append(Entry(match["name"], begin + 1, tuple(rows[begin:end])))
    return found


def check(request: Request) -> Iterator[Finding]:
    for path in request.files:
        for entry in entries(request.text(path)):
            if request.changed(path, entry.line):
                yield from _new(request, path, entry)
        yield from _references(request, path)


def _new(request: Request, path: str, entry: Entry) -> Iterator[Finding]:
    visible = any(_PROMPT.match(row) for row in entry.rows[1:])
    if visible and not any(_HELP.match(row) for row in entry.rows):
        yield Finding("NO_HELP", f"{entry.name} can be chosen, and has no help text", path,
                      entry.line)
    if visible and any(_ON.match(row) for row in entry.rows):
        yield Finding("DEFAULT_Y", f"{entry.name} is on by default", path, entry.line)
    if not _used(request, entry.name):
        yield Finding("UNUSED", f"nothing uses {entry.name}", path, entry.line)


def _used(request: Request, name: str) -> bool:
    """In C or a Makefile as CONFIG_..., or in another Kconfig entry."""
    tree = request.at(".")  # files on the disk are read far quicker than objects of git
    hits = git(tree, "grep", "-l", "-w", "-E", f"CONFIG_{name}(_MODULE)?", "--", ":!*defconfig",
               ":!Documentation", check=False).text
    if hits.strip():
        return True
    others = git(tree, "grep", "-h", "-w", name, "--", "*Kconfig*", check=False).text
    return any(not _ENTRY.match(row) for row in others.splitlines())


def _references(request: Request, path: str) -> Iterator[Finding]:
    """Symbols that added lines depend on or select and that nothing defines."""
    wanted: dict[str, int] = {}
    for number, row in enumerate(request.text(path).split("\n"), 1):
        match = _REFERS.match(row)
        if match and request.changed(path, number):
            for name in _SYMBOL.findall(match["what"].partition("#")[0]):
                wanted.setdefault(name, number)
    if not wanted:
        return
    names = "|".join(sorted(wanted))
    rows = git(request.at("."), "grep", "-h", "-E", "^[[:space:]]*(menu)?config[[:space:]]+"
               rf"({names})[[:space:]]*(#.*)?$", "--", "*Kconfig*", check=False).text
    defined = {row.split()[1] for row in rows.splitlines()}
    for name, number in wanted.items():
        if name not in defined:
            yield Finding("UNDEFINED", f"no Kconfig file defines {name}", path, number)


if __name__ == "__main__":
    run(check)
