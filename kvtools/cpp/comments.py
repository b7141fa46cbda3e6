# SPDX-License-Identifier: GPL-2.0-or-later
"""C source as the compiler reads it: comments blanked, everything else where it was."""

from __future__ import annotations

import re

_HELD = b"\x01"
_BLANK = b"\x02"
# A literal first, so that what looks like a comment in it is none.
_TOKEN = re.compile(
    rb'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|(?P<line>//[^\n]*)|(?P<block>/\*.*?\*/)'
    rb'|(?P<open>["\']|/\*)', re.DOTALL)
# What would need a better reader than this one. A marker of ours; carriage returns; trigraphs;
# raw strings; a backslash before a comment, spaces behind a backslash; the two characters of a
# comment's begin or end on two lines; and what may be a file's name in < >.
_TOO_HARD = re.compile(
    rb"[\x01\x02\r]|\?\?/|(?<![A-Za-z0-9_$])(?:u8|[uUL])?R\"|\\[ \t\v\f]*/[/*]|\\[ \t\v\f]+\n"
    rb"|/\\\n|\*\\\n|(?:include|import|embed)[^\n]*<[^>\n]*/[/*]")
# Words that compilers heed in comments: -Wcomment, -Wimplicit-fallthrough below 5 (kernels before
# 5.5 used 3), -Wbidi-chars and -Winvalid-utf8.
_HEEDED = re.compile(rb"(?i)fall|lint|[^\0-\x7f]|/\*")
_TRAILING = re.compile(rb"[ \t\x02]*\x02[ \t\x02]*(?=\x01?\n|\Z)")


def without_comments(source: bytes) -> bytes | None:
    """``source`` with its /* */ comments blanked out; None when that is not certain.

    Two sources with the same result are the same to the preprocessor, line by line and column
    by column (C11 5.1.1.2, phases 2 and 3): a comment is white space, and a line end within one
    does not end a directive, so it is marked. // comments stay as they are, and so do those with
    words that a compiler warns for; a // comment that holds a quote or the beginning of another
    comment is not certain.
    """
    if _TOO_HARD.search(source):
        return None
    sure = True

    def blank(match: re.Match[bytes]) -> bytes:
        nonlocal sure
        found = match[0]
        if match["open"] or (match["line"] and re.search(rb"[\"']|/\*|\\$", found)):
            sure = False
        if not match["block"] or _HEEDED.search(found, 2):
            return found
        return (_HELD + b"\n").join(_BLANK * len(part) for part in found.split(b"\n"))

    text = _TOKEN.sub(blank, source)
    return _TRAILING.sub(b"", text).replace(_BLANK, b" ") if sure else None
