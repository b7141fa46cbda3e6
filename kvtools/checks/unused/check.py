# SPDX-License-Identifier: GPL-2.0-or-later
"""Static functions and exported symbols that the series adds and that nothing uses at its tip."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvtools.checks.commits import changes, code, commits
from kvtools.checks.program import Finding, Request, run
from kvtools.git.command import git

_STATIC = re.compile(r"static\s+(?!inline|const\b|struct \w+ \w+ ?=)[\w\s*]*?[\s*](?P<name>\w{4,})"
                     r"\s*\((?!.*;\s*$)")
_EXPORT = re.compile(r"\s*EXPORT_SYMBOL(?:_GPL|_NS|_NS_GPL)?\s*\(\s*(?P<name>\w+)")
_KEPT = re.compile(r"__maybe_unused|__used|__init|__exit|__setup|initcall")


def check(request: Request) -> Iterator[Finding]:
    statics: dict[str, tuple[int, str]] = {}
    exports: dict[str, tuple[int, str]] = {}
    for number, commit in enumerate(commits(request), 1):
        for change in changes(request, commit):
            gone = {m["name"] for _, row in change.removed if (m := _STATIC.match(code(row)))}
            exported = {m["name"] for _, row in change.removed if (m := _EXPORT.match(row))}
            for _, row in change.added:
                text = code(row)
                match = _STATIC.match(text)
                if (match and change.path.endswith(".c") and not _KEPT.search(text)
                        and match["name"] not in gone):
                    statics[match["name"]] = (number, change.path)
                match = _EXPORT.match(text)
                if match and match["name"] not in exported:
                    exports[match["name"]] = (number, change.path)
    yield from _statics(request, statics)
    yield from _exports(request, exports)


def _statics(request: Request, names: dict[str, tuple[int, str]]) -> Iterator[Finding]:
    for name, (number, path) in names.items():
        done = git(request.repo, "show", f"{request.commit}:{path}", check=False)
        text = "\n".join(code(row) for row in done.text.splitlines())
        # A macro may put the name together: DEVICE_ATTR_RO(x) uses x_show.
        stem = re.sub(r"_(?:show|store|read|write|open|ops|fn)$", "", name)
        if len(re.findall(rf"\b{name}\b", text)) == 1 and not re.search(
                rf"\b[A-Z_0-9]+\(\s*(?:\w+,\s*)?{stem}\b", text):
            yield Finding("UNUSED_STATIC", f"nothing uses {name}()", path, function=name,
                          patch=number)


def _exports(request: Request, names: dict[str, tuple[int, str]]) -> Iterator[Finding]:
    if not names:
        return
    wanted = [word for name in names for word in ("-e", name)]
    rows = git(request.repo, "grep", "-w", "-o", *wanted, request.commit, "--", "*.c", "*.S",
               check=False, deadline=150).text.splitlines()
    users: dict[str, set[str]] = {}
    for row in rows:
        path, _, name = row.removeprefix(f"{request.commit}:").rpartition(":")
        users.setdefault(name, set()).add(path)
    for name, (number, path) in names.items():
        if name in users and not users[name] - {path}:
            yield Finding("UNUSED_EXPORT", f"{name} is exported, and no other file uses it", path,
                          function=name, patch=number)


if __name__ == "__main__":
    run(check)
