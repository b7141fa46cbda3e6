# SPDX-License-Identifier: GPL-2.0-or-later
"""A commit message taken apart: text, trailers, and who is who. Pure.

Documentation/process/submitting-patches.rst names the tags; which a kernel developer uses
is data here, as it is in checkpatch.pl.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parseaddr

TAGS = (
    "Signed-off-by", "Co-developed-by", "Acked-by", "Reviewed-by", "Tested-by", "Reported-by",
    "Suggested-by", "Fixes", "Link", "Closes", "Cc", "To", "Debugged-by", "Originally-by",
    "Based-on-patch-by", "Requested-by", "Bisected-by", "Analyzed-by", "Diagnosed-by",
    "Inspired-by", "Reported-and-tested-by", "Co-authored-by", "BugLink", "Bug", "References",
    "Depends-on", "Message-ID", "Message-Id", "Assisted-by", "Build-tested-by",
    "Nacked-by", "Proposed-by", "Cherry-picked-from", "Buglink", "Bugzilla", "Origin",
    "Backport", "Change-Id", "URL", "Reported-and-suggested-by", "Tested-on", "Base-commit",
    "Upstream-commit", "Dependency", "Addresses-Coverity", "Addresses-KSPP-ID",
)
PEOPLE = ("Signed-off-by", "Co-developed-by", "Acked-by", "Reviewed-by", "Tested-by",
          "Reported-by", "Suggested-by")
_TAG = re.compile(r"(?P<key>[A-Za-z][A-Za-z0-9-]*):(?P<gap>[ \t]*)(?P<value>\S.*)$")
_WORDS = {tag.casefold(): tag for tag in reversed(TAGS)}


@dataclass(frozen=True, slots=True)
class Trailer:
    """One line ``Key: value``; ``line`` counts from 1 in the message, ``last`` is its end."""

    key: str
    value: str
    line: int
    last: int

    @property
    def name(self) -> str:
        """The usual spelling of the key."""
        return _WORDS.get(self.key.casefold(), self.key)

    @property
    def address(self) -> str:
        """The mail address in it, in lower case, "" without one."""
        found = re.search(r"<([^<>\s]+@[^<>\s]+)>", self.value)
        return (found[1] if found else parseaddr(self.value)[1]).lower()

    @property
    def person(self) -> str:
        """The name in it."""
        return self.value.partition("<")[0].strip().strip('"')


def trailers(message: str) -> tuple[Trailer, ...]:
    """The trailers: tags that are known, or look like one (``...-by:``), anywhere in the text.

    A line that begins with blanks continues the trailer above it (a long Fixes: folded by a
    mailer). ``[who: what]`` between trailers is a maintainer's note and is passed over.
    """
    found: list[Trailer] = []
    rows = message.split("\n")
    for number, row in enumerate(rows, 1):
        match = _TAG.match(row)
        if match and _is_tag(match["key"], match["value"]):
            found.append(Trailer(match["key"], match["value"].rstrip(), number, number))
        elif found and found[-1].last == number - 1 and re.match(r"[ \t]+\S", row):
            before = found[-1]
            found[-1] = Trailer(before.key, f"{before.value} {row.strip()}", before.line, number)
    return tuple(found)


def _is_tag(key: str, value: str) -> bool:
    if key.casefold() in _WORDS:
        # "Bug: the lock is not taken" and "Link: state machine" are prose.
        if key.casefold() in ("bug", "link", "closes", "url", "references", "origin", "backport",
                              "dependency", "buglink", "bugzilla"):
            return bool(re.match(r"<?https?://|#?\d+$|\S+$|commit ", value))
        if key.casefold() in ("cc", "to"):
            return "@" in value
        if key.casefold() == "fixes":
            return bool(re.match(r"(commit )?[0-9a-fA-F]{6,}\b", value))
        return True
    return key.casefold().endswith("-by") and "-" in key


def rows_of_text(message: str) -> list[tuple[int, str]]:
    """The numbered lines (from 1) that are no trailer."""
    taken = {n for t in trailers(message) for n in range(t.line, t.last + 1)}
    return [(n, row) for n, row in enumerate(message.split("\n"), 1) if n not in taken]
