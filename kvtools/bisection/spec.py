# SPDX-License-Identifier: GPL-2.0-or-later
"""``--check WHAT``: what has to be seen on a kernel to call it bad. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from kvtools.errors import UserError
from kvtools.model import Step


class Kind(StrEnum):
    BUILD = "build"
    WARNING = "warning"
    SIZE = "size"
    BOOT = "boot"
    SELFTEST = "selftest"
    DUMP = "dump"
    CHECK = "check"
    SPLAT = "splat"
    TIME = "time"
    CMD = "cmd"
    HOST = "host"


SAME_EACH_TIME = frozenset((Kind.BUILD, Kind.WARNING, Kind.SIZE, Kind.CHECK))
"""A compiler gives one answer: the first trial of a commit is the last."""

WITHOUT_GUEST = SAME_EACH_TIME | {Kind.HOST}
FORMS = ("build", "warning:TEXT", "boot", "selftest:NAME[.SUBTEST]", "dump:NAME[.SUBTEST]",
         "check:NAME", "size:SYMBOL>BYTES", "time:NAME[.SUBTEST.FIGURE]>RATIO",
         "splat:TITLE[@SCENARIO]", "cmd:COMMAND (in the guest)", "cmd@host:COMMAND")


@dataclass(frozen=True, slots=True)
class Check:
    """``name`` is a scenario, check or symbol, ``part`` a subtest (``subtest.figure`` of a
    time), ``text`` what to look for or to run, ``limit`` bytes or a ratio."""

    kind: Kind
    name: str = ""
    part: str = ""
    text: str = ""
    limit: float = 0.0

    @property
    def deterministic(self) -> bool:
        return self.kind in SAME_EACH_TIME

    @property
    def boots(self) -> bool:
        return self.kind not in WITHOUT_GUEST

    @property
    def step(self) -> Step:
        """The step whose outcome answers."""
        if self.kind is Kind.CHECK:
            return Step.CHECK
        if not self.boots:
            return Step.BUILD
        if self.kind is Kind.DUMP or self.name.startswith("dump."):
            return Step.DUMP
        return Step.BOOT if self.name == "boot" else Step.SELFTEST


def parse(text: str, scenarios: Sequence[str]) -> Check:
    """Raises UserError for anything that is no check; ``scenarios`` are those that exist."""
    kind, colon, rest = text.partition(":")
    if kind == "cmd@host":
        kind = "host"
    if kind not in list(Kind) or bool(colon) == (kind in ("build", "boot")):
        raise _wrong(text)
    if colon and not rest.strip():
        raise _wrong(text)
    found = Kind(kind)
    if found in (Kind.BUILD, Kind.BOOT):
        return Check(found, name="boot" if found is Kind.BOOT else "")
    if found is Kind.SPLAT:
        title, at, scenario = rest.rpartition("@")
        if at and scenario in scenarios:
            return Check(found, name=scenario, text=title)
        return Check(found, name="boot", text=rest)
    if found in (Kind.SIZE, Kind.TIME):
        return _limited(found, text, rest, scenarios)
    if found in (Kind.SELFTEST, Kind.DUMP):
        prefix = "dump." if found is Kind.DUMP and not rest.startswith("dump.") else ""
        name, part = _scenario(prefix + rest, scenarios)
        return Check(found, name=name, part=part)
    if found is Kind.CHECK:
        return Check(found, name=rest)
    return Check(found, text=rest)


def _wrong(text: str) -> UserError:
    return UserError(f"--check {text!r} is no check", fix="use one of " + ", ".join(FORMS))


def _limited(kind: Kind, text: str, rest: str, scenarios: Sequence[str]) -> Check:
    match = re.fullmatch(r"(.+?)>\s*(\d+(?:\.\d+)?)", rest)
    if not match:
        raise _wrong(text)
    limit = float(match[2])
    if kind is Kind.SIZE:
        return Check(kind, name=match[1].strip(), limit=limit)
    if limit <= 1:
        raise UserError(f"--check {text}: a regression takes longer than before",
                        fix="name a ratio above 1, such as 1.2")
    name, part = _scenario(match[1].strip(), scenarios)
    if part and "." not in part:
        raise UserError(f"--check {text}: which figure of the subtest {part}?",
                        fix=f"use time:{name}.SUBTEST.FIGURE>RATIO")
    return Check(kind, name=name, part=part, limit=limit)


def _scenario(text: str, scenarios: Sequence[str]) -> tuple[str, str]:
    """The longest scenario that the name starts with, and the subtest after it."""
    fitting = [s for s in scenarios if text == s or text.startswith(f"{s}.")]
    if not fitting:
        raise UserError(f"--check: there is no scenario in {text!r}",
                        fix="the scenarios are: " + ", ".join(scenarios))
    name = max(fitting, key=len)
    return name, text[len(name) + 1:]
