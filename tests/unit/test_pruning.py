# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from filelock import FileLock

from kvtools import pruning
from kvtools.cli import main
from kvtools.model import Outcome, Status, Step
from kvtools.pruning import Entry, Kind
from kvtools.store import Store, key

KIB = 1024


def put(store: Store, name: str, used: float) -> Path:
    out = store.begin()
    (out / "bzImage").write_bytes(b"x" * 100 * KIB)
    kept = store.put(key(name=name), Outcome(Step.BUILD, name, Status.PASS, 1.0, ""), out)
    assert kept.directory is not None
    os.utime(kept.directory / "outcome.json", (used, used))
    return kept.directory


def base(cache: Path, version: str, used: float, *jobs: str) -> Path:
    directory = cache / "bases" / "b" / version
    for job in jobs:
        (directory / "jobs" / job / "src").mkdir(parents=True)
        (directory / "jobs" / job / "src" / "file").write_bytes(b"x" * 50 * KIB)
        (directory / "jobs" / job / "lock").touch()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "source.json").write_text("{}")
    os.utime(directory, (used, used))
    return directory


def entry(kind: Kind, name: str, used: float, *, needed: bool = False) -> Entry:
    return Entry(kind, Path(name), 10, used, needed)


def test_the_least_recently_used_goes_first_and_outcomes_before_objects() -> None:
    old_base, objects = entry(Kind.BASE, "b", 1.0), entry(Kind.OBJECTS, "o", 2.0)
    old, new = entry(Kind.OUTCOME, "old", 3.0), entry(Kind.OUTCOME, "new", 9.0)
    every = [old_base, new, objects, old]
    assert pruning.choose(every, 40) == ()
    assert pruning.choose(every, 39) == (old,)
    assert pruning.choose(every, 20) == (old, new)
    assert pruning.choose(every, 0) == (old, new, objects, old_base)


def test_what_is_needed_stays() -> None:
    assert pruning.choose([entry(Kind.OUTCOME, "x", 1.0, needed=True)], 0) == ()


def test_what_a_run_under_way_used_is_needed(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    old = put(store, "old", 1000.0)
    with store.running("run"):
        assert store.is_running("run")
        assert store.get(key(name="fresh")) is None
        fresh = put(store, "fresh", 0.0)
        assert store.get(key(name="fresh")) is not None, "using it makes it recent"
        found = {e.path: e.needed for e in pruning.survey(store, tmp_path / "cache")}
    assert found == {old: False, fresh: True}
    assert not store.is_running("run")


def test_the_newest_base_and_locked_worktrees_are_needed(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    old = base(tmp_path, "6.1.1", 1000.0, "one", "two")
    new = base(tmp_path, "6.1.2", 2000.0)
    with FileLock(old / "jobs/two/lock"):
        found = {e.path: e.needed for e in pruning.survey(store, tmp_path)}
    assert found == {old / "jobs/one": False, old / "jobs/two": True, old: True, new: True}


def test_prune_removes_and_the_store_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path))
    store = Store(tmp_path / "state")
    old, new = put(store, "old", 1000.0), put(store, "new", 2000.0)
    job = base(tmp_path / "cache", "6.1.1", 1000.0, "one") / "jobs/one"
    assert main(["cache", "prune", "--limit", "200K", "--dry-run"]) == 0
    assert "would go" in capsys.readouterr().out
    assert old.exists()
    assert main(["cache", "prune", "--limit", "200K"]) == 0
    assert (old.exists(), new.exists()) == (False, True)
    assert store.get(key(name="old")) is None
    assert (job / "src/file").exists()
    assert main(["cache", "prune", "--limit", "0"]) == 0
    assert not (job / "src").exists() and (job / "lock").exists()
    assert main(["cache"]) == 0
    assert "0 stored outcomes" in capsys.readouterr().out


@pytest.mark.parametrize("limit", ["", "x", "-1G", "20 apples"])
def test_a_bad_limit_is_usage(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["cache", "prune", f"--limit={limit}"])
    assert ended.value.code == 2
    assert "not a size" in capsys.readouterr().err


def test_ccache_is_shown_and_goes_after_the_outcomes(tmp_path: Path) -> None:
    store, cache = Store(tmp_path / "state"), tmp_path / "cache"
    (cache / "ccache" / "0").mkdir(parents=True)
    (cache / "ccache" / "0" / "object").write_bytes(b"x" * 50 * KIB)
    (compiled,) = pruning.survey(store, cache)
    assert (compiled.kind, compiled.needed) == (Kind.COMPILED, False)
    assert compiled.size >= 50 * KIB
    pruning.remove(pruning.choose([compiled], 0), store)
    assert pruning.survey(store, cache) == ()


def test_names_of_trees_go_when_they_are_old(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    for name, age in (("ab" * 32, pruning.TWINS + 60), ("cd" * 32, pruning.TWINS - 60)):
        store.know_twin(name, "tree")
        then = time.time() - age
        os.utime(tmp_path / "state" / "twins" / name[:2] / name, (then, then))
    pruning.remove((), store)
    assert (store.twin("ab" * 32), store.twin("cd" * 32)) == (None, "tree")
