# SPDX-License-Identifier: GPL-2.0-or-later
"""What one look at one commit gave, and who looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Protocol

from kvtools.bisection import Answer
from kvtools.model import Json


@dataclass(frozen=True, slots=True)
class Observation:
    """One trial. ``marks`` are the fingerprints of a failure; ``source`` tells where an
    earlier trial was found (a stored outcome), so that it is counted once.

    ``value`` is what a ``time:`` check measured, in seconds or the figure's own unit.
    """

    commit: str
    answer: Answer
    summary: str = ""
    marks: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    reproduce: tuple[str, ...] = ()
    log: str = ""
    seconds: float = 0.0
    source: str = ""
    reused: bool = False
    value: float | None = None


def encode(observation: Observation) -> dict[str, Json]:
    return asdict(observation)


def decode(data: Mapping[str, Json]) -> Observation:
    """Raises KeyError, TypeError or ValueError for data of another version."""
    known = {field.name for field in fields(Observation)}
    values = {name: value for name, value in data.items() if name in known}
    values["answer"] = Answer(values["answer"])
    for name in ("marks", "evidence", "reproduce"):
        values[name] = tuple(values.get(name, ()))
    return Observation(**values)


@dataclass(frozen=True, slots=True)
class Ready:
    """A commit that was built. ``identity`` is equal for commits whose trials must agree (the
    same image and inputs), "" where that cannot be said. ``answer`` when no guest is needed."""

    identity: str = ""
    answer: Observation | None = None


class Tester(Protocol):
    """Looks at commits. ``ERROR`` is an answer; MachineError raised is taken for one."""

    slots: int
    """How many trials can run at once."""

    def cost(self, commit: str) -> float:
        """Seconds until a trial of it ends, its build included when it is not built."""
        ...

    def known(self, commit: str) -> Sequence[Observation]:
        """Earlier trials of it that cost nothing; nothing is built."""
        ...

    def prepare(self, commit: str) -> Ready:
        """Build it if it is not built."""
        ...

    def run(self, commit: str, count: int) -> Sequence[Observation]:
        """So many trials of a commit that is prepared."""
        ...
