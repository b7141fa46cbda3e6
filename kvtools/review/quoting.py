# SPDX-License-Identifier: GPL-2.0-or-later
"""A patch quoted as reviewers do it: comments below the line they are about. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kvtools import diff
from kvtools.report.mail import wrap
from kvtools.report.printable import printable

CONTEXT = 6
"""Lines of the patch that are kept before a comment."""
AFTER = 2

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


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
    places, heads = _places(rows)
    below: dict[int, list[str]] = {}
    top: list[str] = []
    for comment in comments:
        at = places.get((comment.file, comment.line), places.get((comment.file, 0)))
        if not comment.file or at is None:
            where = f"{comment.file}:{comment.line}: " if comment.file else ""
            top.append(_labelled(where, comment.text))
        elif (comment.file, comment.line) in places:
            below.setdefault(at, []).append(comment.text)
        else:
            below.setdefault(at, []).append(
                _labelled(f"line {comment.line}: " if comment.line else "", comment.text))
    if below:
        top.append((f"{attribution}\n" if attribution else "") + _cut(rows, below, heads))
    return "\n\n".join(top) + "\n"


def files_of(body: str) -> set[str]:
    """The files that the diff in ``body`` has, by their new name."""
    return {file for file, _ in _places(body.split("\n"))[0]}


def _labelled(label: str, text: str) -> str:
    """The label before the first line; text that is in lines keeps them."""
    first, newline, rest = text.partition("\n")
    return "\n".join(wrap(label + first)) + newline + rest


def _places(
    rows: Sequence[str],
) -> tuple[Mapping[tuple[str, int], int], Mapping[int, tuple[int, int]]]:
    """(file, line in the new file) to row, line 0 is where the file begins; and for each such
    row those of its file's and hunk's headers."""
    found: dict[tuple[str, int], int] = {}
    heads: dict[int, tuple[int, int]] = {}
    file, line, old, new, begin, head = "", 0, 0, 0, 0, 0
    for index, row in enumerate(rows):
        if old or new:
            if row.startswith("-"):
                old -= 1
            elif not row.startswith("\\"):
                found[file, line] = index
                heads[index] = (begin, head)
                line, new = line + 1, new - 1
                old -= not row.startswith("+")
        elif row.startswith("+++ ") and index and rows[index - 1].startswith("--- "):
            file, begin = _file(row), index
            if file:
                found[file, 0] = index
        elif file and (hunk := _HUNK.match(row)):
            line, head = int(hunk[2]), index
            old, new = (int(hunk[n]) if hunk[n] else 1 for n in (1, 3))
    return found, heads


def _file(row: str) -> str:
    """The new name in a ``+++`` row, unquoted as git quotes it; "" for a file that is removed."""
    name = diff.file_name(row[4:].encode("utf-8", "surrogateescape"))
    text = name.decode("utf-8", "surrogateescape")
    return "" if text == "/dev/null" else text.removeprefix("b/")


def _cut(rows: Sequence[str], below: Mapping[int, Sequence[str]],
         heads: Mapping[int, tuple[int, int]]) -> str:
    """What is near a comment, with the headers that say where that is."""
    keep = {at + step for at in below for step in range(-CONTEXT, AFTER + 1)}
    keep |= {row for at in below for row in heads.get(at, ())}
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
