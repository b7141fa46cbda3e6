# SPDX-License-Identifier: GPL-2.0-or-later
"""Maintainers and lists of the touched files against To:, Cc: and the tags of the message."""

from __future__ import annotations

import email
from collections.abc import Iterator
from email.utils import getaddresses
from pathlib import Path

from kvtools import maintainers, process
from kvtools.checks.message import trailers
from kvtools.checks.program import Finding, Request, Skip, run


def check(request: Request) -> Iterator[Finding]:
    assert request.worktree is not None
    named = _named(request.patch) | (_named(request.cover) if request.cover else set())
    if not named:
        raise Skip("the mail names no recipients yet")
    named |= {t.address for t in trailers(request.mail.message)}
    done = process.run([*maintainers.COMMAND, str(request.patch)], deadline=50,
                       cwd=request.worktree, check=False)
    optional = {str(one).lower() for one in request.options.get("optional", ())}
    for one in maintainers.parse(done.text):
        if one.address in named | optional or not (one.maintains or one.is_list):
            continue
        rule = "MAINTAINER" if one.maintains else "LIST"
        yield Finding(rule, f"{one.address} ({one.role}) is not among the recipients")


def _named(path: Path) -> set[str]:
    headers = email.message_from_bytes(path.read_bytes())
    fields = [str(v) for name in ("To", "Cc") for v in headers.get_all(name, [])]
    return {address.lower() for _, address in getaddresses(fields) if "@" in address}


if __name__ == "__main__":
    run(check)
