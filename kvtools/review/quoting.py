# SPDX-License-Identifier: GPL-2.0-or-later
"""A patch quoted as reviewers do it: comments below the line they are about. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kvtools.report.printable import printable

CONTEXT = 6
"""Lines of the patch that are kept before a comment."""
AFTER = 2

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_NEW = re.compile(r'\+\+\+ "?(?:b/)?(?P<file>[^"\t]*)')


@dataclass(frozen=True, slots=True)
class Comment:
    """``file`` is empty for what is not about a place, ``line`` counts in the new file, 0 for
    the file as a whole."""

    text: str
    file: str = ""
    line: int = 0


def quoted(body: str, comments: Sequence[Comment], attribution: str = "") -> str:
    """``body`` (of the patch's mail) behind ``> `` with each comment below its line.

    What is far from any comment is cut, and said so. A comment on a line that the diff does not
    show stands below the file's header, one on no file of it above the quotation, which
    ``attribution`` leads in.
    """
    rows = body.rstrip("\n").split("\n")
    places = _places(rows)
    below: dict[int, list[str]] = {}
    top: list[str] = []
    for comment in comments:
        at = places.get((comment.file, comment.line), places.get((comment.file, 0)))
        if not comment.file or at is None:
            where = f"{comment.file}:{comment.line}: " if comment.file else ""
            top.append(where + comment.text)
        elif (comment.file, comment.line) in places:
            below.setdefault(at, []).append(comment.text)
        else:
            below.setdefault(at, []).append(f"line {comment.line}: {comment.text}")
    blocks = [text for text in top]
    if below:
        blocks.append((f"{attribution}\n" if attribution else "") + _cut(rows, below))
    return "\n\n".join(blocks) + "\n"


def _places(rows: Sequence[str]) -> Mapping[tuple[str, int], int]:
    """(file, line in the new file) to row; line 0 is where the file begins."""
    found: dict[tuple[str, int], int] = {}
    file, line, old, new = "", 0, 0, 0
    for index, row in enumerate(rows):
        if old or new:
            if row.startswith("-"):
                old -= 1
            elif row.startswith("\\"):
                pass
            else:
                found[file, line] = index
                line, new = line + 1, new - 1
                old -= not row.startswith("+")
        elif match := _NEW.match(row):
            file = match["file"]
            found[file, 0] = index
        elif file and (hunk := _HUNK.match(row)):
            line = int(hunk[2])
            old, new = (int(hunk[n]) if hunk[n] else 1 for n in (1, 3))
    return found


def _cut(rows: Sequence[str], below: Mapping[int, Sequence[str]]) -> str:
    keep = {at + step for at in below for step in range(-CONTEXT, AFTER + 1)}
    lines: list[str] = []
    cut = False
    for index, row in enumerate(rows):
        if index not in keep:
            cut = True
            continue
        if cut:
            lines.append("[ ... ]" if lines else "> [ ... ]")
            cut = False
        # A tab is not an escape: the code is quoted as it was sent.
        lines.append("> " + "\t".join(printable(part) for part in row.rstrip().split("\t")))
        for text in below.get(index, ()):
            lines += ["", text, ""]
    if cut:
        lines.append("[ ... ]")
    return "\n".join(lines)
