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
from kvtools.model import Person

DATA = Path(__file__).parents[1] / "data" / "checks"
WHO = Person("A U Thor", "author@example.org")
WHEN = "2022-12-11T22:15:18+00:00"
IDENTITY = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"} | {
    f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", WHO.name), ("EMAIL", WHO.email), ("DATE", WHEN))}
OF_MESSAGE = {"links", "message", "signoff", "stable", "trailers"}
OF_KERNEL = {"checkpatch", "kerneldoc", "recipients"}  # see tests/kernel/test_checks.py
OF_OBJECTS = {c.name for c in checks.available() if c.scope == "objects"} | {"coccicheck"}
OF_HISTORY = {"newest", "rangediff"}  # see test_checks_history.py
NOT_HERE = OF_KERNEL | OF_OBJECTS | OF_HISTORY  # of objects: tests/kernel/test_object_checks.py
CASES = sorted(p for kind in ("trip", "pass") for p in DATA.glob(f"*/{kind}/*")
               if p.parts[-3] not in NOT_HERE)


def test_every_check_has_what_trips_it_and_what_does_not() -> None:
    names = {c.name for c in checks.available()}
    for name in names:
        for kind in ("trip", "pass"):
            assert list((DATA / name / kind).glob("*")), f"{name} has no {kind}"
        tripped = {path.name.removesuffix(".patch").partition(".")[0]
                   for path in (DATA / name / "trip").glob("*")}
        near = {path.name.removesuffix(".patch").partition(".")[0]
                for path in (DATA / name / "pass").glob("*")}
        assert near - {"clean"} <= tripped, f"{name}: a near miss of what nothing trips"
    assert {path.name for path in DATA.iterdir()} == names, "data of a check that is not there"


def test_what_is_applied_as_one_series_makes_every_file_once() -> None:
    made = [path for name in sorted(OF_KERNEL) for case in (DATA / name).glob("*/*.patch")
            for path in re.findall(r"^--- /dev/null\n[+]{3} b/(.+)$", case.read_text(), re.M)]
    assert sorted(made) == sorted(set(made))


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
        plain_git(repo, "commit", "-q", "-m", mail.parse(path.read_bytes()).subject.title)
        commits.append(plain_git(repo, "rev-parse", "HEAD").strip())
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
    plain_git(repo, "init", "-q", "--template=")
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
