# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of the machine are ERROR, never a patch's; nothing outlives a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import ROOT, Run

BOOT_LIMIT, NEXT_LIMIT, END_LIMIT = 300.0, 300.0, 600.0


def is_guest(pid: int) -> bool:
    """Whether a process is the QEMU of one of our guests; a zombie has no command line."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"qemu" in words[0].rsplit(b"/", 1)[-1] and any(b"kvtools.channel" in w for w in words)


def parents() -> dict[int, int]:
    """Every process with its parent."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            stat = (path / "stat").read_text("utf-8", "replace")
        except OSError:
            continue
        found[int(path.name)] = int(stat.rpartition(")")[2].split()[1])
    return found


def guests_of(ancestor: int) -> set[int]:
    """The QEMUs that descend from a process; once it is dead they no longer do."""
    table = parents()

    def descends(pid: int) -> bool:
        while pid > 1:
            pid = table.get(pid, 0)
            if pid == ancestor:
                return True
        return False

    return {pid for pid in table if descends(pid) and is_guest(pid)}


def wait_for(condition: Callable[[], bool], limit: float, what: str) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"no {what} after {limit:.0f} s"
        time.sleep(0.05)  # polls a process table, which has no event to wait for


@dataclass
class Running:
    """A run under way; ``seen`` are the QEMUs it has had so far."""

    child: subprocess.Popen[bytes]
    output: Path
    seen: set[int]

    def next_guest(self, limit: float) -> set[int]:
        """Wait for QEMUs not seen before."""
        new: set[int] = set()

        def came() -> bool:
            new.update(guests_of(self.child.pid) - self.seen)
            return bool(new) or self.child.poll() is not None

        wait_for(came, limit, "QEMU")
        assert new, f"kvtools ended with {self.child.returncode} before its guest started"
        self.seen |= new
        return new

    def outcome(self, cell: str) -> dict[str, object]:
        """Of the base, the only row."""
        for found in json.loads(self.output.read_text())["patches"][0]["outcomes"]:
            of_step = found["step"] == cell or f"{found['step']}:{found['name']}" == cell
            if of_step and "subtest_of" not in found["details"]:
                return dict(found)
        raise KeyError(cell)


Start = Callable[[str], AbstractContextManager[Running]]


@pytest.fixture
def start(oracle: Run, environment: dict[str, str], tmp_path: Path) -> Start:
    """Start a run on the oracle; it is handed over while its first guest boots."""

    @contextmanager
    def started(only: str) -> Iterator[Running]:
        output = tmp_path / "run.json"
        words = ["test", "--base", "oracle", "--no-reuse", "--json", str(output), "--only", only]
        with (tmp_path / "out").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "kvtools", *words],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            run = Running(child, output, set())
            run.next_guest(BOOT_LIMIT)
            yield run
        finally:
            child.kill()
            child.wait()

    return started


def test_a_killed_qemu_is_an_error_of_the_machine(start: Start) -> None:
    with start("selftest:vmem.resize") as run:
        for pid in run.seen:
            os.kill(pid, signal.SIGKILL)
        assert run.child.wait(END_LIMIT) == 3
    assert json.loads(run.output.read_text())["status"] == "ERROR"
    boot = run.outcome("boot")
    assert boot["status"] == "ERROR"
    assert boot["details"]["owner"] == "machine"  # type: ignore[index]


def test_a_qemu_killed_in_a_scenario_is_an_error_of_the_machine(start: Start) -> None:
    with start("selftest:balloon.offline") as run:
        for pid in run.next_guest(NEXT_LIMIT):
            os.kill(pid, signal.SIGKILL)
        assert run.child.wait(END_LIMIT) == 3
    assert json.loads(run.output.read_text())["status"] == "ERROR"
    assert run.outcome("boot")["status"] == "PASS"
    cell = run.outcome("selftest:balloon.offline")
    assert cell["status"] == "ERROR"
    assert cell["details"]["owner"] == "machine"  # type: ignore[index]


@pytest.mark.parametrize(
    ("sent", "code"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130), (signal.SIGTERM, 143)],
)
def test_no_qemu_outlives_kvtools(start: Start, sent: signal.Signals, code: int) -> None:
    with start("selftest:vmem.resize") as run:
        mine = run.seen | guests_of(run.child.pid)
        assert any(map(is_guest, mine)), "a guest is running when the signal comes"
        run.child.send_signal(sent)
        assert run.child.wait(60) == code
        wait_for(lambda: not any(map(is_guest, mine)), 10, "end of QEMU")
    assert not run.output.exists()
