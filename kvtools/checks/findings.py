# SPDX-License-Identifier: GPL-2.0-or-later
"""What a check's program said, and what of it is new against the parent. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase

from kvtools.checks.declaration import Check
from kvtools.checks.program import Finding
from kvtools.model import Json, Level, Override
from kvtools.warnings import without_positions

Identity = tuple[str, str, str, str]
_TEXTS = ("rule", "text", "file", "function", "message", "severity")


class ProtocolError(ValueError):
    """A line of JSON that is none of the protocol's."""


class State(StrEnum):
    """What became of a finding between the parent and the patch."""

    NEW = "new"
    MOVED = "moved"
    OLD = "pre-existing"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Side:
    """What the program said of one side: parent or patch."""

    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    figures: tuple[Mapping[str, Json], ...] = ()
    skip: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A finding with its level, what became of it, and the override that decided the level."""

    finding: Finding
    state: State
    level: Level
    override: Override | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """The lines of a program taken apart; ``log`` are those that are no JSON."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: list[dict[str, Json]] = field(default_factory=list)
    skips: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)


def parse(output: str) -> Said:
    """Read a program's standard output. Raises ProtocolError for JSON of no known shape."""
    said = Said()
    for line in output.splitlines():
        if not line.startswith("{"):
            said.log.append(line)
            continue
        try:
            data = json.loads(line)
        except ValueError:  # a log line may begin with a brace
            said.log.append(line)
            continue
        _take(said, data, line)
    return said


def _take(said: Said, data: dict[str, Json], line: str) -> None:
    if "rule" in data and "text" in data:
        said.findings.append(_finding(data, line))
    elif "note" in data:
        said.notes.append(str(data["note"]))
    elif isinstance(data.get("value"), (int, float)) and "figure" in data:
        said.figures.append({"name": str(data["figure"]), "value": data["value"],
                             "unit": str(data.get("unit", ""))})
    elif "skip" in data:
        said.skips.append(str(data["skip"]))
    else:
        raise ProtocolError(f"no finding, note, figure or skip: {line[:200]}")


def _finding(data: Mapping[str, Json], line: str) -> Finding:
    texts = {key: data[key] for key in _TEXTS if data.get(key) is not None}
    numbers = {key: data[key] for key in ("line", "patch") if data.get(key) is not None}
    lines = data.get("lines") or []
    fine = (all(isinstance(v, str) for v in texts.values())
            and all(isinstance(v, int) for v in numbers.values())
            and isinstance(lines, list) and all(isinstance(one, str) for one in lines)
            and texts.get("severity", "") in ("", *Level))
    if not fine:
        raise ProtocolError(f"a finding with a field of the wrong type: {line[:200]}")
    return Finding(**texts, **numbers, lines=tuple(lines))


def identity(finding: Finding) -> Identity:
    """By what a finding is known again on the other side."""
    return (finding.rule, finding.file, finding.function, without_positions(finding.text))


def compare(
    before: Sequence[Finding], after: Sequence[Finding], renames: Mapping[str, str]
) -> tuple[list[tuple[Finding, State]], list[Finding]]:
    """Each finding of ``after`` with its state, and those of ``before`` that are fixed.

    The same finding may be there several times: a fourth one is new when there were three.
    ``renames`` maps old paths to new. A finding is moved when another file lost the same one,
    in a function of the same name: code that was carried over.
    """
    known = Counter(identity(_renamed(f, renames)) for f in before)
    states: list[tuple[Finding, State]] = []
    for finding in after:
        mark = identity(finding)
        if known[mark] > 0:
            known[mark] -= 1
            states.append((finding, State.OLD))
        else:
            states.append((finding, State.NEW))
    fixed: list[Finding] = []
    for finding in before:
        mark = identity(_renamed(finding, renames))
        if known[mark] > 0:
            known[mark] -= 1
            fixed.append(finding)
    return _moved(states, fixed)


def _renamed(finding: Finding, renames: Mapping[str, str]) -> Finding:
    return replace(finding, file=renames.get(finding.file, finding.file))


def _moved(
    states: list[tuple[Finding, State]], fixed: list[Finding]
) -> tuple[list[tuple[Finding, State]], list[Finding]]:
    gone = Counter(_carried(f) for f in fixed if f.function)
    result = []
    for finding, state in states:
        mark = _carried(finding)
        if state is State.NEW and finding.function and gone[mark] > 0:
            gone[mark] -= 1
            at = next(n for n, f in enumerate(fixed) if f.function and _carried(f) == mark)
            del fixed[at]
            state = State.MOVED
        result.append((finding, state))
    return result, fixed


def _carried(finding: Finding) -> tuple[str, str, str]:
    rule, _, function, text = identity(finding)
    return rule, function, text


def judge(
    check: Check, found: Iterable[tuple[Finding, State]], overrides: Iterable[Override]
) -> tuple[Judged, ...]:
    """Findings with their levels: by the author's override, by rule, by the program, by default."""
    own = [o for o in overrides if _concerns(o, check.name)]
    result = []
    for finding, state in found:
        full = f"{check.name}.{finding.rule}"
        override = next((o for o in own if fnmatchcase(full, o.rule) or o.rule == check.name), None)
        said = Level(finding.severity) if finding.severity else check.severity
        level = check.level(finding.rule) or said
        result.append(Judged(finding, state, override.level if override else level, override))
    return tuple(result)


def _concerns(override: Override, name: str) -> bool:
    return override.rule.partition(".")[0] == name
