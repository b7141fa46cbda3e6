# SPDX-License-Identifier: GPL-2.0-or-later
"""Compile each touched header alone, as kernel code sees it and, in uapi, as user space does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from kvtools import process, warnings
from kvtools.checks import touched_units
from kvtools.checks.program import Finding, Request, Said, run

_DEADLINE = 40.0
_UAPI = re.compile(r"(?:include|arch/\w+/include)/uapi/(?P<name>.*)$")
_REFUSES = re.compile(r"error: #error")


def check(request: Request) -> Iterator[Said]:
    new = {touched.path for touched in request.touched if touched.status == "A"}
    for path in touched_units.find(request).headers:
        if any(fnmatchcase(path, pattern) for pattern in request.options["not_alone"]):
            continue
        errors = _errors(request, _in_kernel(request, path))
        if errors:
            rule = "new-header" if path in new else "broken"
            yield Finding(rule, "does not compile alone", path, lines=errors,
                          message=f"does not compile alone: {errors[0]}")
        if match := _UAPI.match(path):
            yield from _in_user_space(request, path, match["name"])


def _in_kernel(request: Request, path: str) -> str:
    at = touched_units.place(request)
    argv = [*touched_units.like(request, path).argv, "-fsyntax-only", "-include",
            str(at.source / path), "-x", "c", "/dev/null"]
    return process.run(argv, cwd=at.objects, env=at.env, deadline=_DEADLINE, check=False,
                       merge=True).text


def _errors(request: Request, text: str) -> tuple[str, ...]:
    """The errors; none for a header that says itself that it is not to be included alone."""
    if _REFUSES.search(text):
        return ()
    found = warnings.diagnostics(text, request.at(""))
    return tuple(f"{d.finding.file}:{d.finding.line}: {d.message}" for d in found
                 if d.finding.severity == "error")


def _in_user_space(request: Request, path: str, name: str) -> Iterator[Finding]:
    """Strip it as make headers_install does, then compile it with nothing of the kernel's own."""
    at = touched_units.place(request)
    installed = Path("include") / name
    installed.parent.mkdir(parents=True, exist_ok=True)
    done = process.run([str(at.source / "scripts/headers_install.sh"), str(at.source / path),
                        str(installed.absolute())], cwd=at.source, env=at.env,
                       deadline=_DEADLINE, check=False, merge=True)
    leaks = [line for line in done.text.splitlines() if "leak" in line]
    if leaks:
        yield Finding("uapi", "a symbol of the configuration is seen by user space", path,
                      message=leaks[0].replace(f"{at.source}/", ""), lines=tuple(leaks))
    if done.returncode != 0 or not installed.is_file():
        return
    roots = [f"{request.arch}", {"x86_64": "x86", "i386": "x86"}.get(request.arch, request.arch)]
    include = [f"-I{at.source}/arch/{root}/include/uapi" for root in dict.fromkeys(roots)]
    include += [f"-I{at.objects}/arch/{root}/include/generated/uapi" for root in roots]
    compiler = touched_units.like(request, path).argv[0]
    argv = [compiler, *request.options["uapi_flags"], "-fsyntax-only", "-Iinclude", *include,
            f"-I{at.source}/include/uapi", f"-I{at.objects}/include/generated/uapi",
            "-x", "c", "-include", str(installed), "/dev/null"]
    text = process.run(argv, deadline=_DEADLINE, check=False, merge=True, env=at.env).text
    if errors := _errors(request, text):
        yield Finding("uapi", "does not compile alone in user space", path, lines=errors,
                      message=f"does not compile alone in user space: {errors[0]}")


if __name__ == "__main__":
    run(check)
