# SPDX-License-Identifier: GPL-2.0-or-later
"""A name that a patch uses and a later one defines, where nothing else does: coarse, by
identifiers. What a config of the run compiles shows in the builds, this also where none does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvtools.checks.commits import changes, code, commits
from kvtools.checks.program import Finding, Request, run
from kvtools.git.command import git

_DEFINES = (
    re.compile(r"(?!return|else|if|for|while|switch|case|goto|typedef)[A-Za-z_][\w\s*]*?[\s*]"
               r"(?P<name>\w{4,})\s*\((?!.*;\s*$)"),
    re.compile(r"\s*#\s*define\s+(?P<name>\w{4,})\b"),
    re.compile(r"(?:struct|union|enum)\s+(?P<name>\w{4,})\s*\{"),
)
_DECLARES = re.compile(r"(?:extern\s+)?[A-Za-z_][\w\s*]*?[\s*](?P<name>\w{4,})\s*\(.*\)\s*"
                       r"(?:__\w+(?:\(.*\))?\s*)*;\s*$")
_WORD = re.compile(r"\b[A-Za-z_]\w{3,}\b")
_C = (".c", ".h", ".S")


def check(request: Request) -> Iterator[Finding]:
    order = commits(request)
    defined: dict[str, int] = {}
    declared: dict[str, int] = {}
    used: dict[str, tuple[int, str, int]] = {}
    for number, commit in enumerate(order, 1):
        for change in changes(request, commit):
            if not change.path.endswith(_C):
                continue
            for line, row in change.added:
                text = code(row)
                names = {m["name"] for p in _DEFINES if (m := p.match(text))}
                for name in names:
                    defined.setdefault(name, number)
                if match := _DECLARES.match(text):
                    declared.setdefault(match["name"], number)
                for name in set(_WORD.findall(text)) - names:
                    used.setdefault(name, (number, change.path, line))
    late = {name: by for name, by in defined.items()
            if name in used and used[name][0] < by
            and declared.get(name, by) > used[name][0]}
    for name in sorted(late, key=lambda n: used[n]):
        number, path, line = used[name]
        if not _known(request, name, order[number - 1], path, line):
            yield Finding("USED_BEFORE", f"uses {name}, which patch {late[name]} adds", path, line,
                          patch=number)


def _known(request: Request, name: str, commit: str, path: str, line: int) -> bool:
    """Whether the tree at ``commit`` has the name elsewhere than where patches use it."""
    at_base = git(request.repo, "grep", "-q", "-w", name, request.base_commit, "--", "*.h", path,
                  check=False)
    if at_base.returncode == 0:
        return True
    here = git(request.repo, "show", f"{commit}:{path}").text.split("\n")
    # A local variable, a parameter or a field of that name.
    typed = re.compile(rf"\b(?:int|long|char|bool|unsigned|u\d+|\w+_t|struct \w+|void|enum \w+)"
                       rf"[\s*]+{name}\b|\b{name}\s*:|[.>]{name}\b")
    return any(typed.search(row) for row in here)


if __name__ == "__main__":
    run(check)
