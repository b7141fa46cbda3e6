# SPDX-License-Identifier: GPL-2.0-or-later
"""What a scenario is, and what it may ask of a guest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from kvtools import process
from kvtools.channel import Hello, Result
from kvtools.model import Json, Status
from kvtools.qmp import Qmp
from kvtools.vng import Machine

T = TypeVar("T")
V = TypeVar("V", covariant=True)

GUEST = Path(__file__).parent.parent / "guest"  # the host's root is the guest's root


class Source(Protocol):
    """The commit the kernel was built of."""

    @property
    def repo(self) -> Path: ...
    @property
    def commit(self) -> str: ...


class Polled(Protocol[V]):
    """The last value read, whether it was the wanted one, and the seconds it took."""

    @property
    def value(self) -> V: ...
    @property
    def met(self) -> bool: ...
    @property
    def seconds(self) -> float: ...


class Guest(Protocol):
    """A booted guest, see ``guest_session.Guest``. Deadlines are in seconds under KVM, of which
    each may last ``stretch`` here."""

    @property
    def machine(self) -> Machine: ...
    @property
    def out(self) -> Path: ...
    @property
    def image(self) -> Path: ...
    @property
    def share(self) -> Path: ...
    @property
    def source(self) -> Source: ...
    @property
    def hello(self) -> Hello | None: ...
    @property
    def boot_seconds(self) -> float: ...
    @property
    def accel(self) -> str: ...
    @property
    def stretch(self) -> float: ...
    @property
    def qmp(self) -> Qmp: ...
    @property
    def on_host(self) -> list[str]: ...
    def sh(self, script: str, deadline: float = ...) -> Result: ...
    def poll(
        self,
        read: Callable[[], T],
        want: Callable[[T], bool],
        deadline: float,
        pause_at_most: float = ...,
    ) -> Polled[T]: ...
    def reboot(self) -> float: ...
    def meminfo(self) -> dict[str, int]: ...
    def console(self) -> str: ...
    def crash(self, deadline: float, watch: Callable[[], object] = ...) -> float: ...


@dataclass(frozen=True, slots=True)
class Subtest:
    """One thing that was checked; ``figures`` are the numbers that were compared.

    ``aside``: it only frames what the scenario is about, so that a scenario of which
    nothing else ran is a SKIP although this one passed.
    """

    name: str
    status: Status
    message: str = ""
    figures: Mapping[str, Json] = field(default_factory=dict)
    aside: bool = False


class Unanswered(Exception):
    """The guest could not tell what a scenario asked; the subtest ``name`` fails."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something to do to a guest.

    ``needs`` are config symbols that must be ``y`` or ``m``, ``machine`` the guest,
    ``deadline`` seconds under KVM for all of it, ``files`` paths of the tree under test
    that go into it, ``headers`` paths of which only the code does, ``programs`` what this
    machine needs beyond QEMU. A change of ``version`` makes stored outcomes stale.
    """

    name: str
    version: int
    needs: tuple[str, ...]
    machine: Machine
    deadline: float
    check: Callable[[Guest], Iterator[Subtest]]
    files: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()

    def run(self, guest: Guest) -> Iterator[Subtest]:
        """The subtests as they end. Raises what the guest raises."""
        try:
            yield from self.check(guest)
        except Unanswered as error:
            yield Subtest(error.name, Status.FAIL, error.message)


def subtest(name: str, passed: bool, message: str, **figures: Json) -> Subtest:
    return Subtest(name, Status.PASS if passed else Status.FAIL, message, figures)


def absent(scenario: Scenario) -> str | None:
    """Why it has to be SKIP on this machine: the programs it lacks, and what installs them."""
    gone = [name for name in scenario.programs if process.which(name) is None]
    if not gone:
        return None
    return f"{', '.join(gone)} not installed (kvtools doctor names the packages)"


def missing(scenario: Scenario, final_config: Mapping[str, str]) -> str | None:
    """Why it has to be SKIP on a kernel with that .config (symbols without ``CONFIG_``)."""
    absent = [name for name in scenario.needs if final_config.get(name, "n") not in ("y", "m")]
    if not absent:
        return None
    return "this kernel has no " + ", ".join(f"CONFIG_{name}" for name in absent)
