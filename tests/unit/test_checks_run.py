# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks in a run: in a worktree of their own beside the builds, objects around the build."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from kvtools import bases, checks, git, plan, runner
from kvtools.accel import Accel
from kvtools.errors import MachineError
from kvtools.events import discard
from kvtools.model import (
    Base,
    CheckSettings,
    Config,
    ConfigUse,
    Outcome,
    Override,
    Patch,
    Person,
    Series,
    Status,
    Step,
)
from kvtools.model import Level as Lv
from kvtools.report.layout import columns_of, entries
from kvtools.request import RunRequest
from kvtools.steps import check
from kvtools.store import Store
from kvtools.toolchain import Arch, Toolchain

PASS, WARN, FAIL, SKIP, ERROR = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.ERROR
WHO = Person("A U Thor", "author@example.org")

SAYS = '''#!/usr/bin/env python3
import json, pathlib, sys
request = json.load(sys.stdin)
tree = request["worktree"]
seen = (pathlib.Path(tree) / "file").read_text().strip() if tree else "no tree"
seen += " with objects" if request["objects"] else ""
print(json.dumps({"note": f"{request['side']} {seen} of {request['number']}"}))
for word in seen.split():
    print(json.dumps({"rule": "WORD", "file": "file", "line": 1, "text": word}))
'''


def patch(number: int, old: str, new: str) -> Patch:
    raw = (f"From: {WHO}\nDate: Thu, 24 May 2018 15:12:14 +0200\nSubject: [PATCH] p{number}\n\nbody"
           f"\n---\n--- a/file\n+++ b/file\n@@ -1 +1 @@\n-{old}\n+{new}\n").encode()
    return Patch(number, f"p{number}", WHO, "Thu, 24 May 2018 15:12:14 +0200", "body", raw)


@dataclass
class Run:
    """A run over a repository with one file; ``calls`` are builds and checks in their order."""

    root: Path
    base: Base
    calls: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, name: str, toml: str, program: str = SAYS) -> checks.Check:
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        (folder / "check.toml").write_text(f'description = "x"\n{toml}\n')
        (folder / "check").write_text(program)
        (folder / "check").chmod(0o755)
        return checks.load(folder)

    def _build(self, request: Any, tick: object) -> Outcome:
        value = (request.source / "file").read_text().strip()
        self._called(f"build {value}")
        request.objects.mkdir(parents=True, exist_ok=True)
        (request.objects / ".config").touch()
        (request.out / "bzImage").write_text(value)
        status = FAIL if "broken" in value else PASS
        return Outcome(Step.BUILD, "", status, 0.0, "built", details={"image_sha256": value})

    def _before(self, request: Any) -> Any:
        self._called(f"before {request.check.name} {request.number}")
        return check.before(request)

    def _check(self, request: Any, tick: object) -> Outcome:
        self._called(f"check {request.check.name} {request.number}")
        return check.run(request)

    def _called(self, what: str) -> None:
        with self.lock:
            self.calls.append(what)

    def __call__(
        self, patches: Sequence[Patch], *known: checks.Check, **more: Any
    ) -> dict[int, dict[str, Outcome]]:
        series = Series("s", "t", "t", tuple(patches), checks=more.pop("settings", CheckSettings()))
        uses = [plan.CheckUse(c.name, str(c.scope)) for c in known]
        arch = Arch("x86_64", "x86_64", "x86", ("x86_64",), "", "bzImage", "bzImage", 1, "qemu",
                    ("pc",), "ttyS0")
        request = RunRequest(
            run_id="run", base=self.base, series=series,
            plan=plan.make(len(patches), [ConfigUse("guest")], (), checks=uses,
                           only=more.pop("only", ()), patches=more.pop("which", "all")),
            configs={"guest": Config("guest", "x86_64", "tinyconfig", "", {}, {}, "digest")},
            toolchain=Toolchain(arch, "gcc", "", {}, "digest"), accel=Accel("tcg", "test"),
            jobs=1, cores=2, checks={c.name: c for c in known})
        steps = runner.Steps(build=self._build, before=self._before, check=self._check)
        with ThreadPoolExecutor(1) as executor:
            rows = runner.run(replace(request, **more), Store(self.root / "state"), executor,
                              discard, steps)
        return {row.number: {o.cell: o for o in row.outcomes} for row in rows}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    repo = tmp_path / "repo"
    git.init(repo)
    (repo / "file").write_text("zero\n")
    commit = git.commit_all(repo, "base", when="2018-05-24T15:12:14Z", who=WHO)

    @contextmanager
    def lease(base: Base, key: str, emit: object) -> Iterator[bases.Lease]:
        worktree = tmp_path / key / "src"
        git.worktree_add(base.repo, worktree, base.commit)
        yield bases.Lease(worktree, tmp_path / key / "o")

    monkeypatch.setattr(bases, "lease", lease)
    return Run(tmp_path, Base("test", repo, commit, git.tree_of(repo, commit), "6.1", "t", False))


TWO = (patch(1, "zero", "one"), patch(2, "one", "one two"))
ONLY = ("check:patch", "check:series")


def test_each_patch_is_checked_at_its_own_commit(run: Run) -> None:
    rows = run(TWO, run.check("says", 'scope = "patch"'), only=ONLY[:1])
    assert [rows[n]["check:says"].details["notes"] for n in (1, 2)] == [
        ["after one of 1"], ["after one two of 2"]]
    assert rows[0] == {}


def test_only_what_is_new_against_the_parent_counts(run: Run) -> None:
    rows = run(TWO, run.check("says", 'scope = "patch"\ncompares = true'), only=ONLY[:1])
    assert rows[1]["check:says"].summary == "WORD: file:1: one (1 fixed)"
    assert rows[2]["check:says"].summary == "WORD: file:1: two (1 pre-existing)"


def test_what_is_stored_is_not_run_again_unless_the_check_changed(run: Run) -> None:
    says = run.check("says", 'scope = "patch"')
    run(TWO, says, only=ONLY[:1])
    run.calls.clear()
    rows = run(TWO, says, only=ONLY[:1])
    assert run.calls == [] and rows[1]["check:says"].reused
    run(TWO, run.check("says", 'scope = "patch"', SAYS + "# other\n"), only=ONLY[:1])
    assert run.calls == ["check says 1", "check says 2"]


def test_an_override_is_part_of_the_key(run: Run) -> None:
    says = run.check("says", 'scope = "patch"')
    assert run(TWO, says, only=ONLY[:1])[1]["check:says"].status is WARN
    lenient = CheckSettings(overrides=(Override("says.WORD", Lv.IGNORE, "words are fine"),))
    assert run(TWO, says, only=ONLY[:1], settings=lenient)[1]["check:says"].status is PASS


def test_a_volatile_check_runs_every_time(run: Run) -> None:
    says = run.check("says", 'scope = "patch"\nvolatile = true')
    run(TWO[:1], says, only=ONLY[:1])
    run(TWO[:1], says, only=ONLY[:1])
    assert run.calls == ["check says 1"] * 2


def test_a_series_check_runs_once_for_the_whole_series(run: Run) -> None:
    whole = run.check("whole", 'scope = "series"')
    rows = run(TWO, whole, only=ONLY[1:])
    assert "check:whole" not in rows[1]
    assert rows[2]["check:whole"].details["notes"] == ["after no tree of 2"]


def test_a_part_of_the_series_has_no_series_checks(run: Run) -> None:
    known = (run.check("whole", 'scope = "series"'), run.check("says", 'scope = "patch"'))
    rows = run(TWO, *known, which="1", only=("check",))
    assert set(rows[1]) == {"apply", "check:says"}


def test_a_patch_that_does_not_apply_blocks_its_checks(run: Run) -> None:
    rows = run([patch(1, "other", "one")], run.check("says", 'scope = "patch"'), only=("check",))
    assert (rows[1]["check:says"].status, rows[1]["check:says"].summary) == (
        SKIP, "apply of patch 1 is FAIL")


def test_objects_are_checked_around_the_build(run: Run) -> None:
    rows = run(TWO, run.check("obj", 'scope = "objects"\ncompares = true'))
    assert run.calls == [
        "build zero", "before obj 1", "build one", "check obj 1",
        "before obj 2", "build one two", "check obj 2"]
    assert rows[2]["check:obj"].summary == (
        "WORD: file:1: two (3 pre-existing)")
    assert rows[2]["check:obj"].details["notes"] == ["after one two with objects of 2"]


def test_objects_of_a_stored_build_are_made_again_only_for_a_check_that_needs_them(
    run: Run,
) -> None:
    run(TWO[:1])
    run.calls.clear()
    obj = run.check("obj", 'scope = "objects"\ncompares = true')
    run(TWO[:1], obj)
    assert run.calls == ["before obj 1", "build one", "check obj 1"]
    run.calls.clear()
    assert run(TWO[:1], obj)[1]["check:obj"].reused and run.calls == []


def test_an_amended_message_has_no_objects_checked_again(run: Run) -> None:
    known = (run.check("obj", 'scope = "objects"\ncompares = true'),
             run.check("says", 'scope = "patch"'))
    run(TWO, *known)
    run.calls.clear()
    amended = replace(TWO[0], mail=TWO[0].mail.replace(b"\n---\n", b"\nMore words.\n---\n", 1))
    assert amended.mail != TWO[0].mail
    rows = run([amended, TWO[1]], *known)
    assert run.calls == ["check says 1"]  # that one reads what is written
    assert rows[1]["check:obj"].reused and rows[2]["check:obj"].reused


def test_a_message_amended_before_a_patch_has_it_not_checked_again(run: Run) -> None:
    says = run.check("says", 'scope = "patch"')
    all_of_them = run.check("all", 'scope = "series"')
    run(TWO, says, all_of_them, only=ONLY)
    run.calls.clear()
    amended = replace(TWO[0], mail=TWO[0].mail.replace(b"body", b"more to say"))
    rows = run((amended, TWO[1]), says, all_of_them, only=ONLY)
    assert run.calls == ["check says 1", "check all 2"]
    assert rows[2]["check:says"].reused


def test_without_objects_the_parent_is_built_first(run: Run) -> None:
    run(TWO[:1])
    (run.root / "run-test" / "o" / "guest-digest" / ".config").unlink()
    run.calls.clear()
    run(TWO[:1], run.check("obj", 'scope = "objects"\ncompares = true'))
    assert run.calls == ["build zero", "before obj 1", "build one", "check obj 1"]


def test_a_kernel_that_does_not_build_has_no_objects_to_check(run: Run) -> None:
    rows = run([patch(1, "zero", "broken")], run.check("obj", 'scope = "objects"'))
    assert rows[1]["check:obj"].status is SKIP
    assert "build:guest of patch 1 is FAIL" in rows[1]["check:obj"].summary


def test_a_check_that_breaks_is_an_error_of_that_cell_alone(run: Run) -> None:
    known = (run.check("bad", 'scope = "patch"', "#!/bin/sh\nexit 7\n"),
             run.check("says", 'scope = "patch"'))
    rows = run(TWO[:1], *known, only=("check",))
    assert (rows[1]["check:bad"].status, rows[1]["check:says"].status) == (ERROR, WARN)


def test_a_worktree_that_cannot_be_had_ends_the_run(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., Any] = bases.lease

    def lease(base: Base, key: str, emit: object) -> Any:
        if key == "checks":
            raise MachineError("no room")
        return real(base, key, emit)

    monkeypatch.setattr(bases, "lease", lease)
    with pytest.raises(MachineError, match="no room"):
        run(TWO, run.check("says", 'scope = "patch"'), only=("check",))


def test_checks_of_a_scope_or_of_a_name_can_be_chosen() -> None:
    uses = [plan.CheckUse(*use) for use in (("a", "patch"), ("b", "objects"), ("c", "series"))]

    def chosen(only: str) -> list[str]:
        made = plan.make(2, [ConfigUse("g")], ("s",), checks=uses, only=[only])
        return [str(cell) for cell in made.cells]

    cells = {
        only: chosen(only) for only in ("check", "check:a", "check:objects", "check:series")
    }
    assert cells == {
        "check": ["apply", "check:a", "check:c", "build:g", "check:b"],
        "check:a": ["apply", "check:a"],
        "check:objects": ["apply", "build:g", "check:b"],
        "check:series": ["apply", "check:c"],
    }


def test_checks_share_a_column_that_shows_the_worst() -> None:
    assert columns_of(["apply", "check:a", "check:b", "build:g"]) == ("apply", "check", "build:g")
    row = [Outcome(Step.CHECK, n, s, 2.0, "") for n, s in (("a", PASS), ("b", WARN), ("c", SKIP))]
    assert entries(row)["check"].word == "WARN" and entries(row)["check"].time == "6.0s"
    assert entries(row[::2])["check"].word == "PASS"
