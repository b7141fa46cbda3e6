# SPDX-License-Identifier: GPL-2.0-or-later
"""``check.toml``: what a check looks for, needs and costs, and how grave its findings are."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from kvtools.errors import ConfigError
from kvtools.model import Json, Level
from kvtools.sources import digest_of

FILE = "check.toml"


class Scope(StrEnum):
    """When a check runs: after apply, after the build, once for the whole series."""

    PATCH = "patch"
    OBJECTS = "objects"
    SERIES = "series"


@dataclass(frozen=True, slots=True)
class Check:
    """A check as its folder declares it; ``deadline`` and ``cost`` in seconds.

    ``unread_comments``: whose comments its program does not see, "all", those of "headers", or
    "" when it may see any. ``digest`` is over every file of the folder: another check, another
    outcome.
    """

    name: str
    folder: Path
    description: str
    scope: Scope
    program: Path
    files: tuple[str, ...] = ()
    compares: bool = False
    programs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    tree: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    deadline: float = 60.0
    cost: float = 1.0
    volatile: bool = False
    unread_comments: str = ""
    severity: Level = Level.WARN
    severities: tuple[tuple[str, Level], ...] = ()
    options: Mapping[str, Json] = field(default_factory=dict)
    digest: str = ""

    def matches(self, path: str) -> bool:
        """Whether a touched file is one this check looks at."""
        return not self.files or any(fnmatchcase(path, pattern) for pattern in self.files)

    def level(self, rule: str) -> Level | None:
        """The level that this declaration gives to a rule by name; None when it does not."""
        return next((lv for pattern, lv in self.severities if fnmatchcase(rule, pattern)), None)


_LISTS = ("files", "programs", "packages", "tree", "reads")
_TYPES: Mapping[str, Any] = {
    "description": str, "scope": str, "program": str, "files": list, "compares": bool,
    "programs": list, "packages": list, "tree": list, "reads": list,
    "deadline": (int, float),
    "cost": (int, float), "volatile": bool,
    "unread_comments": str, "severity": str, "severities": dict, "options": dict,
}


def load(folder: Path) -> Check:
    """Read the declaration of one folder. Raises ConfigError naming file, key and way out."""
    path = folder / FILE
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{folder} is no check: it has no {FILE}",
                          fix="kvtools/checks/README.md says what belongs there") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    _typed(path, data)
    lists = {key: tuple(data.get(key, ())) for key in _LISTS}
    return Check(
        name=folder.name,
        folder=folder,
        description=data["description"],
        scope=Scope(_one_of(path, "scope", data["scope"], Scope)),
        program=_program(path, data.get("program", "check")),
        **lists,
        compares=data.get("compares", False),
        deadline=float(data.get("deadline", 60.0)),
        cost=float(data.get("cost", 1.0)),
        volatile=data.get("volatile", False),
        unread_comments=_one_of(path, "unread_comments", data.get("unread_comments", ""),
                                ("", "all", "headers")),
        severity=_level(path, "severity", data.get("severity", "warn")),
        severities=tuple((rule, _level(path, rule, level))
                         for rule, level in data.get("severities", {}).items()),
        options=data.get("options", {}),
        digest=digest_of(folder, _content(folder)),
    )


def _content(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]


def _typed(path: Path, data: Mapping[str, Any]) -> None:
    for key, value in data.items():
        if key not in _TYPES:
            near = difflib.get_close_matches(key, _TYPES, 1, 0.5)
            raise ConfigError(f"{path}: unknown key {key!r}",
                              fix=f"did you mean {near[0]!r}?" if near else
                              f"valid keys: {', '.join(_TYPES)}")
        wanted = _TYPES[key]
        number = wanted == (int, float)
        if not isinstance(value, wanted) or (number and isinstance(value, bool)):
            raise ConfigError(f"{path}: {key} has the wrong type")
        if wanted is list and not all(isinstance(one, str) for one in value):
            raise ConfigError(f"{path}: {key} is not a list of strings")
        if number and value <= 0:
            raise ConfigError(f"{path}: {key} is not a positive number of seconds")
    for key in ("description", "scope"):
        if not data.get(key):
            raise ConfigError(f"{path}: {key} is missing")


def _one_of(path: Path, key: str, value: object, words: Iterable[str]) -> str:
    known = [str(word) for word in words]
    if value not in known:
        raise ConfigError(f"{path}: {key} = {value!r} is none of {', '.join(known)}")
    return str(value)


def _level(path: Path, key: str, value: object) -> Level:
    return Level(_one_of(path, key, value, Level))


def _program(path: Path, name: str) -> Path:
    program = path.parent / name
    if not program.is_file():
        raise ConfigError(f"{path}: there is no program {name} beside it")
    if program.suffix != ".py" and not program.stat().st_mode & 0o111:
        raise ConfigError(f"{program} is not executable", fix=f"chmod +x {program}")
    return program
