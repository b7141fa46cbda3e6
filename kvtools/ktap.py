# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads KTAP version 1 and TAP version 13 with nesting; pure.

Follows the kernel's Documentation/dev-tools/ktap.rst. Two ways of nesting are read:
indentation (KUnit) and the ``# `` prefix that kselftest's runner puts before what a
test program prints. Whatever is not KTAP (printk in between) is kept as a diagnostic.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from kvtools.model import Status

DIAGNOSTICS_KEPT = 100  # a console log may come between two results

_PRINTK = re.compile(r"(?:<\d+>)?\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? ")
_PRINTK_TAIL = re.compile(r"\[ *\d+\.\d{6}\].*$")
_PREFIX = re.compile(r"(?: |# )*")
_VERSION = re.compile(r"K?TAP version \d+$")
_PLAN = re.compile(r"(\d+)\.\.(\d+)\s*(?:#\s*(?P<skip>SKIP\w*)?\s*(?P<reason>.*))?$", re.I)
_RESULT = re.compile(r"(?P<bad>not )?ok(?:\s+(?P<number>\d+)(?=\s|$))?(?P<rest>\s.*)?$")
_DIRECTIVE = re.compile(r"(?:^|\s)#\s*(?P<word>\w*)(?P<reason>.*)$")
_BAIL = re.compile(r"Bail out!\s*(.*)$")


class Result(StrEnum):
    """What a result line says of itself. XFAIL: failed, and was expected to."""

    PASS = "PASS"
    FAIL = "FAIL"
    SKIP = "SKIP"
    XFAIL = "XFAIL"


@dataclass(frozen=True, slots=True)
class Test:
    """One result line with everything below it; the root has number 0 and no name.

    ``directive`` is the word behind ``#`` (SKIP, TODO, XFAIL, TIMEOUT, ...) and
    ``reason`` the rest of it. ``plan`` is how many subtests were announced, None
    without a plan. ``problems`` say what is wrong with the output itself.
    """

    name: str
    number: int
    result: Result
    directive: str = ""
    reason: str = ""
    diagnostics: tuple[str, ...] = ()
    subtests: tuple[Test, ...] = ()
    plan: int | None = None
    problems: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """The verdict over this test and all below: PASS, FAIL or SKIP."""
        if self.problems or self.result is Result.FAIL:
            return Status.FAIL
        if self.result is Result.XFAIL:
            return Status.PASS
        below = [test.status for test in self.subtests]
        if Status.FAIL in below:
            return Status.FAIL
        if self.result is Result.SKIP or (below and set(below) == {Status.SKIP}):
            return Status.SKIP
        return Status.PASS

    def leaves(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Test]]:
        """Every test without subtests with the names that lead to it, in order."""
        here = (*path, self.name) if self.name else path
        if not self.subtests:
            yield here, self
        for test in self.subtests:
            yield from test.leaves(here)

    def all_problems(self, path: tuple[str, ...] = ()) -> Iterator[str]:
        """The problems of this test and of all below, each led by the name of its test."""
        here = (*path, self.name) if self.name else path
        for problem in self.problems:
            yield f"{': '.join(here)}: {problem}" if here else problem
        for test in self.subtests:
            yield from test.all_problems(here)


@dataclass(slots=True)
class _Level:
    """A plan and its results while they are being read."""

    column: int
    name: str = ""
    plan: int | None = None
    skip: str | None = None
    tests: list[Test] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=DIAGNOSTICS_KEPT))
    inner: _Level | None = None
    announced: bool = False

    @property
    def empty(self) -> bool:
        return not (self.tests or self.problems or self.inner) and self.plan is None


def parse(text: str) -> Test:
    """The tree of a KTAP document, or of several in a row.

    Output that stops early, lacks its plan, or holds no result at all is a problem of
    the test it belongs to, and a test with a problem is a FAIL. Never raises.
    """
    levels = [_Level(0)]
    documents: list[_Level] = []
    for raw in text.splitlines():
        line = _PRINTK.sub("", raw, count=1) if _PRINTK.match(raw) else raw
        found = _structured(line, levels)
        if found is None:
            _diagnostic(line, levels)
            continue
        column, content = found
        _descend(levels, column)
        if _VERSION.match(content):
            if levels[-1].announced or not levels[-1].empty:
                _restart(levels, documents)
            levels[-1].announced = True
        else:
            _take(levels[-1], content)
    _descend(levels, -1)
    documents.append(levels[0])
    return _root([d for d in documents if not d.empty or d is documents[-1]])


def kselftest_result(status: int) -> tuple[Result, str]:
    """What the exit status of a kselftest program means (kselftest.h, runner.sh)."""
    known = {0: (Result.PASS, ""), 2: (Result.XFAIL, "expected failure"),
             4: (Result.SKIP, "exit status 4"), 124: (Result.FAIL, "timeout")}
    return known.get(status, (Result.FAIL, f"exit status {status}"))


def _structured(line: str, levels: list[_Level]) -> tuple[int, str] | None:
    """(column, content) of a version, plan, result or bail-out line."""
    match = _PREFIX.match(line)
    prefix = match[0] if match else ""
    content = line[len(prefix):].rstrip()
    if _VERSION.match(content) or _PLAN.match(content) or _BAIL.match(content):
        return len(prefix), content
    result = _RESULT.match(content)
    if result is None:
        return None
    if result["number"] is None:
        # TAP 13 may leave the number out; "ok then" of a message is no result.
        rest = (result["rest"] or "").strip()
        known = any(lv.column == len(prefix) and (lv.announced or not lv.empty) for lv in levels)
        if not known or (rest and rest[0] not in "-#"):
            return None
    return len(prefix), content


def _diagnostic(line: str, levels: list[_Level]) -> None:
    text = line.strip()
    if text.startswith("# Subtest:"):
        column = len(line) - len(line.lstrip())
        if column == levels[-1].column and not levels[-1].tests:
            levels[-1].name = text.removeprefix("# Subtest:").strip()
    elif text := text.lstrip("# "):
        levels[-1].lines.append(text)


def _descend(levels: list[_Level], column: int) -> None:
    """Make the level of ``column`` the innermost open one."""
    while len(levels) > 1 and levels[-1].column > column:
        inner = levels.pop()
        _orphan(levels[-1])
        levels[-1].inner = inner
    if levels[-1].column < column:
        levels.append(_Level(column))
    if column < 0:
        _orphan(levels[0])


def _restart(levels: list[_Level], documents: list[_Level]) -> None:
    """A version line where results already stand: another document begins."""
    done = levels.pop()
    _orphan(done)
    if levels:
        _orphan(levels[-1])
        levels[-1].inner = done
    else:
        documents.append(done)
    levels.append(_Level(done.column))


def _orphan(level: _Level) -> None:
    """Subtests whose own result line never came."""
    inner, level.inner = level.inner, None
    if inner is not None:
        problems = ("its result line never came", *_problems(inner))
        level.tests.append(Test(
            inner.name or "?", 0, Result.FAIL, diagnostics=tuple(inner.lines),
            subtests=tuple(inner.tests), plan=inner.plan, problems=problems))


def _take(level: _Level, content: str) -> None:
    if plan := _PLAN.match(content):
        if level.plan is not None:
            level.problems.append(f"a second plan: {content}")
        elif plan[1] != "1":
            level.problems.append(f"a plan that does not begin with 1: {content}")
        level.plan = int(plan[2])
        if level.plan == 0:
            level.skip = (plan["reason"] or "").strip()
    elif bail := _BAIL.match(content):
        _orphan(level)
        level.problems.append(f"Bail out! {bail[1]}".rstrip())
    elif result := _RESULT.match(content):
        level.tests.append(_test(level, result))


def _test(level: _Level, match: re.Match[str]) -> Test:
    number = int(match["number"] or len(level.tests) + 1)
    rest = _PRINTK_TAIL.sub("", match["rest"] or "").strip()
    word = reason = ""
    if directive := _DIRECTIVE.search(rest):
        word, reason = directive["word"].upper(), directive["reason"].strip()
        rest = rest[: directive.start()]
        if word not in ("SKIP", "TODO", "XFAIL", "XPASS", "TIMEOUT", "ERROR"):
            word, reason = "", (directive["word"] + directive["reason"]).strip()
    name = rest.strip().removeprefix("- ").removeprefix("-").strip()
    inner, level.inner = level.inner or _Level(0), None
    lines = (*inner.lines, *level.lines)
    level.lines.clear()
    result = _result(bool(match["bad"]), word)
    if inner.skip is not None and result is Result.PASS:
        result, reason = Result.SKIP, reason or inner.skip
    return Test(name or inner.name or reason or f"test {number}", number, result, word, reason,
                lines, tuple(inner.tests), inner.plan, tuple(_problems(inner)))


def _result(bad: bool, directive: str) -> Result:
    if directive == "SKIP":
        return Result.SKIP
    if directive == "XFAIL" or (bad and directive == "TODO"):
        return Result.XFAIL
    return Result.FAIL if bad else Result.PASS


def _problems(level: _Level) -> Iterator[str]:
    yield from level.problems
    numbers = [test.number for test in level.tests if test.number]
    yield from (f"number {n} came {times} times" for n, times in Counter(numbers).items()
                if times > 1)
    if level.plan is not None:
        wrong = [n for n in numbers if n > level.plan]
        if len(set(numbers) - set(wrong)) != level.plan:
            yield f"plan says {level.plan}, {len(numbers)} came"
        elif wrong:
            yield f"number {wrong[0]} is outside the plan 1..{level.plan}"


def _root(documents: list[_Level]) -> Test:
    problems: list[str] = []
    for level in documents:
        problems += _problems(level)
        if level.empty:
            problems.append("no test results")
        elif level.plan is None and all(test.number for test in level.tests):
            problems.append("no plan: output that stops early could not be told")
    tests = tuple(test for level in documents for test in level.tests)
    skips = [level.skip for level in documents if level.skip is not None]
    planned = [level.plan for level in documents if level.plan is not None]
    skipped = bool(skips) and not tests
    return Test(
        "", 0, Result.SKIP if skipped else Result.PASS, "SKIP" if skipped else "",
        skips[0] if skipped else "", tuple(line for d in documents for line in d.lines),
        tests, sum(planned) if planned else None, tuple(problems))
