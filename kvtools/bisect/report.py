# SPDX-License-Identifier: GPL-2.0-or-later
"""A finished bisection as data, JSON and a ``git bisect log``."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from kvtools.bisect.observation import Observation, encode
from kvtools.bisect.search import Ending, Result
from kvtools.bisect.settings import Settings
from kvtools.bisection import Answer, History, gitlog
from kvtools.model import Json

SCHEMA = 1
DIFF_LINES = 60
_CHANGING = re.compile(r"^\[\s*\d+\.\d+\]\s*|0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\b\d+\b")


@dataclass(frozen=True, slots=True)
class Terms:
    old: str = "good"
    new: str = "bad"


@dataclass(frozen=True, slots=True)
class Reverted:
    """The first new commit taken back on the tip. ``commit`` None: it does not apply."""

    commit: str | None
    trials: tuple[Observation, ...] = ()
    why: str = ""

    @property
    def confirms(self) -> bool:
        return bool(self.trials) and all(t.answer is Answer.PASS for t in self.trials)


@dataclass(frozen=True, slots=True)
class Bisection:
    """Everything that is told. ``base`` names the tree, ``command`` the line as typed."""

    id: str
    check: str
    base: str
    history: History
    settings: Settings
    result: Result
    seconds: float
    command: tuple[str, ...]
    terms: Terms = Terms()
    reverted: Reverted | None = None
    first_parent: bool = False
    paths: tuple[str, ...] = ()

    def subject(self, commit: str) -> str:
        """With the number of the patch in a series."""
        try:
            found = self.history[self.history.index(commit)]
        except KeyError:
            return "the old end" if commit in self.history.old else ""
        return f"{found.number}: {found.subject}" if found.number else found.subject

    @property
    def bad_trial(self) -> Observation | None:
        """The failure to show: of the first new commit if it failed, else any."""
        firsts = {c.id for c in self.result.first}
        fails = [o for o in self.result.counted if o.answer is Answer.FAIL]
        return next((o for o in fails if o.commit in firsts), fails[-1] if fails else None)

    @property
    def good_trial(self) -> Observation | None:
        """The pass next to it: of a parent of the first new commit if there is one."""
        parents = {p for c in self.result.first for p in c.parents}
        passes = [o for o in self.result.counted if o.answer is Answer.PASS]
        near = [o for o in passes if o.commit in parents]
        return (near or passes or [None])[-1]  # type: ignore[list-item]

    def table(self) -> list[tuple[str, Counter[Answer]]]:
        """The commits that were tried, oldest first, with what their trials said."""
        counts: dict[str, Counter[Answer]] = {}
        for one in self.result.trials:
            counts.setdefault(one.commit, Counter())[one.answer] += 1

        def place(commit: str) -> int:
            if commit in self.history.old:
                return -1
            try:
                return self.history.index(commit)
            except KeyError:
                return len(self.history)

        return sorted(counts.items(), key=lambda item: place(item[0]))

    def log_difference(self) -> list[str]:
        """A unified diff of the logs, good against bad, times and addresses left out."""
        good, bad = self.good_trial, self.bad_trial
        if not good or not bad or not good.log or not bad.log:
            return []
        before, after = _steady(Path(good.log)), _steady(Path(bad.log))
        rows = difflib.unified_diff(before, after, "good", "bad", lineterm="", n=1)
        return list(rows)[:DIFF_LINES]


def _steady(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return []
    return [_CHANGING.sub("", row).rstrip() for row in text.splitlines()]


def exit_code(result: Result) -> int:
    """0 when the first new commit was found (or a range), 3 when there is no verdict, 1 when
    the ends are not what they were said to be."""
    if result.ending in (Ending.FOUND, Ending.RANGE):
        return 0
    return 3 if result.ending is Ending.UNDECIDED else 1


def to_json(found: Bisection) -> dict[str, Json]:
    """Plain data; its form is described in docs/bisect.md."""
    result = found.result
    probabilities = {c.id: round(result.probability, 6) for c in result.first}
    return {
        "schema": SCHEMA,
        "kind": "bisection",
        "id": found.id,
        "check": found.check,
        "base": found.base,
        "old": list(found.history.old),
        "new": found.history.new,
        "terms": {"old": found.terms.old, "new": found.terms.new},
        "candidates": len(found.history),
        "confidence_wanted": found.settings.confidence,
        "ending": str(result.ending),
        "why": result.why,
        "first": [{"commit": c.id, "subject": c.subject, "number": c.number}
                  for c in result.first],
        "confidence": max(probabilities.values(), default=0.0),
        "failure_rate": round(result.rate, 4),
        "signature": list(result.signature),
        "trials": [encode(one) for one in result.trials],
        "counted": len(result.counted),
        "skipped": dict(result.skipped),
        "findings": [encode(one) for one in result.findings],
        "same_kernel": [list(pair) for pair in result.same],
        "reverted": None if found.reverted is None else {
            "commit": found.reverted.commit, "confirms": found.reverted.confirms,
            "why": found.reverted.why, "trials": [encode(t) for t in found.reverted.trials]},
        "seconds": round(found.seconds, 1),
        "command": list(found.command),
    }


def to_git_log(found: Bisection) -> str:
    """What ``git bisect replay`` reads: the ends, then every commit that was decided."""
    history, result = found.history, found.result
    first = [c.id for c in result.first]
    marks = [(history.new, "new"), *((one, "old") for one in history.old)]
    if len(first) == 1:
        bit = 1 << history.index(first[0])
        tried = [(o.commit, o.answer) for o in result.trials if o.commit in history]
        is_new = {commit: bool(history.ancestors(commit) & bit) for commit, _ in tried}
        marks += gitlog.decided(tried, first[0], is_new, reverse=found.settings.reverse)
    marks += [(commit, "skip") for commit in result.skipped if commit in history]
    trials = tuple((o.commit, o.answer, o.summary) for o in result.trials
                   if o.answer in (Answer.FAIL, Answer.PASS, Answer.SKIP))
    log = gitlog.BisectLog(tuple(dict.fromkeys(marks)), trials, found.terms.old, found.terms.new,
                           found.first_parent, found.paths)
    return gitlog.write(log, {c.id: c.subject for c in history.commits}, first)
