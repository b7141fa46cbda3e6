# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel configurations: ``kbuild/configs/*.toml``, or the user's own file."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from kvtools import kconfig, sizes
from kvtools.errors import ConfigError
from kvtools.model import Config

FALLBACK = "guest"
"""The config below a user's own fragment: the one that is sure to boot here."""

_DIRECTORY = Path("kbuild/configs")
_KEYS = {"description": str, "arch": str, "target": str, "fragments": list}
_MEMORY = "extra_memory"
_SLOWDOWN = "slowdown"
_OPTIONAL = (_MEMORY, _SLOWDOWN)
_SLOWEST = 100
_WHOLE = re.compile(r"#\s*\n# Automatically generated file; DO NOT EDIT\.")
_LOAD_ONLY = "olddefconfig"


def names(root: Path) -> tuple[str, ...]:
    """The configs that come with kvtools, sorted; ``root`` as :func:`kvtools.paths.data`."""
    return tuple(sorted(path.stem for path in (root / _DIRECTORY).glob("*.toml")))


def load(name: str, root: Path) -> Config:
    """The config ``name``, or the one in the ``.toml`` or ``.config`` file of that path.

    A whole ``.config`` is taken as it is; a short one is a fragment on top of
    :data:`FALLBACK`. Raises :class:`ConfigError` for a name that does not exist and for
    whatever cannot be read.
    """
    if "/" in name or name.endswith((".toml", ".config")):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"{name}: no such config file", fix=f"or use one of {_known(root)}")
        return _from_toml(path, root) if path.suffix == ".toml" else _from_config(path, root)
    path = root / _DIRECTORY / f"{name}.toml"
    if not name or not path.is_file():
        raise ConfigError(f"no config {name!r}", fix=f"there are {_known(root)}")
    return _from_toml(path, root)


def with_warnings(config: Config, levels: str) -> Config:
    """``config`` built with ``W=levels`` (scripts/Makefile.extrawarn), another kernel to the store.

    Raises :class:`ConfigError` for levels that kbuild does not know.
    """
    if not re.fullmatch(r"[123ce]+", levels):
        raise ConfigError(f"-W {levels}: no level of make's extra warnings",
                          fix="use 1, 2, 3, or several as in 12; e makes errors of warnings")
    digest = hashlib.sha256(f"{config.digest}\0W={levels}".encode()).hexdigest()
    return replace(config, extra_warnings=levels, digest=digest)


def _known(root: Path) -> str:
    return ", ".join(names(root)) or "none"


def _from_toml(path: Path, root: Path) -> Config:
    try:
        data = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    _validate(path, data)
    places = (path.parent, root / _DIRECTORY)
    files = [_fragment(path, name, places) for name in data["fragments"]]
    config = _config(path.stem, data["arch"], data["target"], files)
    try:
        memory = sizes.parse(data.get(_MEMORY, "0M"))
    except ValueError as error:
        raise ConfigError(f"{path}: {_MEMORY} = {error}") from None
    slowdown = data.get(_SLOWDOWN, 1)
    if not isinstance(slowdown, (int, float)) or not 1 <= slowdown <= _SLOWEST:
        raise ConfigError(f"{path}: {_SLOWDOWN} = {slowdown!r} is no number from 1 to {_SLOWEST}")
    return replace(config, extra_memory=memory, slowdown=float(slowdown))


def _validate(path: Path, data: dict[str, Any]) -> None:
    for key in data:
        if key not in (*_KEYS, *_OPTIONAL):
            raise ConfigError(f"{path}: unknown key {key!r}",
                              fix=f"known: {', '.join((*_KEYS, *_OPTIONAL))}")
    for key, kind in _KEYS.items():
        if not isinstance(data.get(key), kind):
            raise ConfigError(f"{path}: {key} is missing or no {kind.__name__}")
    if not all(isinstance(item, str) for item in data["fragments"]):
        raise ConfigError(f"{path}: fragments has to be a list of names")
    if not re.fullmatch(r"\w+config", data["target"]):
        raise ConfigError(f"{path}: {data['target']!r} is no config target of make",
                          fix="use tinyconfig, defconfig, allnoconfig, ...")


def _fragment(path: Path, name: str, places: tuple[Path, ...]) -> Path:
    for place in places:
        found = place / f"{name.removesuffix('.config')}.config"
        if found.is_file():
            return found
    raise ConfigError(f"{path}: no fragment {name}.config", fix=f"put it into {path.parent}")


def _from_config(path: Path, root: Path) -> Config:
    if not _WHOLE.match(_text(path)):
        below = load(FALLBACK, root)
        own = kconfig.fragment(_text(path), str(path))
        return _make(path.stem or path.name.lstrip("."), below.arch, below.target,
                     f"{below.text}\n{_text(path)}", own, below)
    # What a whole .config says of the compiler and of other versions' symbols need not survive.
    arch = "x86_64" if "\nCONFIG_X86_64=y" in _text(path) else ""
    if not arch:
        raise ConfigError(f"{path}: a .config of another architecture than x86_64")
    return _make(path.stem.lstrip("."), arch, _LOAD_ONLY, _text(path), kconfig.Fragment({}, {}))


def _config(name: str, arch: str, target: str, files: list[Path]) -> Config:
    texts = [_text(file) for file in files]
    # A blank line ends the reach of an "optional" comment: never across files.
    whole = "\n".join(texts)
    merged = kconfig.Fragment({}, {})
    for file, text in zip(files, texts, strict=True):
        merged = kconfig.merge(merged, kconfig.fragment(text, str(file)))
    return _make(name, arch, target, whole, merged)


def _make(name: str, arch: str, target: str, text: str, own: kconfig.Fragment,
          below: Config | None = None) -> Config:
    if below:
        own = kconfig.merge(kconfig.Fragment(below.requested, below.optional), own)
    if own.requested.get("LOCALVERSION_AUTO", "n") != "n":
        raise ConfigError(f"config {name} asks for CONFIG_LOCALVERSION_AUTO",
                          fix="leave it out: equal sources have to give equal kernels")
    digest = hashlib.sha256("\0".join((target, arch, text)).encode()).hexdigest()
    return Config(name, arch, target, text, own.requested, own.optional, digest)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
