# SPDX-License-Identifier: GPL-2.0-or-later
"""The command as a user meets it: exit codes, one-line errors, files whole or not there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kvtools.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process; exit code, stdout, stderr."""
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path / "home"))

    def run(*args: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        try:
            code = main([str(a) for a in args])
        except SystemExit as ended:  # argparse
            code = int(ended.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return run


def tiny(tmp_path: Path, *fragments: str) -> Path:
    """A config that the fake kernel tree can give."""
    (tmp_path / "own.config").write_text("".join(f"{line}\n" for line in fragments))
    path = tmp_path / "tiny.toml"
    path.write_text(
        'description = "tiny"\narch = "x86_64"\ntarget = "tinyconfig"\nfragments = ["own"]\n'
    )
    return path


def one_line(err: str) -> str:
    lines = [line for line in err.splitlines() if line.startswith("kvtools:")]
    assert "Traceback" not in err
    assert len(lines) == 1, err
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no/such/series"], "no/such/series"),
        (["--base", "no-such-base", "--only", "build"], "no-such-base"),
        (["--config", "no-such-config"], "no-such-config"),
        (["--tree", "/no/such/tree"], "/no/such/tree"),
        (["--patches", "99"], "99"),
        (["--only", "nothing"], "nothing"),
        (["--verify-build", "--no-header-aware", "--only", "build"], "nothing to verify"),
        (["--verify-build", "--untrusted", "patches/virtio-mem"], "trust"),
        (["--json", "/no/such/dir/run.json"], "/no/such/dir"),
        (["--junit", "/"], "directory"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(cli: Callable[..., tuple[int, str, str]],
                                          arguments: list[str], says: str) -> None:
    code, _, err = cli("test", *arguments)
    assert code == 2, err
    assert says in one_line(err)


def test_a_tree_that_is_not_a_kernel(cli: Callable[..., tuple[int, str, str]],
                                     tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    subprocess.run(["git", "init", "-q", tmp_path / "other"], check=True)
    (tmp_path / "other" / "a").write_text("a")
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["add", "a"], [*identity, "commit", "-qm", "a"]):
        subprocess.run(["git", "-C", tmp_path / "other", *words], check=True)
    code, _, err = cli("test", "--tree", tmp_path / "other", "--only", "build")
    assert code == 2
    assert "not a kernel tree" in one_line(err)


def test_without_qemu_the_machine_is_named_and_nothing_is_built(
    cli: Callable[..., tuple[int, str, str]],
    fakelinux: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for directory in os.environ["PATH"].split(":"):
        for program in Path(directory).glob("*") if directory else ():
            if "qemu" not in program.name and not (programs / program.name).exists():
                (programs / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(programs))
    code, _, err = cli("test", "--tree", fakelinux, "--config", tiny(tmp_path))
    assert code == 3
    assert "qemu" in one_line(err)
    assert not list((tmp_path / "home").rglob("bzImage"))


def test_a_run_on_a_tree_leaves_json_and_junit_and_can_be_read_again(
    cli: Callable[..., tuple[int, str, str]], fakelinux: Path, tmp_path: Path
) -> None:
    before = snapshot(fakelinux)
    result = tmp_path / "run.json"
    words = ("test", "--tree", fakelinux, "--config", tiny(tmp_path), "--only", "build")
    code, out, err = cli(*words, "--json", result, "--junit", tmp_path / "run.xml")
    assert code == 0, out + err
    data = json.loads(result.read_text())
    assert data["status"] == "PASS"
    assert "PASS" in out.splitlines()[-1]
    assert (tmp_path / "run.xml").read_text().startswith("<?xml")
    assert snapshot(fakelinux) == before, "something was written into the user's tree"
    code, out, _ = cli("runs")
    assert data["run"]["id"] in out
    code, out, _ = cli("report", "--cell", "base:build")
    assert code == 0
    assert "olddefconfig" in out
    code, out, _ = cli("report", "--json", "-")
    assert json.loads(out) == data
    page = tmp_path / "run.html"
    code, out, _ = cli("report", result, "--html", page, "--github", "-")
    assert code == 0 and out.startswith("::notice title=kvtools::PASS")
    assert "olddefconfig" in page.read_text() and page.read_text().count("<script") == 1
    code, out, _ = cli("report", "--compare", result, data["run"]["id"])
    assert code == 0 and out.endswith("No status and no finding changed.\n")
    code, _, err = cli("report", result, "--compare", result, result)
    assert code == 2 and "--compare" in one_line(err)


def test_a_config_symbol_that_does_not_exist_fails_and_is_named(
    cli: Callable[..., tuple[int, str, str]], fakelinux: Path, tmp_path: Path
) -> None:
    config = tiny(tmp_path, "CONFIG_NO_SUCH_SYMBOL=y")
    code, out, _ = cli("test", "--tree", fakelinux, "--config", config, "--only", "build")
    assert code == 1, "a base alone answers for itself"
    assert "CONFIG_NO_SUCH_SYMBOL" in out


def snapshot(tree: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(tree)): p.read_bytes()
        for p in tree.rglob("*")
        if p.is_file() and not p.is_symlink()
    }


@pytest.mark.parametrize("arguments", [["report"], ["report", "no-such-run"],
                                       ["report", "--cell", "1:boot"]])
def test_a_report_that_is_not_there(cli: Callable[..., tuple[int, str, str]],
                                    arguments: list[str]) -> None:
    code, _, err = cli(*arguments)
    assert code == 2
    one_line(err)


def test_runs_of_an_empty_home(cli: Callable[..., tuple[int, str, str]]) -> None:
    assert cli("runs") == (0, "", "")


@pytest.mark.parametrize("command", ["test", "base", "shell", "runs", "report", "doctor"])
def test_every_command_has_help(cli: Callable[..., tuple[int, str, str]], command: str) -> None:
    code, out, _ = cli(command, "--help")
    assert code == 0
    assert out.startswith("usage: kvtools")


def test_a_crash_of_ours_is_exit_3_and_says_so(
    cli: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(arguments: object) -> int:
        raise ValueError("boom")

    monkeypatch.setattr("kvtools.cli.runs.run", crash)
    code, _, err = cli("runs")
    assert code == 3
    assert "a fault in kvtools itself" in err


def test_a_promise_of_a_cell_that_does_not_exist_is_refused(
    cli: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    series = tmp_path / "series"
    shutil.copytree(ROOT / "patches" / "virtio-mem", series)
    with (series / "series.toml").open("a") as file:
        file.write('\n[expect."selftest:vmem.prob"]\nfrom = 1\nreason = "typo"\n')
    code, _, err = cli("test", series)
    assert code == 2
    assert "selftest:vmem.prob" in one_line(err)


def test_two_configs_of_one_name_are_refused(
    cli: Callable[..., tuple[int, str, str]], fakelinux: Path, tmp_path: Path
) -> None:
    (tmp_path / "d").mkdir()
    first, second = tiny(tmp_path), tiny(tmp_path / "d")
    code, _, err = cli("test", "--tree", fakelinux, "--config", first, "--config", second)
    assert code == 2
    assert "two configs" in one_line(err)


def test_a_failing_run_keeps_its_status_when_the_reader_leaves(
    fakelinux: Path, tmp_path: Path
) -> None:
    config = tiny(tmp_path, "CONFIG_NO_SUCH_SYMBOL=y")
    words = f"test --tree {fakelinux} --config {config} --only build --json -"
    env = {**os.environ, "KVTOOLS_HOME": str(tmp_path / "home")}
    pipeline = f"{sys.executable} -m kvtools {words} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", pipeline], env=env, check=False, capture_output=True)
    assert done.returncode == 1


def test_completion_names_the_commands() -> None:
    env = {**os.environ, "_ARGCOMPLETE": "1", "COMP_LINE": "kvtools te", "COMP_POINT": "10",
           "_ARGCOMPLETE_STDOUT_FILENAME": "/dev/stdout"}
    done = subprocess.run([sys.executable, "-m", "kvtools"], env=env, capture_output=True,
                          check=False, text=True)
    assert done.stdout.strip() == "test"


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    env = {**os.environ, "KVTOOLS_HOME": str(tmp_path)}
    pipeline = f"{sys.executable} -m kvtools base list | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", pipeline], env=env, capture_output=True, check=False, text=True
    )
    assert done.returncode == 0
    assert done.stderr == ""
