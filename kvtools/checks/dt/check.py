# SPDX-License-Identifier: GPL-2.0-or-later
"""Compile touched device trees as scripts/Makefile.lib does; validate touched bindings.

No configuration is needed for either, so device trees of every architecture are compiled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from kvtools import process
from kvtools.checks.program import Finding, Note, Request, Said, run
from kvtools.formats import dtc

_DEADLINE = 60.0
_PREFIXES = "scripts/dtc/include-prefixes"
_BINDINGS = "Documentation/devicetree/bindings"
_CPP_ERROR = re.compile(r"(?P<file>[^\s:][^:]*):(?P<line>\d+):\d+: (?:fatal )?error: (?P<text>.*)$")
# dtc says where twice over: the place of a node moves when lines do, its path does not.
_AT = re.compile(r"^(?:[^\s:]+:\d+(?:\.\d+)?(?:-[\d.]+)?: )+")


def check(request: Request) -> Iterator[Said]:
    seen: set[Said] = set()
    for said in _said(request):  # a .dtsi says the same with each board that includes it
        if said not in seen:
            seen.add(said)
            yield said


def _said(request: Request) -> Iterator[Said]:
    done: set[str] = set()
    for path in request.files:
        if path.endswith(".yaml"):
            yield from _binding(request, path)
            continue
        for source in (path,) if path.endswith((".dts", ".dtso")) else _users(request, path):
            if source not in done:
                done.add(source)
                yield from _compile(request, source, request.at(source))


def _users(request: Request, path: str) -> tuple[str, ...]:
    """Some .dts files that include a .dtsi, from the directories beside and below it."""
    name = PurePosixPath(path).name
    include = re.compile(rf'^\s*(?:#|/)include/?\s*["<](?:[^">]*/)?{re.escape(name)}[">]',
                         re.MULTILINE)
    found = []
    for place in sorted(request.at(path).parent.rglob("*.dts")):
        if include.search(place.read_text("utf-8", "replace")):
            found.append(str(place.relative_to(request.at(""))))
        if len(found) >= request.options["users"]:
            break
    return tuple(found)


def _compile(request: Request, name: str, source: Path) -> Iterator[Finding]:
    """What cpp and dtc say of one device tree; ``name`` is what it is called in findings."""
    prefixes, above = str(request.at(_PREFIXES)), str(source.parent)
    flat = Path(f"{PurePosixPath(name).name}.pre")
    done = process.run(["gcc", "-E", "-nostdinc", f"-I{prefixes}", "-undef", "-D__DTS__", "-x",
                        "assembler-with-cpp", "-o", str(flat), str(source)],
                       deadline=_DEADLINE, check=False, merge=True)
    if done.returncode != 0:
        for line in done.text.splitlines():
            if match := _CPP_ERROR.match(line):
                yield Finding("error", match["text"], _relative(request, match["file"]),
                              int(match["line"]), lines=(line,))
        return
    silent = [f"-Wno-{check}" for check in request.options["silent"]]
    done = process.run(["dtc", "-I", "dts", "-O", "dtb", "-o", f"{flat}.dtb", "-b", "0",
                        f"-i{above}", f"-i{prefixes}", *silent, str(flat)],
                       deadline=_DEADLINE, check=False, merge=True)
    for message in dtc.parse(done.text):
        rule = "error" if message.severity == "error" else message.check
        yield Finding(rule, _AT.sub("", message.text), _relative(request, message.file) or name,
                      message.line, message=message.text.replace(f"{request.worktree}/", ""))


def _relative(request: Request, path: str) -> str:
    """dtc prints real paths, cpp those that go through the prefixes' links."""
    if not path:
        return ""
    real, root = Path(path).resolve(), request.at("").resolve()
    return str(real.relative_to(root)) if real.is_relative_to(root) else path


def _binding(request: Request, path: str) -> Iterator[Said]:
    """What ``make dt_binding_check`` says of one binding: its schema, and its example."""
    if process.which("dt-doc-validate") is None:
        yield Note("bindings are not validated: dt-doc-validate is not installed "
                   "(pip install dtschema)")
        return
    done = process.run(["dt-doc-validate", "-u", str(request.at(_BINDINGS)),
                        str(request.at(path))], deadline=_DEADLINE, check=False, merge=True)
    root = f"{request.worktree}/"
    said = [line.replace(root, "") for line in done.text.splitlines() if line.strip()]
    heads = [line for line in said if line.startswith(path) or "rror" in line]
    for line in heads:
        place = re.match(rf"(?:{re.escape(path)}:(?:(\d+):\d+:)? )?(.*)$", line)
        assert place is not None
        yield Finding("binding", place[2], path, int(place[1] or 0), lines=tuple(said[:20]))
    if done.returncode != 0 and not heads:
        yield Finding("binding", "dt-doc-validate refuses it", path, lines=tuple(said[-20:]))
    example = process.run(["dt-extract-example", str(request.at(path))], deadline=_DEADLINE,
                          check=False)
    if example.returncode == 0 and example.text.strip():
        source = Path(f"{PurePosixPath(path).stem}.example.dts")
        source.write_bytes(example.stdout)
        yield from _compile(request, path, source.absolute())


if __name__ == "__main__":
    run(check)
