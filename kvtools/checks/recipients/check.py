# SPDX-License-Identifier: GPL-2.0-or-later
"""Maintainers and lists of the touched files against To:, Cc: and the tags of the message."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from email.utils import getaddresses
from pathlib import Path

from kvtools import process
from kvtools.checks.message import trailers
from kvtools.checks.program import Finding, Request, Skip, run

_LINE = re.compile(r"(?P<who>.*?<?(?P<address>[^<>\s]+@[^<>\s]+?)>?)\s+\((?P<role>.*)\)$")
_HAS_TO = re.compile(r"\b(?:maintainer|supporter)\b")
_LIST = re.compile(r"\blist\b")


def check(request: Request) -> Iterator[Finding]:
    assert request.worktree is not None
    named = _named(request.patch) | (_named(request.cover) if request.cover else set())
    if not named:
        raise Skip("the mail names no recipients yet")
    named |= {t.address for t in trailers(request.mail.message)}
    done = process.run(["perl", request.at("scripts/get_maintainer.pl"), "--no-git",
                        "--no-git-fallback", "--no-rolestats", "--roles", "--no-n", "--email",
                        str(request.patch)], deadline=50, cwd=request.worktree, check=False)
    optional = {str(one).lower() for one in request.options.get("optional", ())}
    for row in done.text.splitlines():
        match = _LINE.match(row.strip())
        if not match or match["address"].lower() in named | optional:
            continue
        if _HAS_TO.search(match["role"]):
            yield Finding("MAINTAINER", f"{match['address']} ({match['role']}) is not among the "
                          "recipients")
        elif _LIST.search(match["role"]):
            yield Finding("LIST", f"{match['address']} ({match['role']}) is not among the "
                          "recipients")


def _named(path: Path) -> set[str]:
    headers = email.message_from_bytes(path.read_bytes())
    fields = [str(v) for name in ("To", "Cc") for v in headers.get_all(name, [])]
    return {address.lower() for _, address in getaddresses(fields) if "@" in address}


if __name__ == "__main__":
    run(check)
