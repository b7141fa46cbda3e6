# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs that make a kernel, and what kvtools knows of an architecture."""

from __future__ import annotations

import hashlib
import platform
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from kvtools import process
from kvtools.errors import ConfigError, MachineError, ToolMissing

_DIRECTORY = Path("kbuild/arch")
_DEADLINE = 10.0
_PACKAGES = {"ld": "binutils"}
# Without these kbuild stops half-way with a message that does not name them.
_TOOLS = ("make", "flex", "bison", "bc", "perl")
_OF_COMPILER = ("gcc", "ld")


@dataclass(frozen=True, slots=True)
class Arch:
    """An architecture as ``kbuild/arch/<name>.toml`` describes it."""

    name: str
    make_arch: str
    srcarch: str
    native: tuple[str, ...]
    cross_compile: str
    image_target: str
    image: str
    objects: int
    qemu: str
    machines: tuple[str, ...]
    console: str


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What compiles. ``cross`` is CROSS_COMPILE's prefix, empty on a native machine.

    ``versions`` maps a program to the first line of its ``--version``; ``digest`` is over
    what can change an object file.
    """

    arch: Arch
    cc: str
    cross: str
    versions: Mapping[str, str]
    digest: str


def arch_names(root: Path) -> tuple[str, ...]:
    """The architectures that have a description."""
    return tuple(sorted(path.stem for path in (root / _DIRECTORY).glob("*.toml")))


def load_arch(name: str, root: Path) -> Arch:
    """Read ``kbuild/arch/<name>.toml``. Raises :class:`ConfigError`."""
    path = root / _DIRECTORY / f"{name}.toml"
    if "/" in name or not path.is_file():
        raise ConfigError(f"no architecture {name!r}",
                          fix=f"there are {', '.join(arch_names(root)) or 'none'}")
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return _arch(path, data)


def _arch(path: Path, data: dict[str, Any]) -> Arch:
    hints = get_type_hints(Arch)
    values: dict[str, Any] = {"name": path.stem}
    for key in (field.name for field in fields(Arch) if field.name != "name"):
        value = data.pop(key, None)
        wanted = list if hints[key] == tuple[str, ...] else hints[key]
        if not isinstance(value, wanted):
            raise ConfigError(f"{path}: {key} is missing or no {wanted.__name__}")
        values[key] = tuple(value) if isinstance(value, list) else value
    if data:
        raise ConfigError(f"{path}: unknown key {next(iter(data))!r}")
    return Arch(**values)


def probe(arch: str, root: Path, machine: str | None = None) -> Toolchain:
    """Find the compiler for ``arch`` and ask every program for its version.

    ``machine`` is the host's ``uname -m``. Raises :class:`ToolMissing` naming the first
    program that is not there, :class:`ConfigError` for an unknown architecture.
    """
    described = load_arch(arch, root)
    native = (machine or platform.machine()) in described.native
    cross = "" if native else described.cross_compile
    versions = {tool: _version(cross + tool, _package(tool, cross)) for tool in _OF_COMPILER}
    versions |= {tool: _version(tool, tool) for tool in _TOOLS}
    cc = cross + "gcc"
    # make, flex and bison write no code of their own into the kernel.
    said = [described.make_arch, cc, *(versions[tool] for tool in _OF_COMPILER)]
    digest = hashlib.sha256("\0".join(said).encode()).hexdigest()
    return Toolchain(described, cc, cross, versions, digest)


def _package(tool: str, cross: str) -> str:
    name = _PACKAGES.get(tool, tool)
    return f"{name}-{cross.rstrip('-').replace('_', '-')}" if cross else name


def _version(program: str, package: str) -> str:
    if process.which(program) is None:
        raise ToolMissing(f"{program} is not installed", fix=f"apt-get install {package}")
    done = process.run([program, "--version"], deadline=_DEADLINE, check=False, merge=True)
    lines = [line for line in done.text.splitlines() if re.search(r"\d", line)]
    if done.returncode != 0 or not lines:
        raise MachineError(f"{program} --version says nothing usable (status {done.returncode})",
                           fix=f"reinstall {package}")
    return lines[0].strip()
