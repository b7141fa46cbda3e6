# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs kbuild: configures and builds a kernel in an object directory of its own.

Nothing is written into the source. Whatever would make two builds of the same source
differ is fixed (Documentation/kbuild/reproducible-builds.rst).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvtools import kconfig, process
from kvtools.events import Tick
from kvtools.make import ccache, configured, memory, objects
from kvtools.make.ccache import Ccache
from kvtools.make.objects import Tree, open_objects
from kvtools.model import Config
from kvtools.warnings import Diagnostic

__all__ = ["FIXED_CONFIG", "FIXED_ENV", "LOAD_ONLY", "Ccache", "Made", "Tree",
           "build", "configure", "final_config", "image_path", "kconfig_texts", "make_args",
           "open_objects", "standing", "uncached", "warned"]

FIXED_ENV: Mapping[str, str] = {
    "KBUILD_BUILD_TIMESTAMP": "Sat Jan  1 00:00:00 UTC 2000",
    "KBUILD_BUILD_USER": "kvtools",
    "KBUILD_BUILD_HOST": "kvtools",
    "KBUILD_BUILD_VERSION": "1",
}
# The release must not tell the commit: patches that change nothing would give new images.
FIXED_CONFIG = "# CONFIG_LOCALVERSION_AUTO is not set\n"
LOAD_ONLY = "olddefconfig"

_COMPILED = re.compile(r"\s+(?:CC|AS|HOSTCC)\s+(?:\[M\]\s+)?(\S+)")


@dataclass(frozen=True, slots=True)
class Made:
    """What one or several calls of make came to.

    ``status`` of the last one, all their output, seconds, how many ``objects`` were
    compiled, ``cached`` of them by ccache's answer, and the ``warnings`` of everything that is
    built now, compiled now or before.
    """

    status: int
    text: str
    seconds: float
    objects: int = 0
    cached: int = 0
    warnings: tuple[Diagnostic, ...] = ()


def make_args(tree: Tree, targets: Sequence[str], *, jobs: int = 1,
              variables: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The command line of make for ``targets``."""
    cross = (f"CROSS_COMPILE={tree.toolchain.cross}",) if tree.toolchain.cross else ()
    more = tuple(f"{name}={value}" for name, value in (variables or {}).items())
    return ("make", "-C", str(tree.source), f"O={tree.objects}",
            f"ARCH={tree.toolchain.arch.make_arch}", *cross,
            "LOCALVERSION=", *more, f"-j{jobs}", *targets)


def configure(tree: Tree, config: Config, *, deadline: float, log: Path,
              recall: bool = False) -> tuple[Made, bytes]:
    """Bring ``.config`` to what ``config`` asks for; returns it as olddefconfig left it.

    A .config that comes out as it was keeps its age, so that nothing is rebuilt. With
    ``recall`` make is not called when this process configured the same here and no file has
    changed since that configuring reads. The status of the result is that of the first make
    that failed.
    """
    path = tree.objects / ".config"
    before, age = (path.read_bytes(), path.stat()) if path.is_file() else (b"", None)
    begun = time.monotonic()
    asked = "\0".join((config.target, config.text, FIXED_CONFIG, tree.toolchain.digest))
    if recall and (known := configured.recall(tree.source, tree.objects, asked)):
        with log.open("a", encoding="utf-8", errors="surrogateescape") as out:
            out.write(f"# configured as at {known.commit[:12]}, nothing that is read has "
                      f"changed\n{known.text}")
        return Made(0, known.text, time.monotonic() - begun), before
    configured.forget(tree.objects)
    done: list[process.Completed] = []

    def make(target: str) -> bool:
        left = deadline - (time.monotonic() - begun)
        done.append(_make(tree, [target], deadline=left, log=log))
        return done[-1].returncode == 0

    path.unlink(missing_ok=True)
    if config.target == LOAD_ONLY or make(config.target):
        with path.open("a", encoding="utf-8") as out:
            out.write(f"{config.text}\n{FIXED_CONFIG}")
        make("olddefconfig")
    result = path.read_bytes() if path.is_file() else b""
    if result == before and age is not None:
        os.utime(path, ns=(age.st_atime_ns, age.st_mtime_ns))
    if recall and done[-1].returncode == 0:
        configured.remember(tree.source, tree.objects, asked, "".join(c.text for c in done),
                            result)
    return Made(done[-1].returncode, "".join(c.text for c in done),
                time.monotonic() - begun), result


def build(tree: Tree, targets: Sequence[str], *, jobs: int, deadline: float, log: Path,
          tick: Tick, variables: Mapping[str, str] | None = None,
          expected: int | None = None) -> Made:
    """Make ``targets``. The output is appended to ``log``; ``tick`` counts objects.

    ``expected`` is how many there will be; None to look through the object directory for it.

    ``warnings`` of the result are those of the whole object directory. Raises
    :class:`ToolTimeout` after ``deadline`` seconds; a failing make is a result.
    """
    if expected is None:
        expected = objects.expected_objects(tree)
    compiled = 0
    objects.begin(tree)
    with (tree.objects / memory.OUTPUT).open("a", encoding="utf-8", buffering=1,
                                             errors="surrogateescape") as output:

        def see(line: str) -> None:
            nonlocal compiled
            output.write(line.rstrip("\n") + "\n")
            if match := _COMPILED.match(line):
                compiled += 1
                tick(compiled, max(expected, compiled), match[1])

        done = _make(tree, targets, jobs=jobs, deadline=deadline, log=log, on_line=see,
                     variables=variables)
    memory.settle(tree.objects, tree.source)
    objects.end(tree, complete=done.returncode == 0)
    return Made(done.returncode, done.text, done.seconds, compiled, ccache.hits(tree.objects),
                memory.warnings(tree.objects))


def standing(tree: Tree) -> Made | None:
    """What :func:`build` would say when it has nothing to make; None when something is gone."""
    if not all(path.is_file() for path in (image_path(tree), tree.objects / "System.map",
                                           tree.objects / "vmlinux")):
        return None
    return Made(0, "", 0.0, warnings=memory.warnings(tree.objects))


def _make(tree: Tree, targets: Sequence[str], *, deadline: float, log: Path, jobs: int = 1,
          on_line: Callable[[str], None] | None = None,
          variables: Mapping[str, str] | None = None) -> process.Completed:
    return process.run(
        make_args(tree, targets, jobs=jobs, variables=variables), deadline=max(deadline, 0.1),
        env=_environment(tree), log=log, on_line=on_line, check=False, merge=True, work=True)


def _environment(tree: Tree) -> dict[str, str]:
    cached = tree.ccache.environment(tree.toolchain.cc, tree.objects) if tree.ccache else {}
    return {**FIXED_ENV, **cached} if cached else uncached()


def uncached() -> dict[str, str]:
    """The environment in which no cache answers, one that the user's PATH has included."""
    return {**FIXED_ENV, "CCACHE_DISABLE": "1"}


def warned(tree: Tree) -> frozenset[str]:
    """The units with a remembered warning, as paths without suffix."""
    return memory.warned(tree.objects)


def image_path(tree: Tree) -> Path:
    """Where the bootable image is after a build."""
    return tree.objects / tree.toolchain.arch.image


def final_config(text: bytes) -> dict[str, str]:
    """The .config that :func:`configure` returned, as symbol to value."""
    return kconfig.parse(text.decode("utf-8", "replace"))


def kconfig_texts(source: Path) -> dict[str, str]:
    """Every Kconfig file of a tree, path relative to it to text, for :func:`kconfig.dropped`."""
    texts: dict[str, str] = {}
    for directory, below, files in os.walk(source):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in files:
            if name.startswith("Kconfig"):
                path = Path(directory) / name
                relative = str(path.relative_to(source))
                texts[relative] = path.read_text("utf-8", "replace")
    return texts
