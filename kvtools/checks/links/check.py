# SPDX-License-Identifier: GPL-2.0-or-later
"""What a reader can follow (Documentation/process/submitting-patches.rst, "Describe your
changes"): the report behind Reported-by, and links that work."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvtools.checks.message import trailers
from kvtools.checks.program import Finding, Request, run

_URL = re.compile(r"<?https?://[\w.-]+\.\w+(?:[/?#]\S*)?>?(?:\s+[\[#(].*)?$")
_REPORTED = ("Reported-by", "Reported-and-tested-by", "Reported-and-suggested-by")
_PRIVATE = re.compile(r"https?://(?:localhost|127\.|10\.|192\.168\.|[\w.-]+\.(?:corp|internal|"
                      r"local)\b|mail\.google\.com|outlook\.)")


def check(request: Request) -> Iterator[Finding]:
    found = trailers(request.mail.message)
    for at, one in enumerate(found):
        if one.name in _REPORTED:
            after = found[at + 1].name if at + 1 < len(found) else ""
            while after in _REPORTED and at + 1 < len(found):  # several reporters of one report
                at += 1
                after = found[at + 1].name if at + 1 < len(found) else ""
            if after not in ("Closes", "Link", "BugLink", "Buglink"):
                yield Finding("REPORT_WITHOUT_LINK",
                              f"'{one.key}: {one.value}' is not followed by Closes: or Link: with "
                              "the report")
        elif one.name in ("Link", "Closes"):
            if not _URL.match(one.value):
                yield Finding("NOT_A_URL", f"'{one.key}: {one.value}' is no address on the web")
            elif _PRIVATE.match(one.value):
                yield Finding("PRIVATE_URL", f"'{one.key}: {one.value}' is not public")


if __name__ == "__main__":
    run(check)
