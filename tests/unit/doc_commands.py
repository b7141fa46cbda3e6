# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that the documents show: taken from their fenced blocks, tried without working."""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import re
import shlex
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kvtools import bases, checks, configs, plan, scenarios
from kvtools.bisection import spec
from kvtools.cli.arguments import FORMATS, parser
from kvtools.errors import KvtoolsError

ROOT = Path(__file__).resolve().parents[2]
KV = frozenset({"./kv", "kv", "kvtools", "kvtools/kv"})
SHELL = frozenset({"sh", "bash", "console", "shell"})

THEIRS = frozenset({
    "mine/", "~/mine", "~/linux", "~/out", "out/", "v2/", "v3.mbx", "thread.mbox", "run.json",
    "good.config", "bad.config", "~/report.html", "least.config", "report.html", "replies/",
    "again/", "out/mails",
})
"""What stands for a file of the reader, or was made by a command before."""

OTHERS = frozenset({"git", "printf", "eval", "chmod", "cd", "ln", "jq", "apt-get",
                    ".venv/bin/pip"})
"""Programs that are not ours: their arguments are not looked at here. test_docs.py runs some of
them (format-patch, git config, the hook, a link); nothing is cloned or installed."""

PATCHES = 25  # as many as patches/virtio-mem has: 3..5 and 25 exist


@dataclass(frozen=True, slots=True)
class Command:
    """``line`` is where its block line stands in the document."""

    document: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.text}"


class Wrong(Exception):
    """A document shows a command that does not work, in one line."""


def commands(text: str, document: str) -> Iterator[Command]:
    """The commands of blocks marked as shell, and the lines behind ``$`` of unmarked ones."""
    block: list[tuple[int, str]] = []
    language: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.match(r"```(\S*)", line)
        if fence and language is None:
            language, block = fence[1], []
        elif fence:
            if language in SHELL or (not language and block and block[0][1].startswith("$ ")):
                yield from _logical(block, document)
            language = None
        elif language is not None:
            block.append((number, line))


def _logical(block: list[tuple[int, str]], document: str) -> Iterator[Command]:
    """Lines that end in a backslash go on; with prompts, what has none is output."""
    prompts = any(line.startswith("$ ") for _, line in block)
    rest = ""
    for number, line in block:
        if prompts and not rest and not line.startswith("$ "):
            continue
        rest += line.removeprefix("$ ") if not rest else " " + line.strip()
        if rest.endswith("\\"):
            rest = rest[:-1].rstrip()
            continue
        if rest.strip() and not rest.lstrip().startswith("#"):
            yield Command(document, number, rest)
        rest = ""


def simple(text: str) -> Iterator[list[str]]:
    """The simple commands of a shell line, those in ``$(...)`` too; redirections are left out."""
    for inner in re.findall(r"\$\(([^()]+)\)", text):
        yield from simple(inner)
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    target = False
    for word in lexer:
        if word.startswith("#"):
            break
        if set(word) <= set("<>"):
            target = True
        elif set(word) <= set("|&;"):
            if words:
                yield words
            words = []
        elif target:
            target = False
        elif words or not re.fullmatch(r"[A-Z_]+=.*", word):
            words.append(word)
    if words:
        yield words


def check(command: Command, pytest_parser: Callable[[list[str]], None]) -> None:
    """Raises :class:`Wrong` unless every part of it could start."""
    for words in simple(command.text):
        try:
            _program(words, pytest_parser)
        except (Wrong, KvtoolsError) as error:
            raise Wrong(f"{command}\n{error}") from error


def _program(words: list[str], pytest_parser: Callable[[list[str]], None]) -> None:
    program, *rest = words
    if program == ".ci/run":
        _exists(program)
    elif program in KV and rest[:1] == ["pytest"]:
        pytest_parser(rest[1:])
    elif program in KV:
        _kvtools(rest)
    elif rest[:1] == ["-m"] and program == ".venv/bin/python":
        _exists(f"{rest[1].replace('.', '/')}.py")
    elif program not in OTHERS:
        raise Wrong(f"nothing tries a command like {program!r} yet: doc_commands.py")


@functools.cache
def _parser() -> argparse.ArgumentParser:
    return parser()


def _kvtools(words: list[str]) -> None:
    """With the real parser, then what a command looks up before it works."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            asked = _parser().parse_args(words)
    except SystemExit as ended:
        if ended.code:
            raise Wrong(said.getvalue().strip().splitlines()[-1]) from None
        return  # --help
    _names(asked)
    if check_text := getattr(asked, "check", None):
        _bisect(check_text)
    for path in _read(asked):
        _exists(path)


def _names(asked: Namespace) -> None:
    """Configs, bases, cells and patches that a run would refuse."""
    named = getattr(asked, "config", None) or []
    named = [named] if isinstance(named, str) else named
    uses = [configs.load(name, ROOT).name for name in named] or ["guest"]
    if isinstance(getattr(asked, "only", None), list):
        every = tuple(plan.CheckUse(c.name, str(c.scope)) for c in checks.available())
        plan.make(PATCHES, [plan.ConfigUse(name) for name in uses],
                  [name for name in scenarios.names() if name != "boot"], checks=every,
                  patches=asked.patches, only=asked.only)
    base = getattr(asked, "base", None) or (asked.name if hasattr(asked, "name") else None)
    known = {"oracle", *(one.name for one in bases.names())}
    if base and not getattr(asked, "tree", None) and base not in known:
        raise Wrong(f"no base is called {base}; there are {', '.join(sorted(known))}")


def _bisect(text: str) -> None:
    what = spec.parse(text, scenarios.names())
    if what.kind is spec.Kind.CHECK and what.name not in {one.name for one in checks.available()}:
        raise Wrong(f"no check is called {what.name}")


def _read(asked: Namespace) -> Iterator[str]:
    """Words that have to name a file; a range, a message-id or a run do not."""
    writes = {"output", "log", "limit", *FORMATS}
    for key, value in vars(asked).items():
        for word in value if isinstance(value, list) else [value]:
            if key in writes or key in ("check", "only", "config", "base") or word is None:
                continue
            if (isinstance(word, str) and ".." not in word and "@" not in word
                    and re.search(r"/|\.(mbx|mbox|json|config|patch|toml)$", word)):
                yield word


def _exists(path: str) -> None:
    if path not in THEIRS and not (ROOT / path).exists():
        raise Wrong(f"{path} is not in the repository, and no file of the reader's")
