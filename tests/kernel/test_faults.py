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
from pathlib import Path

import pytest
from harness import ROOT, Run

Process = subprocess.Popen[bytes]


def qemus() -> set[int]:
    """Every QEMU on this machine."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if b"qemu-system" in (path / "cmdline").read_bytes().split(b"\0")[0]:
                found.add(int(path.name))
        except OSError:
            continue
    return found


def wait_for(condition: Callable[[], bool], limit: float, what: str) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"no {what} after {limit:.0f} s"
        time.sleep(0.05)  # polls a process table, which has no event to wait for


@pytest.fixture
def running(
    oracle: Run, environment: dict[str, str], tmp_path: Path
) -> Iterator[tuple[Process, Path]]:
    """A run on the oracle with its guest booting."""
    before = qemus()
    output = tmp_path / "run.json"
    words = ["test", "--base", "oracle", "--no-reuse", "--json", str(output)]
    with (tmp_path / "out").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "kvtools", *words, "--only", "selftest:vmem.resize"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(lambda: bool(qemus() - before), 300, "QEMU")
        yield child, output
    finally:
        child.kill()
        child.wait()


def test_a_killed_qemu_is_an_error_of_the_machine(running: tuple[Process, Path]) -> None:
    child, output = running
    for pid in qemus():
        os.kill(pid, signal.SIGKILL)
    assert child.wait(600) == 3
    data = json.loads(output.read_text())
    assert data["status"] == "ERROR"
    boot = next(o for o in data["patches"][0]["outcomes"] if o["step"] == "boot")
    assert boot["status"] == "ERROR"
    assert boot["details"]["owner"] == "machine"


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_qemu_outlives_kvtools(running: tuple[Process, Path], sent: signal.Signals) -> None:
    child, output = running
    child.send_signal(sent)
    code = child.wait(60)
    wait_for(lambda: not qemus(), 10, "end of QEMU")
    assert not output.exists()
    if sent is signal.SIGINT:
        assert code == 130
