# SPDX-License-Identifier: GPL-2.0-or-later
"""codespell on what people read; identifiers are spelt as their authors like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kvtools import process
from kvtools.checks.message import rows_of_text
from kvtools.checks.program import Finding, Request, run

_C = (".c", ".h", ".S", ".dts", ".dtsi", ".rs", ".lds")
_PROSE = (".rst", ".txt", ".md", ".yaml")
_HIT = re.compile(r"(?P<file>.+?):(?P<line>\d+): (?P<wrong>\S+) ==> (?P<right>.*)$")
# Not words: identifiers, calls, paths, addresses, tags, hexadecimal numbers, quoted code.
_NO_WORD = re.compile(r"\S*[_/@\\<>=&|%$#{}\[\]~^]\S*|\w+\(\S*|\S+://\S+|\b[0-9a-fA-F]{6,}\b|"
                      r"\w*[a-z][A-Z]\w*|\S+->\S+|\S+\.\w+|`[^`]*`|\b\w*\d\w*\b")
_COMMENT = re.compile(r"/\*.*?(?:\*/|$)|//.*$|\"(?:[^\"\\]|\\.)*\"")


def check(request: Request) -> Iterator[Finding]:
    texts = dict(_texts(request))
    scratch = Path("words")
    scratch.mkdir()
    names: dict[str, str] = {}
    for at, (name, rows) in enumerate(texts.items()):
        names[str(at)] = name
        words = {n: _NO_WORD.sub(" ", row) for n, row in rows.items()}
        last = max(words, default=0)
        (scratch / str(at)).write_text(
            "\n".join(words.get(n, "") for n in range(1, last + 1)) + "\n", "utf-8")
    ignore = ",".join(request.options.get("ignore", ()))
    done = process.run(["codespell", "--disable-colors", f"--ignore-words-list={ignore}", "."],
                       deadline=25, cwd=scratch, check=False)
    for row in done.text.splitlines():
        match = _HIT.match(row)
        if match:
            name = names[Path(match["file"]).name]
            yield Finding("SPELLING", f"'{match['wrong']}' may be '{match['right']}'"
                          + ("" if name else " in the message"),
                          name, int(match["line"]) if name else 0)


def _texts(request: Request) -> Iterator[tuple[str, dict[int, str]]]:
    """File to its added lines by number; the message goes by the name ""."""
    title = request.mail.subject.title
    message = {n + 2: row for n, row in rows_of_text(request.mail.message)
               if not re.match(r"\s{4}|\t|[>|#$]|\[\s*\d", row)}
    yield "", {1: title, **message}
    for path in request.files:
        rows = request.text(path).split("\n")
        added = {n: rows[n - 1] for first, last in request.lines.get(path, ())
                 for n in range(first, min(last, len(rows)) + 1)}
        if path.endswith(_C):
            yield path, {n: _comments(row) for n, row in added.items()}
        elif path.endswith(_PROSE) or "Kconfig" in Path(path).name:
            yield path, added


def _comments(row: str) -> str:
    """What of a line of C is comment or string: a line that begins with a star is comment."""
    stripped = row.strip()
    if stripped.startswith("*"):
        return stripped
    return " ".join(part.strip('"') for part in _COMMENT.findall(row))


if __name__ == "__main__":
    run(check)
