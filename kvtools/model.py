# SPDX-License-Identifier: GPL-2.0-or-later
"""The records that travel between floors: frozen, plain data, no behaviour beyond reading.

Sizes are in bytes and times in seconds unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

Json = Any  # None, bool, int, float, str, list, dict


class Status(StrEnum):
    """What a cell of the matrix says."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"
    SKIP = "SKIP"
    ERROR = "ERROR"


class Owner(StrEnum):
    """Whose fault a FAIL or an ERROR is."""

    PATCH = "patch"
    KERNEL = "kernel"
    MACHINE = "machine"
    USER = "user"


class Step(StrEnum):
    """The steps in the order in which they run."""

    APPLY = "apply"
    CHECK = "check"
    BUILD = "build"
    BOOT = "boot"
    SELFTEST = "selftest"
    DUMP = "dump"


class Level(StrEnum):
    """How grave a finding of a check is: a NAK or a broken build, taste or a hint, nothing."""

    FAIL = "fail"
    WARN = "warn"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Person:
    """A name and an address as in ``From:`` or a trailer."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch as it was sent.

    ``mail`` is the whole message in mbox form as ``git am`` wants it (bytes: the
    encoding of a patch is part of it); ``number`` counts from 1.
    """

    number: int
    subject: str
    author: Person
    date: str
    message: str
    mail: bytes = field(repr=False)
    source: str = ""


@dataclass(frozen=True, slots=True)
class CoverLetter:
    """Patch 0/N: subject without its prefix, and the text below it."""

    subject: str
    body: str
    mail: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Expectation:
    """From which patch on a cell has to PASS; before it a SKIP is right.

    ``cell`` is ``step:name`` as in ``--only``. ``from_patch`` None means that it is
    never expected to pass in this series. ``reason`` is printed with the SKIP.
    """

    cell: str
    from_patch: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class ConfigUse:
    """Which patches a config is built for and what runs on it.

    ``patches`` as in ``--patches``; ``scenarios`` None: those of the series.
    """

    config: str
    patches: str = "all"
    scenarios: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Override:
    """``[severity."check.RULE"]``: a level of the author's for a rule, with the printed reason."""

    rule: str
    level: Level
    reason: str


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """What ``series.toml`` says of checks: folders of more of them, levels, options by check."""

    folders: tuple[Path, ...] = ()
    overrides: tuple[Override, ...] = ()
    options: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Series:
    """A patch series from any source.

    ``patches`` in the order of application; ``base_commit``, ``change_id`` and
    ``prerequisites`` as in git format-patch's and b4's trailers. ``base``,
    ``configs``, ``scenarios`` and ``expectations`` come from ``series.toml`` and
    are empty where there is none, as is ``checks``. ``previous`` are the mails of the last
    revision where the source holds it.
    """

    name: str
    title: str
    source: str
    patches: tuple[Patch, ...]
    cover: CoverLetter | None = None
    revision: int = 1
    base_commit: str | None = None
    change_id: str | None = None
    prerequisites: tuple[str, ...] = ()
    base: str | None = None
    configs: tuple[ConfigUse, ...] = ()
    scenarios: tuple[str, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    checks: CheckSettings = field(default_factory=CheckSettings)
    previous: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Known:
    """A failure that a base is known to have, and why.

    ``cell`` is ``step:name``, ``fingerprint`` one of an outcome's. ``sometimes``: it need not
    happen in every run.
    """

    cell: str
    fingerprint: str
    reason: str
    sometimes: bool = False


@dataclass(frozen=True, slots=True)
class Base:
    """A prepared kernel tree that a series is applied to.

    ``repo`` is a git repository (ours, or the user's own which is only read),
    ``commit`` the commit patches are applied on, ``tree`` its git tree id.
    ``origin`` says in one line how the source was had (package and version, tarball,
    clone), ``public`` whether others can get that commit. ``known`` are the failures that
    are expected of it.
    """

    name: str
    repo: Path
    commit: str
    tree: str
    version: str
    origin: str
    public: bool
    known: tuple[Known, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """A kernel configuration: a make target and fragments merged on top.

    ``text`` is the concatenation of the fragments, ``requested`` what has to
    survive (symbol to value as in .config, ``n`` for "is not set"), ``optional``
    the symbols that may be missing with the reason given beside them.
    ``extra_warnings`` is what make gets as ``W=``, empty for none. ``extra_memory``: bytes that
    a guest of it has more than others, ``slowdown``: how many times longer its kernel takes.
    """

    name: str
    arch: str
    target: str
    text: str
    requested: Mapping[str, str]
    optional: Mapping[str, str]
    digest: str
    extra_warnings: str = ""
    extra_memory: int = 0
    slowdown: float = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a tool found. Its identity is (tool, file, function, text), not its line."""

    tool: str
    severity: str
    file: str
    line: int
    function: str
    text: str

    @property
    def identity(self) -> tuple[str, str, str, str]:
        return (self.tool, self.file, self.function, self.text)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step found out about one tree.

    ``summary`` is one line. ``log`` is the name of the main log inside the
    outcome's own directory. ``evidence`` are the telling lines of it, ``reproduce``
    shell commands that need no kvtools, ``details`` JSON data of the step.
    ``fingerprints`` identify what went wrong (splat titles, failed subtests, warning
    identities) so that it can be recognised on the base.
    """

    step: Step
    name: str
    status: Status
    seconds: float
    summary: str
    owner: Owner | None = None
    log: str | None = None
    evidence: tuple[str, ...] = ()
    reproduce: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    details: Mapping[str, Json] = field(default_factory=dict)
    reused: bool = False
    directory: Path | None = None

    @property
    def cell(self) -> str:
        return cell_of(self.step, self.name)


def cell_of(step: Step, name: str) -> str:
    """The column of the matrix: ``build:guest``, or the step alone when it has no name."""
    return f"{step}:{name}" if name else str(step)
