# SPDX-License-Identifier: GPL-2.0-or-later
"""Which packages of a distribution are needed (``kbuild/packages.toml``) and which are here.

Asks for programs and files, not for packages: milliseconds instead of a dpkg call, and
right on distributions that name or split them differently. Standard library only and no
module of ours: the launcher imports it before anything is installed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

LEVELS = ("required", "speed", "wanted", "optional")
DISTRIBUTIONS = ("debian", "fedora", "arch")
SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin"


class Package(NamedTuple):
    """One entry; ``names`` gives the package's name per distribution."""

    key: str
    level: str
    why: str
    programs: tuple[str, ...]
    files: tuple[str, ...]
    names: dict[str, str]


def parse(text: str) -> tuple[Package, ...]:
    """The entries of a packages.toml in its order; ValueError names a wrong one."""
    return tuple(_entry(key, value) for key, value in tomllib.loads(text).items())


def _entry(key: str, value: dict[str, object]) -> Package:
    known = {"level", "why", "programs", "files", *DISTRIBUTIONS}
    if unknown := sorted(value.keys() - known):
        raise ValueError(f"[{key}]: unknown {', '.join(unknown)}")
    level = value.get("level")
    if level not in LEVELS:
        raise ValueError(f"[{key}]: level must be one of {', '.join(LEVELS)}")
    names = {name: str(value[name]) for name in DISTRIBUTIONS if name in value}
    programs, files = _words(key, value, "programs"), _words(key, value, "files")
    if not names or not (programs or files) or not value.get("why"):
        raise ValueError(f"[{key}]: needs why, programs or files, and a distribution's name")
    return Package(key, str(level), str(value["why"]), programs, files, names)


def _words(key: str, value: dict[str, object], name: str) -> tuple[str, ...]:
    words = value.get(name, [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"[{key}]: {name} must be a list of strings")
    return tuple(words)


def present(package: Package, *, path: str | None = None, root: str = "/") -> bool:
    """Whether its programs (in ``path``, default PATH and the system's) and a file are here."""
    search = f"{os.environ.get('PATH', os.defpath)}:{SYSTEM}" if path is None else path
    if any(shutil.which(program, path=search) is None for program in package.programs):
        return False
    return not package.files or any(_exists(name, root) for name in package.files)


def _exists(name: str, root: str) -> bool:
    stdlib = Path(os.__file__).parent
    found = Path(root).glob(name.format(stdlib=stdlib).lstrip("/"))
    return any(True for _ in found)


def missing(packages: Iterable[Package], *levels: str) -> list[Package]:
    """Those of these levels that are not here."""
    return [entry for entry in packages if entry.level in levels and not present(entry)]


def distribution(os_release: str) -> str:
    """``debian``, ``fedora`` or ``arch`` by ID and ID_LIKE of an os-release, else empty."""
    fields = {}
    for line in os_release.splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#"):
            try:
                fields[name.strip()] = " ".join(shlex.split(value))
            except ValueError:  # an open quote
                continue
    for word in [fields.get("ID", ""), *fields.get("ID_LIKE", "").split()]:
        if word in DISTRIBUTIONS:
            return word
    return ""


def here(files: Sequence[str] = ("/etc/os-release", "/usr/lib/os-release")) -> str:
    """The :func:`distribution` of this machine."""
    for name in files:
        try:
            return distribution(Path(name).read_text("utf-8", "replace"))
        except OSError:
            continue
    return ""


def names(packages: Iterable[Package], where: str) -> list[str]:
    """Package names on ``where``; Debian's where the distribution is unknown."""
    found = (entry.names.get(where or "debian") for entry in packages)
    return [name for name in dict.fromkeys(found) if name]


def install_args(where: str, wanted: Sequence[str]) -> list[str]:
    """The command, to be run by root, that installs packages on ``where``; empty if unknown."""
    command = {
        "debian": ["apt-get", "install", "-y", "--no-install-recommends"],
        "fedora": ["dnf", "install"],
        "arch": ["pacman", "-S", "--needed"],
    }.get(where)
    return [*command, *wanted] if command else []
