# SPDX-License-Identifier: GPL-2.0-or-later
"""A function that the patch adds to a .c file and calls inline.

``static __always_inline`` says that it has to be, a stub of an ``#else`` branch is empty in
any case, and BPF and boot code have their reasons: only the plain keyword counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvtools.checks.program import Finding, Request, run

_INLINE = re.compile(r"^(?:static\s+)?inline\s+[\w\s*]*?(?P<name>\w+)\s*\(")


def check(request: Request) -> Iterator[Finding]:
    for path in request.files:
        for number, line in enumerate(request.text(path).splitlines(), 1):
            match = _INLINE.match(line)
            if match and request.changed(path, number):
                yield Finding("INLINE_IN_C", f"{match['name']}() is declared inline in a .c file",
                              path, number, match["name"])


if __name__ == "__main__":
    run(check)
