# SPDX-License-Identifier: GPL-2.0-or-later
"""Run yamllint with the nearest ``.yamllint`` of the tree, as ``make dt_binding_check`` does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from kvtools import process
from kvtools.checks.program import Finding, Request, run
from kvtools.errors import MachineError
from kvtools.formats import dtc


def check(request: Request) -> Iterator[Finding]:
    for path in request.files:
        own = next((request.at(str(above / ".yamllint")) for above in PurePosixPath(path).parents
                    if request.at(str(above / ".yamllint")).is_file()), None)
        rules = ["-c", str(own)] if own else ["-d", "relaxed"]
        done = process.run(["yamllint", "--format", "parsable", *rules, str(request.at(path))],
                           deadline=50, check=False, merge=True)
        if done.returncode not in (0, 1, 2):
            raise MachineError(f"yamllint on {path}: status {done.returncode}: {done.text[-200:]}")
        found = dtc.parse_yamllint(done.text)
        if done.returncode == 1 and not found:
            raise MachineError(f"yamllint on {path}: {done.text.strip()[-200:]}")
        for message in found:
            yield Finding(message.check, message.text, path, message.line)


if __name__ == "__main__":
    run(check)
