# SPDX-License-Identifier: GPL-2.0-or-later
"""Every check against patches that trip it and near misses that do not.

``tests/data/checks/<check>/trip/RULE[.what].patch`` has to give RULE, ``pass/RULE.what.patch``
must not, and ``pass/clean[.what].patch`` gives nothing at all. A directory instead of a patch is
a series; ``tree/`` are files of the base. The rest of the base is made of what the patches
expect to find, at the lines where they do: any patch will do as data, and no kernel is needed.
``@base12@`` stands for the first digits of the base's commit id, ``@other40@`` for one before it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from kvtools import checks, diff, git, mail
from kvtools.checks import program
from kvtools.checks.program import Touched
from kvtools.checks.request import CheckRequest, Mails
from kvtools.git.command import git as run_git
from kvtools.model import Person, Status
from kvtools.steps import check as step

DATA = Path(__file__).parents[1] / "data" / "checks"
WHO = Person("A U Thor", "author@example.org")
WHEN = "2022-12-11T22:15:18+00:00"
IDENTITY = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"} | {
    f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", WHO.name), ("EMAIL", WHO.email), ("DATE", WHEN))}
OF_MESSAGE = {"links", "message", "signoff", "stable", "trailers"}
OF_KERNEL = {"checkpatch", "kerneldoc", "recipients"}  # see tests/kernel/test_checks.py
OF_OBJECTS = {c.name for c in checks.available() if c.scope == "objects"} | {"coccicheck"}
NOT_HERE = OF_KERNEL | OF_OBJECTS  # tests/kernel/test_object_checks.py
CASES = sorted(p for kind in ("trip", "pass") for p in DATA.glob(f"*/{kind}/*")
               if p.parts[-3] not in NOT_HERE)


def test_every_check_that_needs_no_kernel_has_both_kinds() -> None:
    whole = {"newest", "rangediff"}  # below: they need a history
    for name in {c.name for c in checks.available()} - NOT_HERE - whole:
        for kind in ("trip", "pass"):
            assert list((DATA / name / kind).glob("*")), f"{name} has no {kind}"


@pytest.mark.parametrize("case", CASES, ids=lambda p: "/".join(p.parts[-3:]))
def test_case(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # programs run in a scratch directory
    for needed in known()[case.parts[-3]].programs:
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed")
    found = run(case, tmp_path)
    rule = case.name.removesuffix(".patch").partition(".")[0]
    if case.parent.name == "trip":
        assert rule in found
    elif rule == "clean":
        assert found == set()
    else:
        assert rule not in found


def run(case: Path, tmp_path: Path) -> set[str]:
    """The rules that the check names, asked in this process: a program each would take minutes."""
    check = known()[case.parents[1].name]
    files = sorted(case.glob("*.patch")) if case.is_dir() else [case]
    texts = [path.read_text() for path in files]
    if check.name in OF_MESSAGE:
        given = request(check, tmp_path, ["", "", ""], Mails(tuple(files)), tmp_path)
    else:
        given = _applied(check, case, files, texts, tmp_path)
    data = given.message("after")
    read = program.read(json.dumps(data))
    spec = importlib.util.spec_from_file_location(f"check_{check.name}", check.program)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    if not given.concerned:
        return set()
    return {one.rule for one in module.check(read) if isinstance(one, program.Finding)
            and (check.level(one.rule) or one.severity or "warn") != "ignore"}


def _applied(
    check: checks.Check, case: Path, files: list[Path], texts: list[str], tmp_path: Path
) -> CheckRequest:
    """The request for a case whose patches are applied to a base made for them."""
    repo = tmp_path / "linux"
    other, base = make_base(repo, case.parents[1] / "tree", texts, check.name)
    paths = []
    for path, text in zip(files, texts, strict=True):
        paths.append(tmp_path / path.name)
        paths[-1].write_text(_ids(text, base, other))
    cover = paths.pop(0) if files[0].name == "0000.patch" else None
    commits = [base]
    for path in paths:
        plain_git(repo, "apply", "--index", "--whitespace=nowarn", str(path))
        commits.append(commit(repo, mail.parse(path.read_bytes()).subject.title))
    return request(check, repo, commits, Mails(tuple(paths), cover), tmp_path)


def request(
    check: checks.Check, repo: Path, commits: list[str], mails: Mails, tmp_path: Path
) -> CheckRequest:
    for name in ("out", "keep", "cache"):
        (tmp_path / name).mkdir()
    patched = bool(commits[-1])
    touched = git.touched_files(repo, commits[-1]) if patched else []
    return CheckRequest(
        check=check, repo=repo, commit=commits[-1], parent=commits[-2], base_commit=commits[0],
        number=len(mails.series), count=len(mails.series), mails=mails, out=tmp_path / "out",
        keep=tmp_path / "keep", cache=tmp_path / "cache", worktree=repo,
        touched=tuple(Touched(new, old, status) for status, old, new in touched),
        lines=git.touched_lines(repo, commits[-1]) if patched else {}, options={"history": 1})


def plain_git(repo: Path, *args: str) -> str:
    """git without the supervision that kvtools.process gives: half of the time of a case."""
    return subprocess.run(["git", *args], cwd=repo, env={**os.environ, **IDENTITY}, check=True,
                          capture_output=True, text=True).stdout


def commit(repo: Path, subject: str) -> str:
    plain_git(repo, "add", "-Af")
    plain_git(repo, "commit", "-q", "-m", subject)
    return plain_git(repo, "rev-parse", "HEAD").strip()


def make_base(repo: Path, tree: Path, texts: list[str], name: str) -> tuple[str, str]:
    """A repository of two commits: the second one has all that the patches expect."""
    repo.mkdir()
    plain_git(repo, "init", "-q")
    if tree.is_dir():
        shutil.copytree(tree, repo, dirs_exist_ok=True)
    (repo / "README").write_text("Fake Linux\n")
    for path, lines in expected(texts).items():
        if not (repo / path).exists():
            (repo / path).parent.mkdir(parents=True, exist_ok=True)
            (repo / path).write_text("".join(f"{line}\n" for line in lines))
    if name not in ("basecommit", "subject"):
        made = commit(repo, "mm: the base of the test")
        return made, made
    touches = (tree / "mm" / "b.c").is_file()
    now = (repo / "mm" / "b.c").read_text() if touches else ""
    if touches:  # what the case changes was different before
        (repo / "mm" / "b.c").write_text("int older;\n" + now)
    other = commit(repo, "mm: before the base")
    if touches:
        (repo / "mm" / "b.c").write_text(now)
    (repo / "README").write_text("Fake Linux 2\n")
    for file in expected(texts) if name == "subject" else ():  # a history for every file
        (repo / file).write_text((repo / file).read_text() + "\n")
    return other, commit(repo, "mm: the base of the test")


def expected(texts: list[str]) -> dict[str, list[str]]:
    """The files that patches change, as far as their first hunks show them."""
    found: dict[str, list[str]] = {}
    made: set[str] = set()
    for text in texts:
        for file in diff.parse(mail.parse(text.encode()).diff):
            if file.old is None:
                made.add(file.path)
            if file.old is None or file.old in found or file.old in made:
                continue
            lines = found.setdefault(file.old, [])
            for hunk in file.hunks:
                lines += [""] * (hunk.old_start - 1 - len(lines))
                lines += [row.decode() for row in hunk.old]
    return found


def _ids(text: str, base: str, other: str) -> str:
    def give(match: re.Match[str]) -> str:
        return (base if match[1] == "base" else other)[: int(match[2])]

    return re.sub(r"@(base|other)(\d+)@", give, text)


@cache
def known() -> dict[str, checks.Check]:
    return {check.name: check for check in checks.available()}


def _two(tmp_path: Path) -> tuple[Path, list[str], Mails, str]:
    """A series of one patch on a base that has a newer branch; both change ``file``."""
    repo = tmp_path / "linux"
    git.init(repo)
    (repo / "file").write_text("one\ntwo\nthree\nfour\nfive\nsix\n")
    base = git.commit_all(repo, "base", when=WHEN, who=WHO)
    path = tmp_path / "0001.patch"
    path.write_text(
        f"From: {WHO}\nDate: {WHEN}\nSubject: [PATCH] mm: x\n\nx\n---\n--- a/file\n+++ b/file\n"
        "@@ -1,3 +1,3 @@\n-one\n+1\n two\n three\n")
    applied = git.am(repo, path.read_bytes(), log=None)
    assert applied.commit
    return repo, [base, applied.commit], Mails((path,)), base


@pytest.mark.parametrize(
    ("text", "status"),
    [("one\ntwo\nthree\nfour\nfive\n6\n", Status.PASS), ("I\ntwo\nthree\nfour\nfive\nsix\n",
                                                       Status.WARN)],
)
def test_the_newest_version_of_the_base(tmp_path: Path, text: str, status: Status) -> None:
    repo, commits, mails, base = _two(tmp_path)
    git.checkout(repo, base)
    (repo / "file").write_text(text)
    newer = git.commit_all(repo, "newer", when=WHEN, who=WHO)
    run_git(repo, "update-ref", "refs/heads/newer", newer)
    outcome = step.run(request(known()["newest"], repo, commits, mails, tmp_path))
    assert outcome.status is status and "newer" in (outcome.summary)


def test_without_a_newer_version_there_is_nothing_to_say(tmp_path: Path) -> None:
    repo, commits, mails, _ = _two(tmp_path)
    outcome = step.run(request(known()["newest"], repo, commits, mails, tmp_path))
    assert (outcome.status, outcome.summary) == (
        Status.SKIP, "no newer version of the base is known here")


def test_the_range_diff_is_kept_and_the_repository_left_alone(tmp_path: Path) -> None:
    repo, commits, mails, _ = _two(tmp_path)
    before = sorted(p.name for p in (repo / ".git" / "objects").rglob("*"))
    old = tmp_path / "old.patch"
    old.write_text(mails.series[0].read_text().replace("+1\n", "+uno\n"))
    given = Mails(mails.series, None, (old,))
    asked = request(known()["rangediff"], repo, commits, given, tmp_path)
    outcome = step.run(asked)
    assert (outcome.status, outcome.summary) == (Status.PASS, "range-diff.txt: 1 changed")
    assert "+uno" in (tmp_path / "out" / "range-diff.txt").read_text()
    assert sorted(p.name for p in (repo / ".git" / "objects").rglob("*")) == before


def test_without_an_earlier_revision_there_is_no_range_diff(tmp_path: Path) -> None:
    repo, commits, mails, _ = _two(tmp_path)
    outcome = step.run(request(known()["rangediff"], repo, commits, mails, tmp_path))
    assert outcome.status is Status.SKIP
