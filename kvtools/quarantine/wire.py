# SPDX-License-Identifier: GPL-2.0-or-later
"""What comes back out of a confined step: text of a stranger, taken apart with care. Pure.

Requests go in as pickles, which are ours; answers come out as JSON and nothing is believed
of them that is not looked at: types, and names of files, which must stay where they are.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from kvtools.checks.findings import Side
from kvtools.checks.program import Finding
from kvtools.errors import GuestLost, MachineError, ToolFailed, ToolMissing, ToolTimeout
from kvtools.model import Outcome
from kvtools.store import decode, encode

LONGEST = 64 << 20
"""Bytes of an answer; a build log of a few thousand warnings gives some hundred thousand."""

_ERRORS = {kind.__name__: kind for kind in (MachineError, ToolMissing, ToolFailed, ToolTimeout,
                                            GuestLost)}
_TEXTS = ("name", "summary")
_LISTS = ("evidence", "reproduce", "fingerprints")


class Garbled(MachineError):
    """An answer that is none: the step was killed, or somebody meddled with it."""


def of_outcome(outcome: Outcome) -> bytes:
    return _line({"outcome": encode(outcome)})


def of_side(side: Side) -> bytes:
    return _line({"side": dataclasses.asdict(side)})


def of_tick(done: int, total: int, what: str) -> bytes:
    return _line({"tick": [done, total, what]})


def of_error(error: MachineError) -> bytes:
    kind = next((base.__name__ for base in type(error).__mro__ if base.__name__ in _ERRORS), "")
    return _line({"error": [kind, error.message, error.fix]})


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data).encode() + b"\n"


def message(line: bytes) -> dict[str, Any]:
    """One line of a step; raises Garbled."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Garbled(f"a confined step says {line[:80]!r}") from error
    if not isinstance(data, dict):
        raise Garbled(f"a confined step says {line[:80]!r}")
    return data


def tick(value: Any) -> tuple[int, int, str]:
    """Raises Garbled."""
    if not (isinstance(value, list) and list(map(type, value)) == [int, int, str]):
        raise Garbled("a confined step tells no progress")
    return value[0], value[1], value[2]


def error(value: Any) -> MachineError:
    """The error that a step ended with."""
    if not (isinstance(value, list) and len(value) == 3 and all(isinstance(v, str) for v in value)):
        return Garbled("a confined step tells no error")
    return _ERRORS.get(value[0], MachineError)(value[1], fix=value[2])


def outcome(value: Any) -> Outcome:
    """Raises Garbled for what is no outcome, or names a log outside of its own directory."""
    try:
        found = decode(value)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise Garbled("a confined step gives no outcome") from error
    sound = (
        all(isinstance(getattr(found, name), str) for name in _TEXTS)
        and all(isinstance(v, str) for name in _LISTS for v in getattr(found, name))
        and isinstance(found.details, dict)
        and type(found.seconds) in (int, float)
        and isinstance(found.log, str | None)
        and not found.reused
        and found.directory is None
    )
    if not sound:
        raise Garbled("a confined step gives no outcome")
    if found.log is not None and not inside(found.log):
        raise Garbled(f"a confined step names the log {found.log!r}")
    return found


def inside(name: str) -> bool:
    """Whether a relative path stays below where it starts."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def side(value: Any) -> Side:
    """Raises Garbled for what is no side of a check."""
    try:
        findings = tuple(_finding(one) for one in value["findings"])
        notes, figures = tuple(value["notes"]), tuple(value["figures"])
        found = Side(findings, notes, figures, value["skip"], value["error"])
    except (KeyError, TypeError, ValueError) as error:
        raise Garbled("a confined check gives no findings") from error
    sound = (
        all(isinstance(note, str) for note in notes)
        and all(isinstance(figure, dict) and isinstance(figure.get("name"), str)
                and {"value", "unit"} <= figure.keys() for figure in figures)
        and isinstance(found.skip, str)
        and isinstance(found.error, str)
    )
    if not sound:
        raise Garbled("a confined check gives no findings")
    return found


def _finding(value: Mapping[str, Any]) -> Finding:
    found = Finding(**{**value, "lines": tuple(value.get("lines", ()))})
    for field in dataclasses.fields(Finding):
        wanted = {"int": int, "str": str, "tuple[str, ...]": tuple}[str(field.type)]
        if type(getattr(found, field.name)) is not wanted:
            raise TypeError(field.name)
    if not all(isinstance(line, str) for line in found.lines):
        raise TypeError("lines")
    return found
