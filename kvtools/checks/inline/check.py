# SPDX-License-Identifier: GPL-2.0-or-later
"""A function that the patch adds to a .c file and calls inline.

``static __always_inline`` says that it has to be, and BPF and boot code have their reasons: only
the plain keyword counts. A stub of an ``#else`` branch that does nothing or gives a constant is
empty in any case, and without the keyword the compiler complains where nobody calls it. A function
of the file that was inline before is not new because its arguments are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvtools import git
from kvtools.checks.program import Finding, Request, run

_INLINE = re.compile(r"^(?:static\s+)?inline\s+[\w\s*]*?(?P<name>\w+)\s*\(")
_IF, _ENDIF = re.compile(r"\s*#\s*if"), re.compile(r"\s*#\s*endif")
_STUB = re.compile(r"[^;{]*\{\s*(?:return\s+(?:-?\w+|NULL)\s*;)?\s*\}")


def check(request: Request) -> Iterator[Finding]:
    for path in request.files:
        rows = request.text(path).splitlines()
        before, depth = None, 0
        for number, line in enumerate(rows, 1):
            depth += bool(_IF.match(line)) - bool(_ENDIF.match(line))
            match = _INLINE.match(line)
            if not match or not request.changed(path, number):
                continue
            if before is None:
                before = _inline_before(request, path)
            stub = depth > 0 and _STUB.match("\n".join(rows[number - 1:number + 7]))
            if not stub and match["name"] not in before:
                yield Finding("INLINE_IN_C", f"{match['name']}() is declared inline in a .c file",
                              path, number, match["name"])


def _inline_before(request: Request, path: str) -> frozenset[str]:
    """The functions that are inline in the parent's file."""
    old = next((t.old for t in request.touched if t.path == path and t.old), None)
    content = git.blob(request.repo, request.parent, old) if old else None
    rows = (content or b"").decode("utf-8", "replace").splitlines()
    return frozenset(match["name"] for row in rows if (match := _INLINE.match(row)))


if __name__ == "__main__":
    run(check)
