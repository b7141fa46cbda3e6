# SPDX-License-Identifier: GPL-2.0-or-later
"""SPDX-License-Identifier of files that the patch adds."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvtools.checks.program import Finding, Request, run

_TAG = re.compile(r"(?P<comment>\S+)\s+SPDX-License-Identifier:\s+(?P<expression>.+?)"
                  r"\s*(?:\*/)?\s*$")
_WORD = re.compile(r"[A-Za-z0-9.+-]+")
_OPERATORS = ("AND", "OR", "WITH")


def check(request: Request) -> Iterator[Finding]:
    known = {path.name for path in request.at("LICENSES").glob("*/*")}
    added = {t.path for t in request.touched if t.status == "A"}
    for path in request.files:
        if path in added:
            yield from _file(request, path, known)


def _file(request: Request, path: str, known: set[str]) -> Iterator[Finding]:
    text = request.text(path)
    if not text.strip():
        return
    rows = text.split("\n")[:3]
    # The second line behind #!, the third behind a coding line as well.
    hit = next(((n, m) for n, row in enumerate(rows, 1) if (m := _TAG.match(row))), None)
    if hit is None:
        yield Finding("NO_SPDX", "a new file has no SPDX-License-Identifier in its first line",
                      path, 1)
        return
    number, match = hit
    if number > 1 and not rows[0].startswith(("#!", "%YAML")):
        yield Finding("NOT_FIRST_LINE", "SPDX-License-Identifier is not in the first line", path,
                      number)
    wanted = next((style for end, style in request.options.items() if path.endswith(end)), "#")
    if known and match["comment"] != wanted and not (wanted == "#" and path.endswith(".py")):
        yield Finding("COMMENT_STYLE", f"the line of the licence begins with {match['comment']}, "
                      f"in such files it is {wanted}", path, number)
    for word in _WORD.findall(match["expression"]):
        if known and word not in _OPERATORS and not _is_known(word, known):
            yield Finding("UNKNOWN_LICENCE", f"{word} is no licence that the kernel knows "
                          "(LICENSES/)", path, number)


def _is_known(word: str, known: set[str]) -> bool:
    """``GPL-2.0-only`` and ``GPL-2.0+`` lie in LICENSES/preferred/GPL-2.0."""
    plain = re.sub(r"(?:-only|-or-later|\+)$", "", word)
    return word in known or plain in known


if __name__ == "__main__":
    run(check)
