# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the semantic patches of the tree on what the patch touches.

All of them on a whole file take half a minute. What is new can only be in a function that the
patch touches, so the bodies of the others are emptied (line numbers stay), and a semantic patch
whose words do not occur is not run: that is what spatch's own index does. Starting spatch takes
longer than the rest of a file that is nearly empty, so it is started once for a semantic patch and
gets all the files, as ``make coccicheck`` does it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

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
    touched = {path: _touched(request, path, changed[path])
               for path in request.files if path in changed}
    jobs = [(script, worth) for script in scripts
            if (worth := {path: both for path, both in touched.items()
                          if cocci.worth_trying(needed[script.name], _words(both.after))})]
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


def _new(request: Request, script: Path, touched: Mapping[str, Excerpts]) -> Iterator[Said]:
    """What a semantic patch reports that it did not report of the parent.

    The parent is asked only of files with something to report: most often there are none.
    """
    said = list(_spatch(request, script, {path: both.after for path, both in touched.items()}))
    found = [one for one in said if isinstance(one, Finding)]
    yield from (one for one in said if isinstance(one, Note))
    before = {path: touched[path].before for path in dict.fromkeys(f.file for f in found)}
    asked = _spatch(request, script, before) if before else ()
    states, _ = compare([f for f in asked if isinstance(f, Finding)], found, {})
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


def _spatch(request: Request, script: Path, texts: Mapping[str, str]) -> Iterator[Said]:
    """What it reports of ``texts``, which are files by their path.

    Where it does not get through all of them they are given to it one by one: the note names
    the file, and the others have an answer.
    """
    sources = {_source(path, text): path for path, text in texts.items()}
    options = cocci.script(script.read_text("utf-8", "replace")).options
    with TemporaryDirectory(prefix=f"{script.stem}.", dir=".") as scratch:
        for name, path in sources.items():
            (Path(scratch) / name).write_text(texts[path], "utf-8")
        argv = ["spatch", "-D", "report", "--no-show-diff", "--very-quiet", "--cocci-file",
                str(script), *options, "--dir", scratch]
        failed, output = _run(argv, float(request.options["seconds"]) + len(texts) - 1)
    if failed and len(texts) > 1:
        for path, text in texts.items():
            yield from _spatch(request, script, {path: text})
        return
    if failed:
        print(output)
        yield Note(f"{script.stem} {failed} on {', '.join(texts)}")
        return
    for report in cocci.parse(output):
        path = sources[Path(report.file).name]
        function = function_of(texts[path], report.line)
        yield Finding(script.stem, cocci.without_lines(report.text), path, report.line, function,
                      message=report.text)


def _source(path: str, text: str) -> str:
    """A name for a file of the scratch directory, none like another."""
    return f"{Path(path).stem}.{hashlib.sha256(f'{path} {text}'.encode()).hexdigest()[:12]}.c"


def _run(argv: list[str], seconds: float) -> tuple[str, str]:
    """What went wrong, else "", and the output."""
    try:
        done = process.run(argv, deadline=seconds, check=False, merge=True)
    except ToolTimeout:
        return f"ran past {seconds:.0f} s", ""
    last = done.text.strip().splitlines()[-1:]
    return f"failed: {last}" if done.returncode else "", done.text


if __name__ == "__main__":
    run(check)
