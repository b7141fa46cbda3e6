# SPDX-License-Identifier: GPL-2.0-or-later
"""F: and X: of MAINTAINERS against the files that a patch adds, removes or renames, and the
entries that it adds against the tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kvtools.checks.program import Finding, Request, run

FILE = "MAINTAINERS"
_ENTRY = re.compile(r"(?P<kind>[FXN]):\s+(?P<pattern>\S.*?)\s*$")


@dataclass(frozen=True, slots=True)
class Section:
    """An entry of the file: ``own`` and ``excluded`` are F: and X: patterns, ``names`` N:."""

    title: str
    line: int
    own: tuple[str, ...]
    excluded: tuple[str, ...]
    names: tuple[str, ...]

    def covers(self, path: str, everything: tuple[str, ...]) -> bool:
        if any(covers(pattern, path) for pattern in self.excluded):
            return False
        own = (p for p in self.own if p not in everything)
        return (any(covers(pattern, path) for pattern in own)
                or any(re.search(name, path) for name in self.names))


def covers(pattern: str, path: str) -> bool:
    """Whether an F: pattern takes a path in: get_maintainer.pl's file_match_pattern()."""
    if pattern.endswith("/") and "*" not in pattern and "?" not in pattern:
        return path.startswith(pattern)
    slashes = pattern.count("/")
    expression = "".join(
        ".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    if not re.match(expression, path):
        return False
    # A pattern that ends in / is for all below; another one for its own depth only.
    return pattern.endswith("/") or path.count("/") == slashes


def sections(text: str) -> list[Section]:
    """The entries of a MAINTAINERS file."""
    found: list[Section] = []
    title, line, entries = "", 0, list[tuple[str, str]]()
    begun = False
    for number, row in enumerate([*text.split("\n"), ""], 1):
        match = _ENTRY.match(row)
        if match:
            entries.append((match["kind"], match["pattern"]))
        elif re.match(r"[A-Z]:\s", row):
            begun = True
        elif not row.strip():
            if entries:
                found.append(Section(
                    title, line, *(tuple(p for k, p in entries if k == kind) for kind in "FXN")))
            entries, begun = [], False
        elif not begun and not entries:
            title, line = row, number
    return found


def check(request: Request) -> Iterator[Finding]:
    known = sections(request.text(FILE))
    everything = tuple(request.options.get("everything", ("*", "*/")))
    for one in request.touched:
        comes = one.path if one.status in ("A", "R") else None
        if comes and not any(s.covers(comes, everything) for s in known):
            yield Finding("NO_ENTRY", f"no entry of MAINTAINERS covers {comes}", comes)
        if one.old and one.status in ("D", "R"):
            stale = [s for s in known if one.old in s.own]
            for section in stale:
                yield Finding("STALE_ENTRY", f"MAINTAINERS, {section.title}, still names {one.old}",
                              FILE, section.line)
    if any(t.path == FILE for t in request.touched):
        yield from _added_entries(request)


def _added_entries(request: Request) -> Iterator[Finding]:
    """What get_maintainer.pl --self-test=patterns says, of the lines that the patch added."""
    assert request.worktree is not None
    for number, row in enumerate(request.text(FILE).split("\n"), 1):
        match = _ENTRY.match(row)
        if not match or match["kind"] == "N" or not request.changed(FILE, number):
            continue
        pattern = match["pattern"]
        if not any(True for _ in request.worktree.glob(pattern.rstrip("/"))):
            yield Finding("NO_SUCH_FILE", f"{match['kind']}: {pattern} is no file of this tree",
                          FILE, number)
        elif (request.worktree / pattern).is_dir() and not pattern.endswith("/"):
            yield Finding("NO_SLASH", f"{match['kind']}: {pattern} is a directory: end it with /",
                          FILE, number)


if __name__ == "__main__":
    run(check)
