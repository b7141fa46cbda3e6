# SPDX-License-Identifier: GPL-2.0-or-later
"""Cc: stable, when there is one (Documentation/process/stable-kernel-rules.rst)."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator

from kvtools.checks.message import Trailer, trailers
from kvtools.checks.program import Finding, Request, run

ADDRESSES = ("stable@vger.kernel.org", "stable@kernel.org", "stable+noautosel@kernel.org")
_LOOKS = re.compile(r"\bstable\S*@|@stable\b|\blinux-stable\b")
_VERSION = re.compile(r"#\s*(?:v?\d+\.\d+|\S+|.*\b[0-9a-f]{7,40}\b)")


def check(request: Request) -> Iterator[Finding]:
    found = trailers(request.mail.message)
    tags = [t for t in found if t.name == "Cc" and _LOOKS.search(t.value)]
    good = [t for t in tags if t.address in ADDRESSES]
    for one in tags:
        if one.address not in ADDRESSES:
            yield Finding("MISSPELT", f"'Cc: {one.value}' does not reach stable@vger.kernel.org")
    if not good:
        yield from _only_in_header(request)
        return
    yield from _rules(request, good, any(t.name == "Fixes" for t in found))


def _only_in_header(request: Request) -> Iterator[Finding]:
    headers = email.message_from_bytes(request.patch.read_bytes())
    named = " ".join(str(headers.get(name, "")) for name in ("To", "Cc"))
    if any(address in named.lower() for address in ADDRESSES):
        yield Finding("NOT_IN_MESSAGE", "stable is among the recipients, but the message has no "
                      "Cc: stable, and only that is picked up")


def _rules(request: Request, good: list[Trailer], fixes: bool) -> Iterator[Finding]:
    if not fixes and not any(_VERSION.search(one.value) for one in good):
        yield Finding("NO_VERSION", "Cc: stable without Fixes: does not say how far back: add "
                      "'# 6.1+' or the like")
    lines = sum(1 + len(hunk.lines) for file in request.diff for hunk in file.hunks)
    most = int(request.options.get("lines", 100))
    if lines > most:
        yield Finding("TOO_BIG", f"stable takes no more than {most} lines with context",
                      message=f"{lines} lines with context; stable takes up to {most}")


if __name__ == "__main__":
    run(check)
