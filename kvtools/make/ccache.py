# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiles through ccache, for the states of a file that an object directory has had before.

kbuild must not notice: the compiler's name is part of every recorded command line. So a program
of that name stands first in PATH and calls ccache with the real one.

ccache works in its depend mode, which costs a first build nothing that can be measured (with
its preprocessing it costs 32% more CPU). That mode does not see ``.incbin``: two kernels with the
same lines of assembler around different contents would be one (tried with 4.7.5). So only C that
does not mention it goes through the cache. Paths are not rewritten, so ``__FILE__`` stays what
it is without ccache, and every worktree has hits of its own only.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kvtools import process

LIMIT = "3G"
"""A guest kernel takes some 15 MB, so this is a hundred different states and more."""

_WRAPPER = """\
#!/bin/sh
# Written by kvtools: see kvtools/make/ccache.py.
for last; do :; done
case $last in
*.c) grep -qs incbin -- "$last" || exec {ccache} {compiler} "$@" ;;
esac
exec {compiler} "$@"
"""


@dataclass(frozen=True, slots=True)
class Ccache:
    """The cache in ``directory``, reached by programs in ``directory/bin``."""

    directory: Path

    def environment(self, compiler: str, objects: Path) -> dict[str, str]:
        """What make needs in its environment so that ``compiler`` is cached.

        Empty when one of the two programs is not there. ``objects`` gets the list of what was
        found and what was not. Raises OSError.
        """
        ccache, real = process.which("ccache"), _real(compiler)
        if ccache is None or real is None:
            return {}
        programs = self.directory / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        _write(programs / compiler, _WRAPPER.format(ccache=shlex.quote(str(ccache)),
                                                    compiler=shlex.quote(str(real))))
        return {
            "PATH": f"{programs}:{process.environment()['PATH']}",
            "CCACHE_DIR": str(self.directory),
            # The user's own file may allow what is wrong for a kernel (sloppiness).
            "CCACHE_CONFIGPATH": "/dev/null",
            "CCACHE_DEPEND": "1",
            "CCACHE_MAXSIZE": LIMIT,
            "CCACHE_STATSLOG": str(_list(objects)),
        }


def _real(compiler: str) -> Path | None:
    """The first ``compiler`` in PATH that is no link to ccache, as distributions have them."""
    for directory in process.environment()["PATH"].split(":"):
        path = Path(directory, compiler)
        if os.access(path, os.X_OK) and path.resolve().name != "ccache":
            return path
    return None


def _write(path: Path, text: str) -> None:
    """Another kvtools may be starting it just now."""
    if path.is_file() and path.read_text() == text:
        return
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(text)
    part.chmod(0o755)
    part.replace(path)


def _list(objects: Path) -> Path:
    return objects / ".kvtools-ccache"


def hits(objects: Path) -> int:
    """How many compiles the cache has answered since the last call."""
    path = _list(objects)
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
        path.unlink()
    except FileNotFoundError:
        return 0
    said = Counter(_words(lines))
    return said["direct_cache_hit"] + said["preprocessed_cache_hit"]


def _words(lines: list[str]) -> Iterator[str]:
    return (line.strip() for line in lines if not line.startswith("#"))
