# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/commands and the man page are what the parser says; completion works in three shells."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kvtools.cli import manual
from kvtools.cli.arguments import parser

DOCS = Path(__file__).resolve().parents[2] / "docs"


def stale(docs: Path) -> list[str]:
    made = manual.files()
    old = {str(p.relative_to(docs)) for p in docs.glob("commands/*.md")} - made.keys()
    return sorted(old) + [name for name, text in made.items()
                          if not (docs / name).exists() or (docs / name).read_text() != text]


def test_the_pages_are_those_of_the_command_line() -> None:
    assert stale(DOCS) == [], f"renew them with: {manual.RENEW}"


def test_a_page_that_is_stale_missing_or_left_over_is_seen(tmp_path: Path) -> None:
    shutil.copytree(DOCS / "commands", tmp_path / "commands")
    shutil.copytree(DOCS / "man", tmp_path / "man")
    assert stale(tmp_path) == []
    with (tmp_path / "commands/test.md").open("a") as file:
        file.write("more\n")
    (tmp_path / "commands/runs.md").unlink()
    (tmp_path / "commands/gone.md").touch()
    assert stale(tmp_path) == ["commands/gone.md", "commands/test.md", "commands/runs.md"]


def test_all_that_an_argument_can_be() -> None:
    top = argparse.ArgumentParser(prog="x")
    commands = top.add_subparsers()
    one = commands.add_parser("one", help="do *it*", epilog="examples:\n  x one -a\n\nMore.\n",
                              formatter_class=argparse.RawDescriptionHelpFormatter)
    one.add_argument("file", help="what <to> do")
    one.add_argument("kind", choices=("a", "b"))
    one.add_argument("rest", nargs="*", metavar="REST")
    one.add_argument("hidden", nargs="?", help=argparse.SUPPRESS)
    one.add_argument("--pair", nargs=2, metavar=("OLD", "NEW"), help="100%% of %(dest)s")
    one.add_argument("--need", required=True, metavar="N")
    one.add_argument("--flag", action=argparse.BooleanOptionalAction, default=False, help="a flag")
    (page,) = manual.read(top)
    text = manual.markdown(page)
    assert "x one [OPTION]... --need N FILE {a,b} [REST]" in text
    for part in ("Do \\*it\\*.", "- `FILE`: what \\<to\\> do", "- `{a,b}`\n",
                 "- `--pair OLD NEW`: 100% of pair", "- `--flag, --no-flag`: a flag\n",
                 "examples:\n\n```text\nx one -a\n```\n\nMore.\n"):
        assert part in text
    assert "hidden" not in text.lower() and "--help" not in text


def test_text_is_no_request_and_no_escape() -> None:
    assert manual._roff(".git\\x '--a") == "\\&.git\\ex \\(aq\\-\\-a"


@pytest.mark.parametrize("command", [["mandoc", "-T", "lint"],
                                     ["groff", "-man", "-ww", "-Tutf8", "-z"]],
                         ids=["mandoc", "groff"])
def test_the_man_page_is_clean(command: list[str], tmp_path: Path) -> None:
    if not shutil.which(command[0]):
        pytest.skip(f"no {command[0]} (apt-get install {command[0]})")
    broken = tmp_path / "broken.1"
    broken.write_text((DOCS / "man/kvtools.1").read_text() + ".NOSUCHREQUEST\n")
    for path, clean in ((DOCS / "man/kvtools.1", True), (broken, False)):
        done = subprocess.run([*command, path], capture_output=True, text=True, check=False)
        assert ((done.stdout + done.stderr).strip() == "") == clean, done.stdout + done.stderr


def test_the_man_page_has_every_command() -> None:
    text = (DOCS / "man/kvtools.1").read_text()
    for page in manual.read(parser()):
        assert f'.SS "{manual._roff(page.name)}"' in text


# Completion

SHELLS = {
    "bash": ["bash", "--norc", "-c", """
        eval "$(kvtools completion bash)"
        for COMP_LINE in "kvtools che" "kv report --mark"; do
            COMP_POINT=${#COMP_LINE} COMP_TYPE=9 words=($COMP_LINE) COMPREPLY=()
            function=$(complete -p ${words[0]} | sed 's/.*-F \\([^ ]*\\).*/\\1/')
            $function ${words[0]} ${words[-1]} report
            echo "${COMPREPLY[@]}"
        done"""],
    "zsh": ["zsh", "-f", "-c", """
        autoload -Uz compinit is-at-least; compinit -D -u
        _describe() { eval "print -l -- \\$$2"; }
        eval "$(kvtools completion zsh)"
        for BUFFER in "kvtools che" "kv report --mark"; do
            CURSOR=${#BUFFER}; words=(${=BUFFER}); ${_comps[${words[1]}]}
        done"""],
    "fish": ["fish", "--no-config", "-c", """
        kvtools completion fish | source
        complete -C "kvtools che"; complete -C "kv report --mark" """],
}


@pytest.mark.parametrize("shell", SHELLS)
def test_completion(shell: str, tmp_path: Path) -> None:
    """A command and an option of one, as the shell itself asks for them."""
    if not shutil.which(shell):
        pytest.skip(f"no {shell} (apt-get install {shell})")
    for name in ("kv", "kvtools"):
        (tmp_path / name).write_text(f'#!/bin/sh\nexec {sys.executable} -P -m kvtools "$@"\n')
        (tmp_path / name).chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path),
           "PYTHONPATH": str(DOCS.parent)}
    done = subprocess.run(SHELLS[shell], env=env, capture_output=True, text=True, check=False,
                          timeout=60, stdin=subprocess.DEVNULL)
    assert [word.split(":")[0] for word in done.stdout.split()] [:1] == ["checkpatch-hook"], done
    assert "--markdown" in done.stdout
