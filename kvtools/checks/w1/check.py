# SPDX-License-Identifier: GPL-2.0-or-later
"""Compile the touched units with the warnings of ``make W=1``; an option is a rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvtools import units, warnings
from kvtools.checks import touched_units
from kvtools.checks.program import Finding, Request, Said, run

_OPTION = re.compile(r" ?\[-W(?:error=)?(?P<name>[\w+-]+?)=?\d*\]$")


def check(request: Request) -> Iterator[Said]:
    touched = touched_units.find(request)
    touched.need_units(request)
    yield from touched.notes()
    done = [*touched_units.compiled(request, touched)]
    for unit in touched_units.alone(request, touched):
        done.append(units.compile_one(touched_units.place(request), unit,
                                      touched_units.flags(request)))
    # A header that does not compile alone is for the check "header".
    texts = [one.text for one in done if one.object]
    yield from touched_units.distinct(f for text in texts for f in _findings(request, text))


def _findings(request: Request, text: str) -> Iterator[Finding]:
    for diagnostic in warnings.diagnostics(text, request.at("")):
        found = diagnostic.finding
        option = _OPTION.search(diagnostic.message)
        yield Finding(option["name"] if option else found.severity, _OPTION.sub("", found.text),
                      found.file, found.line, found.function, diagnostic.message,
                      lines=diagnostic.lines)


if __name__ == "__main__":
    run(check)
