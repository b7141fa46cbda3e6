# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools bisect`` on the fake kernel tree: real git, make and gcc, no guest."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kvtools.cli import main

Cli = Callable[..., tuple[int, str, str]]
IDENTITY = ["-c", "user.name=A U Thor", "-c", "user.email=author@example.org"]


def git(tree: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", tree, *IDENTITY, *words], check=True, text=True,
                          capture_output=True).stdout.strip()


def change(tree: Path, number: int, *, file: str = "mm/page_alloc.c") -> str:
    path = tree / file
    path.write_text(path.read_text() + f"int added_{number};\n")
    git(tree, "commit", "-qam", f"mm: change {number}")
    return git(tree, "rev-parse", "HEAD")


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str]) -> Cli:
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path / "home"))
    (tmp_path / "tiny.toml").write_text(
        'description = "tiny"\narch = "x86_64"\ntarget = "tinyconfig"\nfragments = ["own"]\n')
    (tmp_path / "own.config").write_text("CONFIG_64BIT=y\n")

    def run(*args: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        try:
            code = main([str(a) for a in args])
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.fixture
def history(fakelinux: Path) -> list[str]:
    """Base and five commits; the third one breaks: a symbol grows, a warning, a marker."""
    commits = [git(fakelinux, "rev-parse", "HEAD")]
    for number in range(1, 6):
        if number != 3:
            commits.append(change(fakelinux, number))
            continue
        path = fakelinux / "mm/page_alloc.c"
        path.write_text("char table_of_marks[512];\nstatic void unused_here(void) { }\n"
                        + path.read_text())
        git(fakelinux, "commit", "-qam", "mm: change 3")
        commits.append(git(fakelinux, "rev-parse", "HEAD"))
    return commits


def found(out: str) -> list[str]:
    return [first["commit"] for first in json.loads(out)["first"]]


@pytest.mark.parametrize("check", ["warning:unused_here",
                                   "cmd@host:! grep -q table_of_marks mm/page_alloc.c"])
def test_a_range_is_bisected(cli: Cli, history: list[str], fakelinux: Path, tmp_path: Path,
                             check: str) -> None:
    code, out, err = cli("bisect", f"{history[0]}..{history[5]}", "--tree", fakelinux, "--check",
                         check, "--config", tmp_path / "tiny.toml", "--flaky", "no", "--json", "-")
    assert code == 0, err
    data = json.loads(out)
    assert found(out) == [history[3]]
    assert data["counted"] <= 2 + 3
    assert data["reverted"]["confirms"], data["reverted"]


def test_the_log_goes_to_git_bisect_and_comes_back(cli: Cli, history: list[str], fakelinux: Path,
                                                   tmp_path: Path) -> None:
    arguments = ["--tree", fakelinux, "--check", "size:table_of_marks>256", "--no-revert",
                 "--config", tmp_path / "tiny.toml"]
    # A commit that others have: regzbot can be told of it.
    git(fakelinux, "remote", "add", "origin", "https://git.kernel.org/linux.git")
    git(fakelinux, "update-ref", "refs/remotes/origin/master", history[5])
    code, out, err = cli("bisect", f"{history[0]}..{history[5]}", *arguments, "--log",
                         tmp_path / "log")
    assert code == 0, err
    assert f"first bad commit: {history[3][:12]}" in out
    assert f'Fixes: {history[3][:12]} ("mm: change 3")' in out
    assert f"#regzbot introduced: {history[3][:12]}" in out
    said = git(fakelinux, "bisect", "replay", str(tmp_path / "log"))
    assert f"{history[3]} is the first bad commit" in said
    theirs = git(fakelinux, "bisect", "log")
    git(fakelinux, "bisect", "reset")
    (tmp_path / "theirs").write_text(theirs + "\n")
    code, out, err = cli("bisect", "--replay", tmp_path / "theirs", "--fresh", *arguments,
                         "--json", "-")
    assert code == 0, err
    assert found(out) == [history[3]]


def test_the_first_fix(cli: Cli, history: list[str], fakelinux: Path, tmp_path: Path) -> None:
    git(fakelinux, "revert", "--no-edit", history[3])
    fix = git(fakelinux, "rev-parse", "HEAD")
    change(fakelinux, 11, file="init/main.c")
    code, out, err = cli("bisect", f"{history[4]}..HEAD", "--tree", fakelinux, "--fix", "--check",
                         "size:table_of_marks>256", "--config", tmp_path / "tiny.toml",
                         "--json", "-")
    assert code == 0, err
    assert found(out) == [fix]


def test_ends_the_wrong_way_round_are_told(cli: Cli, history: list[str], fakelinux: Path,
                                           tmp_path: Path) -> None:
    code, out, err = cli("bisect", f"{history[4]}..{history[5]}", "--tree", fakelinux, "--check",
                         "size:table_of_marks>256", "--config", tmp_path / "tiny.toml")
    assert code == 1, err
    assert "the good end is bad" in out
    assert "table_of_marks has" in out
    code, out, err = cli("bisect", f"{history[0]}..{history[2]}", "--tree", fakelinux, "--check",
                         "size:table_of_marks>256", "--config", tmp_path / "tiny.toml")
    assert code == 1, err
    assert "the bad end is good" in out


def test_a_commit_that_does_not_build_gives_a_range(cli: Cli, fakelinux: Path,
                                                    tmp_path: Path) -> None:
    commits = [git(fakelinux, "rev-parse", "HEAD")]
    path = fakelinux / "mm/page_alloc.c"
    whole = path.read_text()
    for text in ("int a;\n", "int broken(;\n", "int a;\nchar table_of_marks[512];\n",
                 "int b;\nchar table_of_marks[512];\n"):
        path.write_text(whole + text)
        git(fakelinux, "commit", "-qam", text.splitlines()[0])
        commits.append(git(fakelinux, "rev-parse", "HEAD"))
    code, out, err = cli("bisect", f"{commits[0]}..{commits[4]}", "--tree", fakelinux, "--check",
                         "size:table_of_marks>256", "--config", tmp_path / "tiny.toml",
                         "--json", "-")
    assert code == 0, err
    assert found(out) == [commits[2], commits[3]]
    assert "does not build" in json.loads(out)["skipped"][commits[2]]


def test_a_series_is_bisected_and_a_second_time_costs_nothing(
    cli: Cli, history: list[str], fakelinux: Path, tmp_path: Path
) -> None:
    git(fakelinux, "format-patch", "-q", "-o", str(tmp_path / "series"), f"{history[0]}..HEAD")
    arguments = [tmp_path / "series", "--tree", fakelinux, "--base", history[0], "--check",
                 "size:table_of_marks>256", "--config", tmp_path / "tiny.toml"]
    code, out, err = cli("bisect", *arguments, "--json", "-")
    assert code == 0, err
    assert [f["number"] for f in json.loads(out)["first"]] == [3]
    code, out, err = cli("bisect", *arguments, "--fresh", "--no-revert")
    assert code == 0, err
    assert "of them stored before" in out
    assert "no #regzbot command" in out
    code, out, err = cli("bisect", *arguments, "--ci", "github", "--no-revert")
    assert "::error title=kvtools bisect::first bad commit" in out
    assert cli("runs") == (0, "", ""), "a bisection is no run that stopped before its end"


@pytest.mark.parametrize(("arguments", "says"), [
    (["A..B", "--check", "boot"], "--tree"),
    (["--check", "nothing"], "no check"),
    (["--check", "selftest:no.such"], "no scenario"),
    (["--check", "size:foo"], "no check"),
    (["--check", "time:boot>0.9"], "above 1"),
    (["--check", "check:checkpatch", "--fix"], "looks at every patch by itself"),
    (["--check", "check:nothing"], "nothing"),
    (["--check", "build", "--replay", "/no/such/log"], "/no/such/log"),
])
def test_bad_input_is_one_line_and_exit_2(cli: Cli, arguments: list[str], says: str) -> None:
    code, _, err = cli("bisect", *arguments)
    assert code == 2, err
    assert says in err
    assert "Traceback" not in err


def test_git_bisect_run_is_told_what_it_needs(fakelinux: Path, tmp_path: Path, cli: Cli) -> None:
    path = fakelinux / "mm/page_alloc.c"
    whole = path.read_text()
    for text in ("int a;\n", "int a;\nint b;\n", "int broken(;\n", "int broken(;\nint d;\n"):
        path.write_text(whole + text)
        git(fakelinux, "commit", "-qam", text.split("\n")[-2])
    first = git(fakelinux, "rev-parse", "HEAD~1")
    git(fakelinux, "bisect", "start", "HEAD", "HEAD~4")
    command = [sys.executable, "-m", "kvtools", "test", "--tree", ".", "--base", "HEAD", "-q",
               "--only", "build", "--config", str(tmp_path / "tiny.toml"), "--bisect-exit"]
    said = git(fakelinux, "bisect", "run", *command)
    assert f"{first} is the first bad commit" in said


def test_a_check_names_the_first_patch_that_fails_it(
    cli: Cli, fakelinux: Path, tmp_path: Path
) -> None:
    base = git(fakelinux, "rev-parse", "HEAD")
    for number in range(1, 6):
        change(fakelinux, number)
        if number not in (3, 5):  # those two are not signed off
            git(fakelinux, "commit", "-q", "--amend", "-s", "--no-edit")
    third = git(fakelinux, "rev-parse", "HEAD~2")
    code, out, err = cli("bisect", f"{base}..HEAD", "--tree", fakelinux, "--check", "check:signoff",
                         "--config", tmp_path / "tiny.toml", "--json", "-")
    assert code == 0, err
    data = json.loads(out)
    assert [first["subject"] for first in data["first"]] == ["mm: change 3"]
    assert git(fakelinux, "log", "-1", "--format=%s", third) == "mm: change 3"
    # The near miss: where every patch is signed off the bad end is not bad.
    code, out, err = cli("bisect", f"{base}..HEAD~3", "--tree", fakelinux, "--check",
                         "check:signoff", "--config", tmp_path / "tiny.toml", "--json", "-")
    assert (code, json.loads(out)["ending"]) == (1, "new-is-old"), err
    code, _, err = cli("bisect", f"{base}..HEAD", "--tree", fakelinux, "--check", "check:unused")
    assert code == 2 and "no check of single patches" in err, err
