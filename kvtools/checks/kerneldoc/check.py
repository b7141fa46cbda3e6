# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel-doc comments that do not parse or do not tell all parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvtools import process
from kvtools.checks.program import Finding, Request, run

_LINE = re.compile(r"(?:(?:warning|error|Warning): )?(?P<file>\S+?):(?P<line>\d+): "
                   r"(?:warning|error|Warning): (?P<text>.*)$|"
                   r"(?:Warning|Error): (?P<file2>\S+?):(?P<line2>\d+) (?P<text2>.*)$")


def check(request: Request) -> Iterator[Finding]:
    if not request.files:
        return
    done = process.run([request.at("scripts/kernel-doc"), "-none", *request.files], deadline=50,
                       cwd=request.worktree, check=False, merge=True)
    for row in done.text.splitlines():
        match = _LINE.match(row)
        if match:
            text = match["text"] or match["text2"]
            yield Finding("KERNEL_DOC", text, match["file"] or match["file2"],
                          int(match["line"] or match["line2"]))


if __name__ == "__main__":
    run(check)
