# SPDX-License-Identifier: GPL-2.0-or-later
"""What README and docs show works: every command starts, cheap ones run, every link resolves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import doc_commands
import pytest
from doc_commands import ROOT, Command, Wrong, commands

from kvtools.cli import main

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "kvtools/checks/README.md",
             *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN = [c for path in DOCUMENTS
         for c in commands(path.read_text("utf-8"), str(path.relative_to(ROOT)))]
TUTORIAL, README = "docs/tutorial.md", "README.md"

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def parse_pytest(pytestconfig: pytest.Config) -> Callable[[list[str]], None]:
    """pytest's own parser, with the plugins of this run; a marker has to be declared."""
    markers = {line.split(":")[0] for line in pytestconfig.getini("markers")}

    def parse(words: list[str]) -> None:
        try:
            asked, unknown = pytestconfig._parser.parse_known_and_unknown_args(words)
        except pytest.UsageError as error:
            raise Wrong(str(error)) from None
        named = set(re.findall(r"\w+", asked.markexpr)) - {"not", "and", "or"}
        if unknown or named - markers:
            raise Wrong(f"pytest knows no {' '.join([*unknown, *sorted(named - markers)])}")
        for word in asked.file_or_dir:
            if not (ROOT / word.partition("::")[0]).exists():
                raise Wrong(f"{word} is not in the repository")

    return parse


def test_documents_show_commands() -> None:
    counts = {name: sum(c.document == name for c in SHOWN) for name in (README, TUTORIAL)}
    assert counts[README] >= 25 and counts[TUTORIAL] >= 12, counts


@pytest.mark.parametrize("command", SHOWN, ids=lambda c: f"{c.document}:{c.line}")
def test_every_command_could_start(command: Command, parse_pytest: Callable[[list[str]], None],
                                   tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    doc_commands.check(command, parse_pytest)


@pytest.mark.parametrize(("text", "says"), [
    ("./kv tset", "invalid choice"),
    ("./kv test --no-such-option", "unrecognized arguments"),
    ("./kv test --only vmem.resize", "matches no cell"),
    ("./kv test --only build --patches 3...5", "3...5"),
    ("./kv test --config no-such-config", "no config"),
    ("./kv test --base debian-5.10", "no base is called"),
    ("./kv test no/such/series", "not in the repository"),
    ("./kv runs | ./kv report other.json", "not in the repository"),
    ("./kv bisect mine/ --check selftest:vmem.nothing", "vmem.nothing"),
    ("./kv bisect mine/ --check check:nothing", "no check is called"),
    ("./kv bisect mine/ --check nothing", "nothing"),
    ('eval "$(./kv completion tcsh)"', "invalid choice"),
    ("./kv test && ./kv shell one", "invalid int"),
    ("./kv pytest --no-such-option", "pytest knows no"),
    ("./kv pytest -m 'not kernle'", "kernle"),
    ("./kv pytest tests/unit/test_nothing.py", "not in the repository"),
    (".venv/bin/python -m kvtools.cli.nothing", "not in the repository"),
    ("./kb test", "nothing tries a command like"),
])
def test_a_command_that_could_not_start_is_named(
    text: str, says: str, parse_pytest: Callable[[list[str]], None],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path))
    (command,) = commands(f"```sh\n{text}\n```\n", "some.md")
    with pytest.raises(Wrong, match=re.escape(says)) as caught:
        doc_commands.check(command, parse_pytest)
    assert "some.md:2" in str(caught.value)


def test_blocks_comments_prompts_and_continued_lines() -> None:
    text = ("```sh\n# only this\n./kv test \\\n   --keep   # it\n```\n```python\nx = 1\n```\n"
            "```\n$ ./kv runs\noutput\n```\n```\nno prompt\n```\n")
    assert [(c.line, list(doc_commands.simple(c.text))) for c in commands(text, "d")] == [
        (4, [["./kv", "test", "--keep"]]), (10, [["./kv", "runs"]])]
    assert list(doc_commands.simple("A=1 ./kv runs >f 2>/dev/null | jq '.a | .b'")) == [
        ["./kv", "runs", "2"], ["jq", ".a | .b"]]


# Links


def links(text: str) -> Iterator[str]:
    """Targets of links outside of code blocks, web addresses left out."""
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", plain):
        if not re.match(r"[a-z]+:", target):
            yield target


def broken(path: Path, text: str) -> list[str]:
    wrong = []
    for target in links(text):
        name, _, part = target.partition("#")
        other = path.parent / name if name else path
        there = other.exists()
        if there and part:
            there = part in anchors(other.read_text("utf-8") if name else text)
        if not there:
            wrong.append(target)
    return wrong


def anchors(text: str) -> set[str]:
    """As GitHub and GitLab make them of headings."""
    return {re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
            for line in text.splitlines() if line.startswith("#")}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_resolves(path: Path) -> None:
    assert broken(path, path.read_text("utf-8")) == []


def test_a_broken_link_is_seen() -> None:
    text = "# A title\n[a](no-such.md) [b](LICENSE) [c](#a-title) [d](#none) [e](https://x.org/y)"
    assert broken(ROOT / "README.md", text) == ["no-such.md", "#none"]


# Run for real: what costs little, in a home of its own, on the fake kernel tree


@pytest.fixture(scope="module")
def reader(fakelinux_template: Path, tmp_path_factory: pytest.TempPathFactory
           ) -> Iterator[tuple[Path, pytest.MonkeyPatch]]:
    """A home as the tutorial's reader has it: ~/linux with v6.12 and my-branch, and a ./kv."""
    home = tmp_path_factory.mktemp("reader")
    (home / ".config/fish/completions").mkdir(parents=True)
    here = home / "kvtools"
    here.mkdir()
    (here / "kv").write_text(f'#!/bin/sh\nexec {sys.executable} -P -m kvtools "$@"\n')
    (here / "kv").chmod(0o755)
    script = f"""set -e
        git clone -q {fakelinux_template} {home}/linux; cd {home}/linux; git tag v6.12
        git checkout -q -b my-branch
        for n in 1 2; do echo "int added_$n;" >>mm/page_alloc.c
            git commit -qsam "mm: add $n

Because of $n."; done
        mkdir -p .git/hooks"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("GIT_CONFIG_GLOBAL", str(home / "gitconfig"))
        (home / "gitconfig").write_text("[user]\nname = A U Thor\nemail = author@example.org\n")
        for name in ("KVTOOLS_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
            patch.delenv(name, raising=False)
        patch.setenv("PYTHONPATH", str(ROOT))
        subprocess.run(["bash", "-c", script], check=True, capture_output=True)
        yield here, patch


def run(command: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of ours alone runs in this process, which is quicker; else bash runs the line."""
    parts = list(doc_commands.simple(command))
    if len(parts) == 1 and parts[0][0] == "./kv" and not re.search(r"[<>$]", command):
        words = [os.path.expanduser(word) for word in parts[0]]  # noqa: PTH111 - may be no path
        monkeypatch.chdir(here)
        monkeypatch.setattr(sys, "argv", words)
        assert main(words[1:]) == 0, command
        return
    done = subprocess.run(["bash", "-ec", command], cwd=here, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, f"{command}\n{done.stderr}"


def shown(document: str, *parts: str) -> Iterator[str]:
    """The command with each part, in that order; a part that no command has is an error."""
    of_document = [c.text for c in SHOWN if c.document == document]
    for part in parts:
        hits = [text for text in of_document if part in text]
        assert len(hits) == 1, f"{document} shows {len(hits)} commands with {part!r}"
        yield hits[0]


def test_the_tutorial_runs(reader: tuple[Path, pytest.MonkeyPatch],
                           monkeypatch: pytest.MonkeyPatch) -> None:
    here, _ = reader
    home = here.parent
    for text in shown(TUTORIAL, "format-patch", "--only apply", "./kv runs", "1:apply",
                      "--html ~/report.html", "completion fish"):
        # One check for all of them, which would start twenty programs for each patch.
        run(text.replace("check:patch", "check:signoff"), here, monkeypatch)
    assert sorted(p.name for p in (home / "mine").iterdir()) == [
        "0000-cover-letter.patch", "0001-mm-add-1.patch", "0002-mm-add-2.patch"]
    assert "mm: add 2" in (home / "report.html").read_text()
    assert (home / ".config/fish/completions/kv.fish").exists()
    # README's commands of the same kind find that run
    for text in shown(README, "--html report.html", "./kv runs", "./kv cache"):
        run(text, here, monkeypatch)
    assert (here / "report.html").exists()


def test_the_readmes_hooks_are_set(reader: tuple[Path, pytest.MonkeyPatch],
                                   monkeypatch: pytest.MonkeyPatch) -> None:
    here, _ = reader
    linux = here.parent / "linux"
    for text in shown(README, "b4.prep-perpatch-check-cmd", "b4.review-perpatch-check-cmd"):
        run(text.replace("$PWD", str(here)), linux, monkeypatch)
    (text,) = shown(README, "printf")
    run(text, here, monkeypatch)
    hook = linux / ".git/hooks/post-commit"
    assert hook.read_text() == f"#!/bin/sh\nexec {here}/kv checkpatch-hook post-commit\n"
    assert os.access(hook, os.X_OK)
    config = subprocess.run(["git", "config", "-l", "--local"], cwd=linux, text=True, check=True,
                            capture_output=True).stdout
    assert f"{here}/kv b4-check --json" in config
