# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the semantic patches of the tree on what the patch touches.

All of them on a whole file take half a minute. What is new can only be in a function that the
patch touches, so the bodies of the others are emptied (line numbers stay), and a semantic patch
whose words do not occur is not run: that is what spatch's own index does.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kvtools import git, process
from kvtools.checks import excerpt
from kvtools.checks.enclosing import function_of
from kvtools.checks.findings import State, compare
from kvtools.checks.program import Finding, Note, Request, Said, run
from kvtools.diff import FileDiff
from kvtools.errors import MachineError, ToolTimeout
from kvtools.formats import cocci

_WORD = re.compile(r"\w+")
_QUERIES = "queries.json"


def check(request: Request) -> Iterator[Said]:
    version = _version()
    scripts = _scripts(request, version)
    needed = _queries(request, scripts, version)
    changed = {file.new: file for file in git.diff_of(request.repo, request.commit)}
    jobs = [(path, touched, script) for path in request.files if path in changed
            for touched in [_touched(request, path, changed[path])]
            for script in scripts
            if cocci.worth_trying(needed[script.name], _words(touched.after))]
    with ThreadPoolExecutor(max(request.jobs, 1)) as pool:
        for said in pool.map(lambda job: list(_new(request, *job)), jobs):
            yield from said


@dataclass(frozen=True, slots=True)
class Excerpts:
    """Of one file: its touched functions and what is outside functions, on both sides."""

    before: str
    after: str


def _touched(request: Request, path: str, changed: FileDiff) -> Excerpts:
    after = request.text(path)
    functions = excerpt.functions_at(after, excerpt.places(changed))
    content = git.blob(request.repo, request.parent, changed.old) if changed.old else None
    before = (content or b"").decode("utf-8", "replace")
    return Excerpts(excerpt.of(before, functions), excerpt.of(after, functions))


@functools.cache
def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text))


def _new(request: Request, path: str, touched: Excerpts, script: Path) -> Iterator[Said]:
    """What a semantic patch reports that it did not report of the parent.

    The parent is asked only when there is something to report: most often there is not.
    """
    found = list(_spatch(request, path, touched.after, script))
    if not any(isinstance(said, Finding) for said in found):
        yield from found
        return
    known = [f for f in _spatch(request, path, touched.before, script) if isinstance(f, Finding)]
    yield from (said for said in found if isinstance(said, Note))
    states, _ = compare(known, [f for f in found if isinstance(f, Finding)], {})
    yield from (finding for finding, state in states if state is State.NEW)


def _version() -> str:
    done = process.run(["spatch", "--version"], deadline=20, check=False)
    match = re.search(r"version (\S+)", done.text)
    if match is None:
        raise MachineError("spatch --version says nothing usable")
    return match[1]


def _scripts(request: Request, version: str) -> list[Path]:
    """The semantic patches that have a report mode and run with this spatch."""
    found = []
    for path in sorted(request.at("scripts/coccinelle").rglob("*.cocci")):
        said = cocci.script(path.read_text("utf-8", "replace"))
        if said.requires and _numbers(said.requires) > _numbers(version):
            print(f"{path.name} needs spatch {said.requires}")
        elif said.ocaml and process.which("ocamlopt") is None:
            print(f"{path.name} needs an OCaml compiler")
        elif said.reports and path.stem not in request.options["skip"]:
            found.append(path)
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _queries(request: Request, scripts: list[Path], version: str
             ) -> dict[str, tuple[frozenset[str], ...]]:
    """The words each needs, by name; asked of spatch once for each text of a semantic patch."""
    cache = request.cache / _QUERIES
    try:
        known: dict[str, list[list[str]]] = json.loads(cache.read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    marks = {path: hashlib.sha256(version.encode() + path.read_bytes()).hexdigest()[:24]
             for path in scripts}
    unknown = [path for path in scripts if marks[path] not in known]
    with ThreadPoolExecutor(max(request.jobs, 1)) as pool:
        for path, found in zip(unknown, pool.map(_query, unknown), strict=True):
            known[marks[path]] = [sorted(words) for words in found]
    if unknown:
        part = cache.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(known), "utf-8")
        part.replace(cache)
    return {path.name: tuple(frozenset(words) for words in known[marks[path]])
            for path in scripts}


def _query(script: Path) -> tuple[frozenset[str], ...]:
    done = process.run(["spatch", "-D", "report", "--parse-cocci", str(script)], deadline=60,
                       check=False)
    return cocci.query(done.text)


def _spatch(request: Request, path: str, text: str, script: Path) -> Iterator[Said]:
    source = Path(f"{script.stem}.{hashlib.sha256(text.encode()).hexdigest()[:8]}.c")
    source.write_text(text, "utf-8")
    options = cocci.script(script.read_text("utf-8", "replace")).options
    argv = ["spatch", "-D", "report", "--no-show-diff", "--very-quiet", "--cocci-file",
            str(script), *options, str(source)]
    try:
        done = process.run(argv, deadline=float(request.options["seconds"]), check=False,
                           merge=True)
    except ToolTimeout:
        yield Note(f"{script.stem} ran past {request.options['seconds']} s on {path}")
        return
    if done.returncode != 0:
        print(done.text)
        yield Note(f"{script.stem} failed on {path}: {done.text.strip().splitlines()[-1:]}")
        return
    for report in cocci.parse(done.text):
        function = function_of(text, report.line)
        yield Finding(script.stem, cocci.without_lines(report.text), path, report.line, function,
                      message=report.text)


if __name__ == "__main__":
    run(check)
