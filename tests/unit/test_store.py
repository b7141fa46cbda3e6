# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kvtools.errors import MachineError
from kvtools.model import Outcome, Owner, Status, Step
from kvtools.store import Store, key

OUTCOME = Outcome(
    Step.BUILD,
    "guest",
    Status.FAIL,
    2.5,
    "mm/a.c:1: error",
    owner=Owner.PATCH,
    log="build.log",
    evidence=("e",),
    reproduce=("make",),
    fingerprints=("f",),
    details={"warnings": [{"line": 3}]},
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state")


def put(store: Store, name: str = "k", outcome: Outcome = OUTCOME) -> Outcome:
    out = store.begin()
    (out / "build.log").write_text("log")
    return store.put(key(name=name), outcome, out)


def test_round_trip(store: Store) -> None:
    put(store)
    found = store.get(key(name="k"))
    assert found is not None and found.directory is not None
    assert found.reused
    assert (found.directory / "build.log").read_text() == "log"
    assert (found.step, found.status, found.owner) == (Step.BUILD, Status.FAIL, Owner.PATCH)
    assert (found.evidence, found.reproduce, found.fingerprints) == (("e",), ("make",), ("f",))
    assert found.details == OUTCOME.details
    assert store.get(key(name="other")) is None


def test_the_newest_generation_counts_and_the_old_one_stays(store: Store) -> None:
    first = put(store)
    put(store, outcome=Outcome(Step.BUILD, "guest", Status.PASS, 1.0, "ok"))
    found = store.get(key(name="k"))
    assert found is not None and found.status is Status.PASS
    assert first.directory is not None and first.directory.is_dir()


def test_a_damaged_outcome_is_no_outcome(store: Store) -> None:
    stored = put(store)
    assert stored.directory is not None
    (stored.directory / "outcome.json").write_text("{")
    assert store.get(key(name="k")) is None


def test_the_key_names_everything_and_only_that() -> None:
    assert key(a=1, b=2) == key(b=2, a=1)
    assert key(a=1) != key(a=2)
    assert key(a="\udce9") != key(a="e")


def test_what_a_dead_process_left_is_swept_and_what_a_live_one_writes_is_not(
    store: Store, tmp_path: Path
) -> None:
    script = (
        "import os, signal; from pathlib import Path; from kvtools.store import Store;"
        f"Store(Path({str(tmp_path / 'state')!r})).begin(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    mine = store.begin()
    assert len(list((store.root / "tmp").iterdir())) == 2
    Store(store.root)
    assert list((store.root / "tmp").iterdir()) == [mine]


def test_a_full_disk_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(MachineError, match="no space left"):
        store.begin()


def test_an_error_lies_with_its_run_and_is_not_reused(store: Store) -> None:
    error = Outcome(Step.BOOT, "guest", Status.ERROR, 1.0, "killed", owner=Owner.MACHINE)
    kept = store.put_error("run", 3, error, store.begin())
    assert kept.directory is not None
    assert kept.directory.parent == store.run_directory("run") / "errors"
    assert store.get(key(name="boot")) is None


def test_timings_survive_and_add_up(store: Store) -> None:
    store.remember_timings({"build:guest": 240.0})
    store.remember_timings({"boot:guest": 5.0})
    assert store.timings() == {"build:guest": 240.0, "boot:guest": 5.0}
