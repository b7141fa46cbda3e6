# SPDX-License-Identifier: GPL-2.0-or-later
"""The compiler itself, asked about headers and about objects that were not made again."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kvtools import process
from kvtools.headers.commands import Product

_DEADLINE = 120.0
"""Seconds for one compile; the slowest file of a kernel takes some ten."""
CONTEXTS = 80
"""Headers of one cycle; with more of them asking costs more than compiling."""


def check_alone(words: Sequence[str], path: str, others: Sequence[str], *, objects: Path,
                env: Mapping[str, str], jobs: int) -> str:
    """Whether ``path`` compiles without a word, read first and from each of ``others`` first.

    Returns "" or what was said.
    """
    if len(others) > CONTEXTS:
        return f"{path}: {len(others)} headers include each other"

    def one(header: str) -> str:
        said = _syntax(words, header, objects, env)
        return f"{path}: {said}" if said else ""

    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        return next((said for said in pool.map(one, (path, *others)) if said), "")


def _syntax(words: Sequence[str], header: str, objects: Path, env: Mapping[str, str]) -> str:
    with tempfile.TemporaryDirectory(prefix="kvtools-") as scratch:
        source = Path(scratch) / "alone.c"
        source.write_text(f'#include "{header}"\n', "utf-8", "surrogateescape")
        call = [w for w in words[:-4] if not w.startswith("-Wp,-M")]
        done = process.run([*call, "-fsyntax-only", str(source)], deadline=_DEADLINE, cwd=objects,
                           env=env, check=False, merge=True)
    if done.returncode == 0 and not done.text.strip():
        return ""
    lines = [line for line in done.text.splitlines() if re.search(r"error|warning", line)]
    return f"does not compile when {Path(header).name} is read first: {(lines or ['?'])[0]}"


def remake(product: Product, objects: Path, env: Mapping[str, str]) -> bytes:
    """What the command of ``product`` makes now, all of it, tools behind the compiler too.

    Raises ToolFailed and ToolTimeout.
    """
    with tempfile.TemporaryDirectory(prefix=".kvtools-", dir=objects) as scratch:
        target = f"{Path(scratch).name}/{Path(product.target).name}"
        line = in_place_of(product, target)
        process.run(["sh", "-c", line], deadline=_DEADLINE, cwd=objects, env=env, merge=True)
        return (objects / target).read_bytes()


def linked(target: str, objects: Path) -> bool:
    """Whether ``target`` is part of what was built: an object that an earlier configuration
    or patch left behind need not compile any more."""
    if not (objects / "vmlinux.a").is_file():
        return True
    listed = process.run(["ar", "t", "vmlinux.a"], deadline=_DEADLINE, cwd=objects, check=False)
    if listed.returncode != 0 or target in listed.text.split():
        return True
    return any(target in path.read_text("utf-8", "replace").split()
               for path in objects.rglob("*.mod"))


def in_place_of(product: Product, target: str) -> str:
    """The shell line of ``product`` with ``target`` as what it makes, and nothing else made."""
    line = product.command.replace("$(pound)", "#").replace("$$", "$")
    line = re.sub(r"-Wp,-MM?D,\S+", f"-Wp,-MMD,{shlex.quote(target)}.d", line)
    old = re.escape(product.target)
    return re.sub(rf"(?<![\w/.-]){old}(?![\w/.-])", lambda _: shlex.quote(target), line)
