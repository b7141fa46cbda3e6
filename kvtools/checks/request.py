# SPDX-License-Identifier: GPL-2.0-or-later
"""What the step that runs a check is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kvtools.checks.declaration import Check
from kvtools.checks.findings import Side
from kvtools.checks.program import Touched
from kvtools.model import Json, Override

SCHEMA = 1

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True, slots=True)
class Mails:
    """The mails of a series as files: in order, the cover letter, and the last revision's."""

    series: tuple[Path, ...]
    cover: Path | None = None
    previous: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """The objects that an ``objects`` check looks at, see README.md of the checks."""

    objects: Path
    make: tuple[str, ...]
    env: Mapping[str, str]
    config: str
    arch: str
    outcome: Path | None = None


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """One check of one patch. ``number`` counts from 1; of a series check it is the last.

    ``worktree`` is at ``commit`` (at ``parent`` for :func:`kvtools.steps.check.before`);
    ``before`` is what that gave, None when the check does not compare. ``keep`` lasts from
    one side to the other, ``cache`` for good, ``out`` is the outcome's directory.
    """

    check: Check
    repo: Path
    commit: str
    parent: str
    base_commit: str
    number: int
    count: int
    mails: Mails
    out: Path
    keep: Path
    cache: Path
    worktree: Path | None = None
    touched: tuple[Touched, ...] = ()
    lines: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    built: Built | None = None
    jobs: int = 1
    options: Mapping[str, Json] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    before: Side | None = None

    def files(self, side: str) -> tuple[str, ...]:
        """The touched files of a side that the check looks at."""
        paths = (t.old if side == BEFORE else t.path for t in self.touched)
        return tuple(p for p in paths if p is not None and self.check.matches(p))

    @property
    def concerned(self) -> bool:
        """Whether the patch touches a file that the check looks at, be it to remove it."""
        return not self.check.files or bool(self.files(BEFORE) or self.files(AFTER))

    def message(self, side: str) -> dict[str, Json]:
        """The request as the program gets it."""
        built = self.built
        return {
            "schema": SCHEMA,
            "check": self.check.name,
            "scope": str(self.check.scope),
            "side": side,
            "number": self.number,
            "count": self.count,
            "repo": str(self.repo),
            "commit": self.commit,
            "parent": self.parent,
            "base_commit": self.base_commit,
            "worktree": str(self.worktree) if self.worktree else None,
            "touched": [dataclasses.asdict(one) for one in self.touched],
            "files": list(self.files(side)),
            "lines": {p: [list(r) for r in ranges] for p, ranges in self.lines.items()}
            if side == AFTER else {},
            "patch": str(self.mails.series[self.number - 1]),
            "series": [str(path) for path in self.mails.series],
            "cover": str(self.mails.cover) if self.mails.cover else None,
            "previous": [str(path) for path in self.mails.previous],
            "out": str(self.out),
            "keep": str(self.keep),
            "cache": str(self.cache),
            "objects": str(built.objects) if built else None,
            "make": list(built.make) if built else None,
            "env": dict(built.env) if built else {},
            "config": built.config if built else "",
            "arch": built.arch if built else "",
            "build": str(built.outcome) if built and built.outcome else None,
            "jobs": self.jobs,
            "options": {**self.check.options, **self.options},
        }
