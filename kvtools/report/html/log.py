# SPDX-License-Identifier: GPL-2.0-or-later
"""A log as HTML: what matters of it, the telling lines marked, every character spelled safely.

Logs make up nearly all of a page, so they are put together here and not in the template: one
text with few elements in it, which a browser reads at once however many logs there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from kvtools.report.excerpt import around, find, pieces
from kvtools.report.printable import printable

CONTEXT, TAIL, HEAD = 8, 30, 6
QUIET_TAIL = 12
"""Lines of the end of a log in which nothing is marked: the whole is a link away."""

MOST_MARKED = 120
LONGEST = 400
"""Characters of a line; a kernel can print a megabyte without a newline."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """``html`` goes into a ``<pre>``; ``lines`` and ``shown`` count those of the log."""

    html: Markup
    lines: int
    shown: int


def excerpt(text: str, evidence: Iterable[str]) -> Excerpt:
    """The telling lines with context, the beginning and the end of the log ``text``."""
    lines = text.splitlines()
    found = find(lines, evidence)
    marked = frozenset(sorted(found.marked)[:MOST_MARKED])
    tail = TAIL if found.marked or found.unseen else QUIET_TAIL
    chosen = around(marked, len(lines), context=CONTEXT, tail=tail, head=HEAD)
    made = [_marked(line, "") for line in found.unseen[:MOST_MARKED]]
    room = len(str(len(lines)))
    for piece in pieces(chosen):
        if piece.left_out:
            made.append(_gap(piece.left_out))
        number = f"{piece.index + 1:{room}}"
        if piece.index in found.marked:
            made.append(_marked(lines[piece.index], number))
        else:
            made.append(f"  {number}  {safe(lines[piece.index])}")
    return Excerpt(Markup("\n".join(made)), len(lines), len(chosen))


def told(evidence: Sequence[str]) -> Markup:
    """The telling lines alone, where the log itself is gone."""
    made = "\n".join(_marked(line, "") for line in evidence[:MOST_MARKED])
    return Markup(made)


def safe(line: str) -> Markup:
    """A line of text cut to a length, terminal and bidi controls spelled out, then escaped."""
    cut = len(line) - LONGEST
    shown = line if cut <= 0 else f"{line[:LONGEST]} [{cut} more characters]"
    return escape(printable(shown))


def _marked(line: str, number: str) -> str:
    before = f"{number}  " if number else ""
    return f"<mark>&gt; {before}{safe(line)}</mark>"


def _gap(count: int) -> str:
    return f"<i>  ... {count} line{'' if count == 1 else 's'} left out</i>"
