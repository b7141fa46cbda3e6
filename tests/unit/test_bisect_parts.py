# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of a bisection one by one: checks, judge, log, times, reports, git ranges."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from bisections import Planted, linear, name

from kvtools import git
from kvtools.bisect import judge, text, timing
from kvtools.bisect.costs import EVERYTHING, BuildCosts
from kvtools.bisect.observation import Observation, decode, encode
from kvtools.bisect.report import Bisection, Reverted, to_git_log, to_json
from kvtools.bisect.search import Ending, MemoryLog, Search, Told
from kvtools.bisect.settings import Settings
from kvtools.bisection import DETERMINISTIC, Answer, Commit, History, gitlog
from kvtools.bisection.choice import capacity
from kvtools.bisection.spec import Check, Kind, parse
from kvtools.errors import UserError
from kvtools.model import Outcome, Owner, Status, Step

SCENARIOS = ("boot", "vmem.probe", "vmem.resize", "kselftest:memory-hotplug", "dump.kdump")
FAIL, PASS, SKIP, OTHER, ERROR = Answer.FAIL, Answer.PASS, Answer.SKIP, Answer.OTHER, Answer.ERROR


@pytest.mark.parametrize(("given", "check"), [
    ("build", Check(Kind.BUILD)),
    ("boot", Check(Kind.BOOT, "boot")),
    ("warning:unused variable", Check(Kind.WARNING, text="unused variable")),
    ("selftest:vmem.resize", Check(Kind.SELFTEST, "vmem.resize")),
    ("selftest:vmem.resize.grow-300", Check(Kind.SELFTEST, "vmem.resize", "grow-300")),
    ("selftest:kselftest:memory-hotplug.dimm",
     Check(Kind.SELFTEST, "kselftest:memory-hotplug", "dimm")),
    ("dump:kdump", Check(Kind.DUMP, "dump.kdump")),
    ("size:page_alloc>100", Check(Kind.SIZE, "page_alloc", limit=100)),
    ("time:boot>1.2", Check(Kind.TIME, "boot", limit=1.2)),
    ("time:vmem.resize.grow.seconds>2",
     Check(Kind.TIME, "vmem.resize", "grow.seconds", limit=2)),
    ("splat:WARNING in f", Check(Kind.SPLAT, "boot", text="WARNING in f")),
    ("splat:BUG: x@vmem.probe", Check(Kind.SPLAT, "vmem.probe", text="BUG: x")),
    ("splat:odd@address", Check(Kind.SPLAT, "boot", text="odd@address")),
    ("cmd:test -e /a:b", Check(Kind.CMD, text="test -e /a:b")),
    ("cmd@host:make", Check(Kind.HOST, text="make")),
])
def test_checks(given: str, check: Check) -> None:
    assert parse(given, SCENARIOS) == check


@pytest.mark.parametrize("given", [
    "", "boots", "boot:x", "build:", "selftest:", "selftest:vmem", "selftest:vmem.resizes",
    "size:x", "size:x>y", "time:boot", "time:boot>1", "time:vmem.resize.grow>2", "cmd:", "host:x y",
])
def test_what_is_no_check(given: str) -> None:
    if given == "host:x y":
        assert parse(given, SCENARIOS).kind is Kind.HOST
        return
    with pytest.raises(UserError):
        parse(given, SCENARIOS)


def outcome(status: Status, **more: object) -> Outcome:
    return Outcome(Step.SELFTEST, "x", status, 3.0, str(status), **more)  # type: ignore[arg-type]


def subtest(name: str, status: str, **figures: object) -> dict[str, object]:
    return {"name": name, "status": status, "message": "m", "figures": figures}


GROW = parse("selftest:vmem.resize.grow", SCENARIOS)
WHOLE = parse("selftest:vmem.resize", SCENARIOS)
SPLAT = parse("splat:BUG: x", SCENARIOS)


@pytest.mark.parametrize(("check", "given", "answer"), [
    (WHOLE, outcome(Status.PASS), PASS),
    (WHOLE, outcome(Status.WARN), PASS),
    (WHOLE, outcome(Status.FAIL, fingerprints=("subtest:grow",)), FAIL),
    (WHOLE, outcome(Status.SKIP), SKIP),
    (WHOLE, outcome(Status.ERROR, owner=Owner.MACHINE), ERROR),
    (GROW, outcome(Status.FAIL, details={"subtests": [subtest("grow", "FAIL")]}), FAIL),
    (GROW, outcome(Status.FAIL, details={"subtests": [subtest("grow", "PASS"),
                                                      subtest("shrink", "FAIL")]}), PASS),
    (GROW, outcome(Status.FAIL, details={"subtests": []}, fingerprints=("guest:hang",)), OTHER),
    (GROW, outcome(Status.PASS, details={"subtests": [subtest("grow", "SKIP")]}), SKIP),
    (SPLAT, outcome(Status.FAIL, details={"splats": [{"title": "BUG: x in y"}]}), FAIL),
    (SPLAT, outcome(Status.FAIL, details={"splats": [{"title": "BUG: z"}]}), PASS),
    (SPLAT, outcome(Status.FAIL, details={"splats": []}, fingerprints=("guest:hang",)), OTHER),
    (SPLAT, outcome(Status.PASS), PASS),
])
def test_what_a_guest_answers(check: Check, given: Outcome, answer: Answer) -> None:
    assert judge.of_guest(check, "c", given).answer is answer


def test_what_a_build_answers() -> None:
    broken = replace(outcome(Status.FAIL), fingerprints=("gcc: a.c: error",))
    for what, answer in (("build", FAIL), ("boot", SKIP), ("warning:w", SKIP)):
        found = judge.of_build(parse(what, SCENARIOS), "c", broken, "")
        assert found and found.answer is answer
    warned = outcome(Status.PASS, details={"warnings": [
        {"text": "unused variable 'a'", "lines": ["f.c:1: warning: unused variable 'a'"]}]})
    for what, answer in (("warning:unused", FAIL), ("warning:other", PASS), ("build", PASS)):
        found = judge.of_build(parse(what, SCENARIOS), "c", warned, "")
        assert found and found.answer is answer
    assert judge.of_build(parse("boot", SCENARIOS), "c", warned, "") is None


MAP = """ffffffff81000000 T start
ffffffff81000040 t work
ffffffff81000050 t work.constprop.0
ffffffff81000058 t worker
ffffffff81000060 T end
"""


def test_the_size_of_a_symbol_and_its_clones() -> None:
    assert judge.size_of(MAP, "start") == 0x40
    assert judge.size_of(MAP, "work") == 0x18
    assert judge.size_of(MAP, "end") is None, "nothing behind it: not known"
    assert judge.size_of(MAP, "wor") is None


def test_an_observation_survives_the_journal() -> None:
    one = Observation("c", FAIL, "s", ("m",), ("e",), ("r",), "l", 1.5, "d", True, 2.0)
    assert decode(json.loads(json.dumps(encode(one)))) == one


LOG = """git bisect start '--term-new=broken' '--term-old' 'fine' '--' 'mm' 'a b'
# broken: [{0}] subject
git bisect broken {0}
# fine: [{1}] subject
git bisect fine {1}
git bisect skip {2}
# kvtools trial: [{2}] SKIP does not build
# first broken commit: [{0}] subject
"""


def test_a_bisect_log_is_read_and_written() -> None:
    text = LOG.format(*("a" * 40, "b" * 40, "c" * 40))
    log = gitlog.read(text)
    assert (log.term_old, log.term_new, log.paths) == ("fine", "broken", ("mm", "a b"))
    assert log.of("new") == ("a" * 40,)
    assert log.trials == (("c" * 40, SKIP, "does not build"),)
    assert gitlog.read(gitlog.write(log, {"a" * 40: "subject"}, ["a" * 40])) == log
    short = gitlog.read("git bisect start --first-parent BAD GOOD1 GOOD2\n")
    assert (short.of("new"), short.of("old"), short.first_parent) == (
        ("BAD",), ("GOOD1", "GOOD2"), True)
    for wrong in ("git commit -m x\n", "git bisect visualize\n", "good abc\n"):
        with pytest.raises(UserError):
            gitlog.read(wrong)


def test_mann_whitney_is_exact() -> None:
    assert timing.p_value([1, 2, 3, 4], [5, 6, 7, 8]) == pytest.approx(1 / 70)
    assert timing.p_value([5, 6, 7, 8], [1, 2, 3, 4]) == pytest.approx(1.0)
    assert 0.3 < timing.p_value([1, 4, 5, 8], [2, 3, 6, 7]) < 0.75


class Slow(Planted):
    """Takes 10 s with a tenth of scatter, 14 s from ``first`` on."""

    factor = 1.4

    def _one(self, commit: str) -> Observation:
        self.tried.append(commit)
        mean = 10 * (self.factor if self.broken(commit) else 1.0)
        value = self.random.gauss(mean, 1.0)
        return Observation(commit, PASS, "measured", value=value)


def timed(tester: Slow) -> str:
    log = MemoryLog()
    old, new = tester.history.old[0], tester.history.new
    figures = timing.measure(tester, log, old, new, lambda what: None)
    found = timing.calibrate(*figures, 1.2)
    judged = timing.Timed(tester, found.threshold)
    result = Search(tester.history, judged, Settings(flakes=found.flakes),
                    timing.TimedLog(log, judged)).run()
    assert result.ending is Ending.FOUND, result
    return result.first[0].id


def test_a_regression_in_time_is_found_by_its_distribution() -> None:
    right = sum(timed(Slow(linear(32), name(21), seed=seed)) == name(21) for seed in range(12))
    assert right >= 11


def test_a_time_that_did_not_grow_as_stated_is_told() -> None:
    tester = Slow(linear(32), name(21))
    tester.factor = 1.05
    with pytest.raises(Told, match="ratio 1"):
        timed(tester)


def test_costs_of_builds() -> None:
    commits = [Commit(name(n), (name(n - 1),), "", files) for n, files in enumerate(
        (("mm/a.c",), ("Documentation/x.rst",), ("include/linux/mm.h",), ("mm/b.c",)), 1)]
    costs = BuildCosts(History(commits, old=(name(0),), new=name(4)))
    assert costs.between(None, name(1)) == EVERYTHING
    assert costs.between(name(1), name(3)) == EVERYTHING
    assert costs.between(name(1), name(2)) < costs.between(name(0), name(1)) < EVERYTHING


def test_the_capacity_of_the_z_channel() -> None:
    assert capacity(1.0) == pytest.approx(1.0)
    assert capacity(0.5) == pytest.approx(0.3219, abs=1e-4)
    assert capacity(0.5, 0.5) == pytest.approx(0.0, abs=1e-9)


def bisection(**more: object) -> Bisection:
    history = linear(16)
    settings = Settings(flakes=DETERMINISTIC)
    crash = Observation(name(8), FAIL, "an oops <&>", ("splat:other",))
    tester = Planted(history, name(11), special={name(8): crash})
    result = Search(history, tester, settings, MemoryLog()).run()
    return Bisection("id", "boot", "6.1", history, settings, result, 1.0, ("kvtools",), **more)  # type: ignore[arg-type]


def test_what_is_told() -> None:
    back = Reverted("r" * 40, (Observation("r", PASS),))
    found = bisection(reverted=back)
    shown = text.render(found)
    assert f"first bad commit: {name(11)[:12]} commit 11" in shown
    assert "other failures met on the way" in shown
    assert "passes 1 of 1" in shown
    data = to_json(found)
    json.dumps(data)
    assert data["first"] == [{"commit": name(11), "subject": "commit 11", "number": 0}]
    assert text.github(found).startswith("::error title=kvtools bisect::first bad commit")
    assert json.loads(text.gitlab(found))[0]["severity"] == "critical"
    draft = text.mail(found, text.Culprit("abc", "subject", "A <a@b.c>", True))
    assert "#regzbot introduced: abc\n" in draft
    assert draft.endswith('Fixes: abc ("subject")\n')
    marks = gitlog.read(to_git_log(found)).marks
    assert (name(11), "new") in marks
    assert (name(10), "old") in marks
    assert (name(8), "skip") in marks


@pytest.fixture
def forked(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """base - a - m - c, where m merges side; side and c touch ``other``."""
    tree, ids = tmp_path / "tree", {}

    def call(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", tree, "-c", "user.name=x", "-c", "user.email=x@example.org", *words],
            check=True, capture_output=True, text=True).stdout.strip()

    def commit(label: str, file: str) -> None:
        (tree / file).write_text(label)
        call("add", "-A")
        call("commit", "-qm", label)
        ids[label] = call("rev-parse", "HEAD")

    subprocess.run(["git", "init", "-q", "-b", "main", tree], check=True)
    commit("base", "file")
    call("checkout", "-qb", "side")
    commit("side", "other")
    call("checkout", "-q", "main")
    commit("a", "file")
    call("merge", "-q", "--no-ff", "-m", "m", "side")
    ids["m"] = call("rev-parse", "HEAD")
    commit("c", "other")
    return tree, ids


def named(found: Sequence[git.Revision]) -> set[str]:
    return {revision.subject for revision in found}


def test_ranges_of_a_forked_history(forked: tuple[Path, dict[str, str]]) -> None:
    tree, ids = forked
    found = git.between(tree, ids["c"], [ids["base"]])
    assert named(found) == {"side", "a", "m", "c"}
    merge = next(r for r in found if r.subject == "m")
    assert set(merge.parents) == {ids["a"], ids["side"]}
    assert merge.files == ("other",)
    assert named(git.between(tree, ids["c"], [ids["base"]], first_parent=True)) == {"a", "m", "c"}
    limited = git.between(tree, ids["c"], [ids["base"]], paths=["other"])
    assert named(limited) == {"side", "c"}
    assert ids["side"] in next(r for r in limited if r.subject == "c").parents
    assert git.is_ancestor(tree, ids["side"], ids["m"])
    assert not git.is_ancestor(tree, ids["side"], ids["a"])
    assert git.merge_bases(tree, ids["side"], ids["a"]) == [ids["base"]]


def test_a_commit_is_reverted_on_a_tip(forked: tuple[Path, dict[str, str]],
                                       tmp_path: Path) -> None:
    tree, ids = forked
    git.worktree_add(tree, tmp_path / "work", ids["m"])
    made = git.revert(tmp_path / "work", ids["m"], ids["a"])
    assert made and git.show(tree, made, "file") == b"base"
    assert made == git.revert(tmp_path / "work", ids["m"], ids["a"])
    assert git.revert(tmp_path / "work", ids["c"], ids["side"]) is None, "c changed it since"
    assert git.revert(tmp_path / "work", ids["m"], ids["m"]), "a merge, against its first parent"


def test_the_flake_rate_is_estimated() -> None:
    rng = random.Random(5)
    tester = Planted(linear(16), name(rng.randint(1, 16)), rate=0.3, seed=5)
    result = Search(tester.history, tester, Settings(), MemoryLog()).run()
    assert 0.15 < result.rate < 0.5
