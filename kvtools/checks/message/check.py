# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines of the commit message (Documentation/process/submitting-patches.rst, "The canonical
patch format" and "Describe your changes").

Wide lines are right where wrapping would break them: logs, quotes, code, tables, addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvtools.checks.message import rows_of_text, trailers
from kvtools.checks.program import Finding, Request, run

_LEFTOVER = re.compile(r"(?:fixup|squash|amend)! |(?:WIP|TODO|XXX|DO NOT MERGE|HACK)\b[: ]|"
                       r"\*\*\* SUBJECT HERE", re.IGNORECASE)
_WIDE = re.compile(
    r"""\s{2,}|\t                      # indented: a log, code, a quoted commit
    |[>|#$]                            # a quote, a table, a shell
    |\[\s*\d+\.\d+\]|<\d>\[            # dmesg
    |.*\b(?:https?|ftp|git|lore)://\S  # an address
    |.*\S\ *\|\ *\S.*\|                # a table
    |\S{60,}                           # a path or symbol that cannot be broken
    |\S+:\d+(?::\d+)?:\ |\S+\([+\w]*\):\ # gcc, sparse, checkpatch
    |commit\ [0-9a-f]{8,}\ \(          # a commit with its subject
    |\[[\w\s.-]+:\ |(?:upstream|backported\ from|cherry\ picked\ from)\ commit
    |\(?cherry\ picked
    |.*(?:Call\ Trace|BUG:|WARNING:|RIP:|Oops|Code:\ |\b0x[0-9a-f]{6,})""",
    re.VERBOSE | re.IGNORECASE)
_THIS = re.compile(r"\s*(?:This|The following) (?:patch|commit|change)\b"
                   r"(?! (?:series|set|depends|is))")
_FENCE = re.compile(r"\s*(?:-*\s*8<\s*-|```)")


def check(request: Request) -> Iterator[Finding]:
    title, text = request.mail.subject.title, request.mail.message
    yield from _title(title, int(request.options.get("subject", 75)))
    rows = rows_of_text(text)
    if not any(row.strip() for _, row in rows):
        yield Finding("NO_BODY", "the message says nothing but its subject")
    yield from _width(rows, int(request.options.get("body", 75)))
    if _THIS.match(text):
        yield Finding("THIS_PATCH", "describe the change in imperative mood: 'make xyzzy do frotz' "
                      "instead of 'this patch makes ...'")
    if any(t.name == "Change-Id" for t in trailers(text)):
        yield Finding("GERRIT", "there is a Change-Id: of Gerrit")


def _title(title: str, most: int) -> Iterator[Finding]:
    if _LEFTOVER.match(title):
        yield Finding("LEFTOVER_SUBJECT", "the subject says that it is not meant to be applied")
    if len(title) > most and not title.startswith(('Revert "', 'Reapply "')):
        yield Finding("LONG_SUBJECT", f"the subject is longer than {most} characters",
                      message=f"the subject has {len(title)} characters, {most} are the most")
    if title.endswith(".") and not title.endswith("..."):
        yield Finding("SUBJECT_PERIOD", "the subject ends with a period")


def _width(rows: list[tuple[int, str]], most: int) -> Iterator[Finding]:
    fenced = False
    for _, row in rows:
        if _FENCE.match(row):
            fenced = not fenced
        if len(row.expandtabs()) > most and not fenced and not _WIDE.match(row):
            yield Finding("WIDE_LINE", f"a line of the message is wider than {most} columns: {row}",
                          message=f"{len(row.expandtabs())} columns, {most} are the most: {row}")


if __name__ == "__main__":
    run(check)
