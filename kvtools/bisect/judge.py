# SPDX-License-Identifier: GPL-2.0-or-later
"""From the outcome of a step to the answer of a trial. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

from kvtools.bisect.observation import Observation
from kvtools.bisection import Answer
from kvtools.bisection.spec import Check, Kind
from kvtools.model import Json, Outcome, Status

GOOD = (Status.PASS, Status.WARN)
COMMAND = "command"
"""The subtest of a ``cmd:`` check."""


def of_build(check: Check, commit: str, built: Outcome, system_map: str) -> Observation | None:
    """The answer when the build gives it; None when a guest has to be asked."""
    if built.status is Status.ERROR:
        return _observation(commit, built, Answer.ERROR)
    failed = built.status not in GOOD
    if check.kind is Kind.BUILD:
        marks = built.fingerprints if failed else ()
        return _observation(commit, built, Answer.FAIL if failed else Answer.PASS, marks=marks)
    if failed:
        return _observation(commit, built, Answer.SKIP, f"does not build: {built.summary}")
    if check.kind is Kind.WARNING:
        found = _warning(built, check.text)
        return _observation(commit, built, Answer.FAIL if found else Answer.PASS,
                            found or f"no warning with {check.text!r}", lines=(found,))
    if check.kind is Kind.SIZE:
        size = size_of(system_map, check.name)
        if size is None:
            return _observation(commit, built, Answer.PASS, f"there is no {check.name}")
        return _observation(commit, built, Answer.FAIL if size > check.limit else Answer.PASS,
                            f"{check.name} has {size} bytes, the limit is {check.limit:g}")
    return None


def _warning(built: Outcome, text: str) -> str:
    for warning in built.details.get("warnings", ()):
        if text in warning["text"] or any(text in row for row in warning["lines"]):
            return str(warning["lines"][0] if warning["lines"] else warning["text"])
    return ""


def size_of(system_map: str, symbol: str) -> int | None:
    """Bytes from a symbol to the next address in System.map, alignment included; its clones
    (``.constprop.0``, ``.cold``) are added. None when there is no such symbol."""
    rows = [row.split() for row in system_map.splitlines()]
    places = sorted((int(row[0], 16), row[2]) for row in rows if len(row) == 3)
    addresses = sorted({address for address, _ in places})
    after = dict(itertools.pairwise(addresses))
    named = re.compile(re.escape(symbol) + r"(?:\.(?:constprop|isra|part|cold)(?:\.\d+)*)*")
    sizes = [after[address] - address for address, name in places
             if named.fullmatch(name) and address in after]
    return sum(sizes) if sizes else None


def of_check(commit: str, outcome: Outcome) -> Observation:
    """The answer of a check of that commit's patch alone."""
    if outcome.status is Status.ERROR:
        return _observation(commit, outcome, Answer.ERROR)
    failed = outcome.status is Status.FAIL
    return _observation(commit, outcome, Answer.FAIL if failed else Answer.PASS,
                        marks=outcome.fingerprints if failed else ())


def of_guest(check: Check, commit: str, outcome: Outcome) -> Observation:
    """The answer of a guest."""
    if outcome.status is Status.ERROR:
        return _observation(commit, outcome, Answer.ERROR)
    if check.kind is Kind.SPLAT:
        return _splat(check, commit, outcome)
    if outcome.status is Status.SKIP:
        return _observation(commit, outcome, Answer.SKIP)
    if check.kind is Kind.TIME:
        return _time(check, commit, outcome)
    if check.part:
        return _subtest(check, commit, outcome)
    if check.kind is Kind.CMD:
        return _command(commit, outcome)
    failed = outcome.status is Status.FAIL
    return _observation(commit, outcome, Answer.FAIL if failed else Answer.PASS,
                        marks=outcome.fingerprints if failed else ())


def _splat(check: Check, commit: str, outcome: Outcome) -> Observation:
    titles = [splat["title"] for splat in outcome.details.get("splats", ())]
    hits = [title for title in titles if check.text in title]
    if hits:
        return _observation(commit, outcome, Answer.FAIL, hits[0])
    if any(mark.startswith("guest:") for mark in outcome.fingerprints):
        # It stopped before it could show the splat, or not: no answer.
        return _observation(commit, outcome, Answer.OTHER, marks=outcome.fingerprints)
    return _observation(commit, outcome, Answer.PASS, f"no splat {check.text!r}")


def _subtest(check: Check, commit: str, outcome: Outcome) -> Observation:
    found = next((s for s in outcome.details.get("subtests", ()) if s["name"] == check.part), None)
    if found is None or found["status"] == Status.SKIP:
        if outcome.status is Status.FAIL:  # it never got there
            return _observation(commit, outcome, Answer.OTHER, marks=outcome.fingerprints)
        why = found["message"] if found else f"{check.name} has no subtest {check.part}"
        return _observation(commit, outcome, Answer.SKIP, why)
    failed = found["status"] == Status.FAIL
    return _observation(commit, outcome, Answer.FAIL if failed else Answer.PASS, found["message"])


def _command(commit: str, outcome: Outcome) -> Observation:
    """A crash counts as a failure even when the command was content."""
    failed = outcome.status is Status.FAIL
    return _observation(commit, outcome, Answer.FAIL if failed else Answer.PASS,
                        marks=outcome.fingerprints if failed else ())


def _time(check: Check, commit: str, outcome: Outcome) -> Observation:
    if outcome.status is Status.FAIL:
        return _observation(commit, outcome, Answer.OTHER, marks=outcome.fingerprints)
    value = _measured(check, outcome)
    if value is None:
        return _observation(commit, outcome, Answer.SKIP, f"no figure {check.part}")
    return _observation(commit, outcome, Answer.PASS, f"{value:g}", value=value)


def _measured(check: Check, outcome: Outcome) -> float | None:
    boot = float(outcome.details.get("boot_seconds", 0.0))
    if check.part:
        name, _, figure = check.part.rpartition(".")
        for subtest in outcome.details.get("subtests", ()):
            if subtest["name"] == name:
                return _number(subtest["figures"], figure)
        return None
    return boot if check.name == "boot" else max(outcome.seconds - boot, 0.0)


def _number(figures: Mapping[str, Json], name: str) -> float | None:
    value = figures.get(name)
    return float(value) if isinstance(value, (int, float)) else None


def _observation(commit: str, outcome: Outcome, answer: Answer, summary: str = "", *,
                 marks: tuple[str, ...] = (), lines: tuple[str, ...] = (),
                 value: float | None = None) -> Observation:
    place = outcome.directory
    return Observation(
        commit=commit,
        answer=answer,
        summary=summary or outcome.summary,
        marks=marks,
        evidence=tuple(row for row in lines if row) or outcome.evidence,
        reproduce=outcome.reproduce,
        log=str(place / outcome.log) if place and outcome.log else "",
        seconds=outcome.seconds,
        source=str(place) if place else "",
        reused=outcome.reused,
        value=value,
    )
