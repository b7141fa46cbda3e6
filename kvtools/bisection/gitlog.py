# SPDX-License-Identifier: GPL-2.0-or-later
"""The log of ``git bisect``: read and written so that either program goes on with the other's.

What git does not know, single trials of a flaky check, is in comment lines that git ignores.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kvtools.bisection.posterior import Answer
from kvtools.errors import UserError

TRIAL = re.compile(r"# kvtools trial: \[([0-9a-f]+)\] (FAIL|PASS|SKIP)(?: (.*))?$")


@dataclass(frozen=True, slots=True)
class BisectLog:
    """``marks`` are (commit or revision, "old", "new" or "skip") in their order; ``trials``
    what kvtools saw. Terms are those the log uses for old and new."""

    marks: tuple[tuple[str, str], ...]
    trials: tuple[tuple[str, Answer, str], ...] = ()
    term_old: str = "good"
    term_new: str = "bad"
    first_parent: bool = False
    paths: tuple[str, ...] = ()

    def of(self, mark: str) -> tuple[str, ...]:
        """The commits that have this mark."""
        return tuple(commit for commit, given in self.marks if given == mark)


@dataclass
class _Reader:
    old: str = "good"
    new: str = "bad"
    first_parent: bool = False
    paths: tuple[str, ...] = ()
    marks: list[tuple[str, str]] = field(default_factory=list)
    trials: list[tuple[str, Answer, str]] = field(default_factory=list)

    def line(self, number: int, text: str) -> None:
        if match := TRIAL.match(text):
            self.trials.append((match[1], Answer(match[2]), match[3] or ""))
            return
        if text.startswith("#") or not text.strip():
            return
        words = shlex.split(text)
        if words[:1] == ["git-bisect"]:
            words[:1] = ["git", "bisect"]
        if words[:2] != ["git", "bisect"] or len(words) < 3:
            raise UserError(f"line {number} is not of a git bisect log: {text[:60]!r}",
                            fix="give --replay what git bisect log prints")
        self._command(number, words[2], words[3:])

    def _command(self, number: int, verb: str, words: list[str]) -> None:
        if verb == "start":
            self._start(words)
        elif verb in (self.old, "good", "old"):
            self.marks += [(word, "old") for word in words]
        elif verb in (self.new, "bad", "new"):
            self.marks += [(word, "new") for word in words]
        elif verb == "skip":
            self.marks += [(word, "skip") for word in words]
        elif verb != "terms":
            raise UserError(f"line {number}: git bisect {verb} is not known here")

    def _start(self, words: list[str]) -> None:
        rest, given = list(words), []
        while rest:
            word = rest.pop(0)
            if word == "--":
                self.paths = tuple(rest)
                break
            name, equals, value = word.partition("=")
            if name in ("--term-old", "--term-good", "--term-new", "--term-bad"):
                value = value if equals else rest.pop(0)
                if name in ("--term-old", "--term-good"):
                    self.old = value
                else:
                    self.new = value
            elif word == "--first-parent":
                self.first_parent = True
            elif word != "--no-checkout":
                given.append(word)
        self.marks += [(one, "old" if place else "new") for place, one in enumerate(given)]


def read(text: str) -> BisectLog:
    """Raises UserError for a line that ``git bisect replay`` would not take either."""
    reader = _Reader()
    for number, line in enumerate(text.splitlines(), 1):
        reader.line(number, line)
    return BisectLog(tuple(dict.fromkeys(reader.marks)), tuple(reader.trials), reader.old,
                     reader.new, reader.first_parent, reader.paths)


def write(log: BisectLog, subjects: dict[str, str], first: Sequence[str] = ()) -> str:
    """The text of ``git bisect log``; ``first`` are the commits that may be the first new one."""
    terms = []
    if (log.term_old, log.term_new) != ("good", "bad"):
        terms = [f"--term-old={log.term_old}", f"--term-new={log.term_new}"]
    words = ["git", "bisect", "start", *terms, *(["--first-parent"] if log.first_parent else [])]
    words += ["--", *log.paths] if log.paths else []
    lines = [shlex.join(words)]
    verbs = {"old": log.term_old, "new": log.term_new, "skip": "skip"}
    for commit, mark in log.marks:
        lines += [f"# {verbs[mark]}: [{commit}] {subjects.get(commit, '')}".rstrip(),
                  f"git bisect {verbs[mark]} {commit}"]
    lines += [f"# kvtools trial: [{commit}] {answer} {_one_line(said)}".rstrip()
              for commit, answer, said in log.trials]
    if len(first) == 1:
        lines.append(f"# first {log.term_new} commit: [{first[0]}] {subjects.get(first[0], '')}")
    else:
        lines += [f"# possible first {log.term_new} commit: [{one}] {subjects.get(one, '')}"
                  for one in first]
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:100]


def decided(trials: Iterable[tuple[str, Answer]], first: str, is_new: dict[str, bool],
            *, reverse: bool) -> list[tuple[str, str]]:
    """The marks that the answer gives to the commits that were tried, each once.

    A commit that passed by chance on the new side was not shown to be new: it has no mark.
    """
    marks: dict[str, str] = {}
    for commit, answer in trials:
        new = is_new.get(commit)
        if answer is Answer.SKIP:
            marks.setdefault(commit, "skip")
        elif new is not None and (answer is Answer.FAIL) is (new is not reverse):
            marks[commit] = "new" if new else "old"
    return list(marks.items())
