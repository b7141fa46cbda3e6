# SPDX-License-Identifier: GPL-2.0-or-later
"""What a base is, read from ``kbuild/bases/<name>.toml``; see docs/bases.md for the format."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvtools.errors import BaseError
from kvtools.model import Known

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """``file`` is what ``package`` installs: a tar of the kernel."""

    package: str
    file: str


@dataclass(frozen=True, slots=True)
class Tarball:
    """A release tar. ``signature`` signs the uncompressed tar, ``keys`` are primary key
    fingerprints to the address each is published under, ``sha256`` is of the file itself."""

    version: str
    url: str
    signature: str
    keys: Mapping[str, str]
    sha256: str


@dataclass(frozen=True, slots=True)
class GitBranch:
    """The tip of a public branch."""

    url: str
    branch: str


Way = DebianPackage | Tarball | GitBranch


@dataclass(frozen=True, slots=True)
class BaselinePatch:
    """``name`` as the data file has it, ``text`` the patch."""

    name: str
    text: bytes


@dataclass(frozen=True, slots=True)
class BaseData:
    """One data file. ``version`` is a pattern for the kernel's version, ``ways`` are in the
    order in which they are tried, ``remove`` and ``patches`` make the baseline; ``known`` are
    failures of the untouched tree."""

    name: str
    description: str
    version: re.Pattern[str]
    default: bool
    ways: tuple[Way, ...]
    remove: tuple[str, ...]
    patches: tuple[BaselinePatch, ...]
    known: tuple[Known, ...] = ()

    @property
    def has_baseline(self) -> bool:
        return bool(self.remove or self.patches)

    @property
    def baseline_digest(self) -> str:
        """Identifies what the baseline takes out, 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for part in (*(name.encode() for name in self.remove), b"",
                     *(part for patch in self.patches
                       for part in (patch.name.encode(), patch.text))):
            digest.update(b"%d:%b" % (len(part), part))
        return digest.hexdigest()[:16]


def read_all(directory: Path) -> tuple[BaseData, ...]:
    """Every data file of ``directory``, the default base first, then by name.

    Raises BaseError when one does not parse or there is not exactly one default.
    """
    found = [read(file) for file in sorted(directory.glob("*.toml"))]
    if not found:
        raise BaseError(f"{directory} has no base: no *.toml there", fix="see docs/bases.md")
    defaults = [data.name for data in found if data.default]
    if len(defaults) != 1:
        raise BaseError(
            f"{directory}: {len(defaults)} bases say 'default = true' ({', '.join(defaults)})",
            fix="exactly one must",
        )
    return tuple(sorted(found, key=lambda data: (not data.default, data.name)))


def read(file: Path) -> BaseData:
    """One data file; patches are read from beside it. Raises BaseError."""
    try:
        table = _Table(file, "", tomllib.loads(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BaseError(f"{file}: {error}", fix="see docs/bases.md") from error
    baseline = table.table("baseline")
    oracle = table.table("oracle")
    data = BaseData(
        name=table.text("name"),
        description=table.text("description"),
        version=_pattern(file, table.text("version")),
        default=table.flag("default"),
        ways=tuple(_way(way) for way in table.tables("source")),
        remove=baseline.texts("remove"),
        patches=tuple(_patch(file, name) for name in baseline.texts("patches")),
        known=tuple(_known(entry) for entry in oracle.tables("known")),
    )
    baseline.end()
    oracle.end()
    table.end()
    if data.name != file.stem or not NAME.fullmatch(data.name):
        raise BaseError(f"{file}: name is '{data.name}'", fix=f"it must be '{file.stem}'")
    if not data.ways:
        raise BaseError(f"{file}: no [[source]]", fix="say how to get the tree, see docs/bases.md")
    return data


def _pattern(file: Path, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise BaseError(f"{file}: version '{text}' is not a pattern: {error}") from error


def _patch(file: Path, name: str) -> BaselinePatch:
    path = file.parent / name
    try:
        return BaselinePatch(name, path.read_bytes())
    except OSError as error:
        raise BaseError(f"{file}: baseline patch {path}: {error.strerror}") from error


def _known(table: _Table) -> Known:
    known = Known(
        cell=table.text("cell"),
        fingerprint=table.text("fingerprint"),
        reason=table.text("reason"),
        sometimes=table.flag("sometimes"),
    )
    table.end()
    return known


def _way(table: _Table) -> Way:
    kind = table.text("kind")
    way: Way
    if kind == "debian":
        way = DebianPackage(table.text("package"), table.text("file"))
    elif kind == "tarball":
        way = _tarball(table)
    elif kind == "git":
        way = GitBranch(table.text("url"), table.text("branch"))
        if way.url.startswith("-") or way.branch.startswith("-"):
            raise BaseError(f"{table.where}: url and branch must not start with '-'")
    else:
        raise BaseError(
            f"{table.where}: kind '{kind}' is not known", fix="use debian, tarball or git"
        )
    table.end()
    return way


def _tarball(table: _Table) -> Tarball:
    keys = {}
    for key in table.tables("key"):
        fingerprint = key.text("fingerprint").replace(" ", "").upper()
        if not re.fullmatch(r"[0-9A-F]{40}", fingerprint):
            raise BaseError(f"{key.where}: fingerprint must be 40 hexadecimal digits")
        keys[fingerprint] = key.text("address")
        key.end()
    way = Tarball(
        version=table.text("version"),
        url=table.text("url"),
        signature=table.text("signature", ""),
        keys=keys,
        sha256=table.text("sha256", "").lower(),
    )
    if not way.sha256 and not (way.signature and way.keys):
        raise BaseError(
            f"{table.where}: nothing to verify {way.url} with",
            fix="give sha256, or signature and [[source.key]]",
        )
    return way


class _Table:
    """A TOML table whose values are asked for by type; what nobody asked for is an error."""

    def __init__(self, file: Path, place: str, values: dict[str, Any]) -> None:
        self._file = file
        self._place = place
        self._values = dict(values)

    @property
    def where(self) -> str:
        return f"{self._file}: [{self._place}]" if self._place else str(self._file)

    def _take(self, key: str, kind: type, default: Any) -> Any:
        value = self._values.pop(key, default)
        if value is None:
            raise BaseError(f"{self.where}: '{key}' is missing", fix="see docs/bases.md")
        if not isinstance(value, kind):
            raise BaseError(f"{self.where}: '{key}' must be a {kind.__name__}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value: str = self._take(key, str, default)
        return value

    def flag(self, key: str) -> bool:
        value: bool = self._take(key, bool, False)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        values = self._take(key, list, [])
        if not all(isinstance(value, str) for value in values):
            raise BaseError(f"{self.where}: '{key}' must be a list of strings")
        return tuple(values)

    def table(self, key: str) -> _Table:
        return _Table(self._file, key, self._take(key, dict, {}))

    def tables(self, key: str) -> list[_Table]:
        values = self._take(key, list, [])
        if not all(isinstance(value, dict) for value in values):
            raise BaseError(f"{self.where}: '{key}' must be [[{key}]] tables")
        place = f"{self._place}.{key}" if self._place else key
        return [_Table(self._file, place, value) for value in values]

    def end(self) -> None:
        if self._values:
            raise BaseError(f"{self.where}: '{next(iter(self._values))}' is not known",
                            fix="see docs/bases.md")
