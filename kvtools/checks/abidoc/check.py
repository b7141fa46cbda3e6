# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes visible to users is written down: sysfs files in Documentation/ABI (or where a
subsystem keeps them), module parameters by MODULE_PARM_DESC or in kernel-parameters.txt."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvtools.checks.program import Finding, Request, run
from kvtools.git.command import git

_ATTRIBUTE = re.compile(
    r"(?:static\s+)?(?:(?:DEVICE|DRIVER|BUS|CLASS|KOBJ)_ATTR(?:_RW|_RO|_WO|_ADMIN_R[WO])?|"
    r"\w+_ATTR_(?:RW|RO|WO)|SENSOR_DEVICE_ATTR(?:_2)?(?:_RW|_RO|_WO)?)\s*\(\s*(?P<name>\w+)")
_PARAMETER = re.compile(r"(?:module_param|module_param_named|module_param_array|module_param_cb|"
                        r"module_param_string|core_param)\s*\(\s*(?P<name>\w+)")


def check(request: Request) -> Iterator[Finding]:
    for path in request.files:
        text = request.text(path)
        removed = _removed(request, path)
        for number, row in enumerate(text.split("\n"), 1):
            if not request.changed(path, number):
                continue
            match = _ATTRIBUTE.match(row)
            if (match and match["name"] not in removed
                    and not _documented(request, match["name"], "Documentation")):
                yield Finding("SYSFS", f"the sysfs attribute {match['name']} is in no file of "
                              "Documentation/", path, number, match["name"])
            match = _PARAMETER.match(row)
            if (match and match["name"] not in removed
                    and not _described(request, text, match["name"])):
                yield Finding("PARAMETER", f"the module parameter {match['name']} has neither "
                              "MODULE_PARM_DESC nor a line in kernel-parameters.txt", path,
                              number, match["name"])


def _removed(request: Request, path: str) -> set[str]:
    """Names that the patch takes away in the same file: they are changed or moved, not new."""
    old = [row[1:].decode("utf-8", "replace") for file in request.diff for hunk in file.hunks
           for row in hunk.lines if row.startswith(b"-")]
    return {m["name"] for row in old for m in (_ATTRIBUTE.match(row), _PARAMETER.match(row)) if m}


def _documented(request: Request, name: str, where: str) -> bool:
    return git(request.at("."), "grep", "-q", "-w", name, "--", where, check=False).returncode == 0


def _described(request: Request, text: str, name: str) -> bool:
    if re.search(rf"MODULE_PARM_DESC\s*\(\s*{name}\b", text):
        return True
    return _documented(request, name, "Documentation/admin-guide/kernel-parameters.txt")


if __name__ == "__main__":
    run(check)
