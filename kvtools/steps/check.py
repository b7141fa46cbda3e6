# SPDX-License-Identifier: GPL-2.0-or-later
"""Run one check on one patch, and tell what is new from what its parent had."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence

from kvtools import process
from kvtools.checks.declaration import Scope
from kvtools.checks.enclosing import SUFFIXES, function_of
from kvtools.checks.findings import (
    Judged,
    ProtocolError,
    Said,
    Side,
    State,
    compare,
    identity,
    judge,
    parse,
)
from kvtools.checks.program import SKIP, Finding
from kvtools.checks.request import AFTER, BEFORE, CheckRequest
from kvtools.errors import ToolTimeout
from kvtools.events import Tick, no_tick
from kvtools.model import Json, Level, Outcome, Override, Owner, Status, Step

LOG = "check.log"
REQUEST = "request.json"
EVIDENCE_LINES = 60
MANY = 200
"""Findings kept in an outcome; a check that says more says nothing."""


def before(request: CheckRequest) -> Side:
    """What the check says of the parent, which ``request.worktree`` is at."""
    lacking = missing(request)
    if lacking:
        return Side(skip=lacking)
    if not request.concerned or (request.check.files and not request.files(BEFORE)):
        return Side()
    return _ask(request, BEFORE)


def run(request: CheckRequest, tick: Tick = no_tick) -> Outcome:
    """FAIL or WARN for new findings, PASS without, SKIP when it cannot run, else ERROR."""
    begun = time.monotonic()
    lacking = missing(request)
    if lacking:
        return _outcome(request, begun, Status.SKIP, lacking)
    if not request.concerned:
        return _outcome(request, begun, Status.PASS,
                        f"touches no {', '.join(request.check.files)}", asked=False)
    first = request.before or Side()
    side = first if first.skip or first.error else _ask(request, AFTER)
    if side.error:
        return _outcome(request, begun, Status.ERROR, side.error, owner=Owner.MACHINE)
    if side.skip:
        return _outcome(request, begun, Status.SKIP, side.skip)
    renames = {t.old: t.path for t in request.touched if t.old and t.path}
    states, fixed = compare(first.findings, side.findings, renames)
    return _judged(request, begun, side, judge(request.check, states, request.overrides), fixed)


def missing(request: CheckRequest) -> str:
    """Why the check cannot run here: a program, or a file of the kernel tree, is not there."""
    check = request.check
    for at, program in enumerate(check.programs):
        if process.which(program) is None:
            package = check.packages[at] if at < len(check.packages) else program
            return f"{program} is not installed (apt-get install {package})"
    for path in check.tree:
        if request.worktree is not None and not (request.worktree / path).exists():
            return f"this kernel has no {path}"
    return ""


def _ask(request: CheckRequest, side: str) -> Side:
    """Run the program; whatever goes wrong with it is an ``error`` of the side."""
    check = request.check
    message = json.dumps(request.message(side), indent=1).encode()
    (request.out / f"{side}.{REQUEST}").write_bytes(message)
    with tempfile.TemporaryDirectory(prefix="kvtools-check-") as scratch:
        try:
            done = process.run(argv(request), deadline=check.deadline, cwd=scratch, stdin=message,
                               check=False, work=True)
        except ToolTimeout:
            return Side(error=f"{check.name} ran past its {check.deadline:.0f} s")
    with (request.out / LOG).open("ab") as log:
        log.write(f"$ {check.name} ({side}), status {done.returncode}\n".encode())
        log.write(done.stdout + done.stderr)
    try:
        said = parse(done.text)
    except ProtocolError as error:
        return Side(error=f"{check.name}: {error}")
    return _side(request, side, said, done)


def argv(request: CheckRequest) -> tuple[str, ...]:
    """The program's command line: Python programs run with our interpreter."""
    program = str(request.check.program)
    return (sys.executable, "-P", program) if program.endswith(".py") else (program,)


def _side(request: CheckRequest, side: str, said: Said, done: process.Completed) -> Side:
    errors = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if done.returncode == SKIP or said.skips:
        reason = said.skips[0] if said.skips else (errors or ["it says no reason"])[-1]
        if not said.findings:
            return Side(skip=reason)
        # It came so far: what it found before is not less true for that.
        return Side(tuple(_placed(request, said.findings)), (*said.notes, reason),
                    tuple(said.figures))
    if done.returncode not in (0, 1):
        how = errors[-1] if errors else "it says nothing"
        return Side(error=f"{request.check.name} ended with status {done.returncode}: {how}")
    findings = said.findings
    if done.returncode == 1 and not findings:
        last = [line for line in (*said.log, *errors) if line.strip()]
        findings = [Finding("failed", last[-1] if last else "it says no reason",
                            lines=tuple(last[-8:]))]
    return Side(tuple(_placed(request, findings)), tuple(said.notes), tuple(said.figures))


def _placed(request: CheckRequest, findings: Iterable[Finding]) -> Iterable[Finding]:
    """Findings with the function they are in."""
    texts: dict[str, str] = {}
    for finding in findings:
        if (finding.function or not finding.line or request.worktree is None
                or not finding.file.endswith(SUFFIXES)):
            yield finding
            continue
        if finding.file not in texts:
            path = request.worktree / finding.file
            texts[finding.file] = path.read_text("utf-8", "replace") if path.is_file() else ""
        function = function_of(texts[finding.file], finding.line)
        yield dataclasses.replace(finding, function=function)


def _judged(request: CheckRequest, begun: float, side: Side, found: Sequence[Judged],
            fixed: Sequence[Finding]) -> Outcome:
    new = [one for one in found if one.state is State.NEW]
    failing = [one for one in new if one.level is Level.FAIL]
    warning = [one for one in new if one.level is Level.WARN]
    counted = [*failing, *warning]
    status = Status.FAIL if failing else Status.WARN if warning else Status.PASS
    # A series check answers for every patch: what the last one touches says nothing.
    of_one = request.check.scope is not Scope.SERIES
    paths = {path for t in request.touched if of_one for path in (t.path, t.old) if path}
    details: dict[str, Json] = {
        "findings": [_as_json(one, paths) for one in found[:MANY]],
        "fixed": [_short(one) for one in fixed[:MANY]],
        "notes": list(side.notes),
        "figures": {str(f["name"]): {"value": f["value"], "unit": f["unit"]} for f in side.figures},
        "overrides": _overrides(found),
    }
    return _outcome(
        request, begun, status, _summary(counted, found, fixed, side.notes, paths),
        owner=Owner.PATCH if counted else None,
        evidence=tuple(line for one in counted for line in _evidence(one)),
        fingerprints=tuple(dict.fromkeys(
            ": ".join(part for part in identity(one.finding) if part) for one in counted)),
        details=details)


def _summary(counted: Sequence[Judged], found: Sequence[Judged], fixed: Sequence[Finding],
             notes: Sequence[str], touched: set[str]) -> str:
    also = []
    for state in (State.MOVED, State.OLD):
        number = sum(one.state is state for one in found)
        also += [f"{number} {state}"] if number else []
    also += [f"{len(fixed)} fixed"] if fixed else []
    ignored = sum(one.state is State.NEW and one.level is Level.IGNORE for one in found)
    also += [f"{ignored} ignored"] if ignored else []
    tail = f" ({', '.join(also)})" if also else ""
    if not counted:
        return (notes[0] if notes and not found else "nothing new" if found else "clean") + tail
    first = counted[0].finding
    more = f" and {len(counted) - 1} more" if len(counted) > 1 else ""
    where = f"{_place(first)}: " if first.file else ""
    far = ""
    if first.file and touched and first.file not in touched:
        far = " [in a file that the patch does not touch: what it changes reaches there]"
    return f"{first.rule}: {where}{first.message or first.text}{far}{more}{tail}"


def _place(finding: Finding) -> str:
    return finding.file + (f":{finding.line}" if finding.line else "")


def _short(finding: Finding) -> str:
    where = f"{_place(finding)}: " if finding.file else ""
    return f"{where}{finding.rule}: {finding.message or finding.text}"


def _evidence(one: Judged) -> list[str]:
    finding = one.finding
    patch = f"patch {finding.patch}: " if finding.patch else ""
    function = f" [{finding.function}()]" if finding.function else ""
    return [f"{one.level}: {patch}{_short(finding)}{function}",
            *(f"  {line}" for line in finding.lines)]


def _as_json(one: Judged, touched: set[str]) -> dict[str, Json]:
    data = {key: value for key, value in dataclasses.asdict(one.finding).items()
            if value not in ("", 0, ())}
    data.pop("severity", None)
    data["lines"] = list(one.finding.lines)
    data |= {"level": str(one.level), "state": str(one.state)}
    if one.finding.file and touched:
        data["touched_file"] = one.finding.file in touched
    return data


def _overrides(found: Iterable[Judged]) -> list[dict[str, Json]]:
    used: dict[Override, int] = {}
    for one in found:
        if one.override and one.state is State.NEW:
            used[one.override] = used.get(one.override, 0) + 1
    return [{"rule": o.rule, "level": str(o.level), "reason": o.reason, "findings": number}
            for o, number in used.items()]


def _outcome(request: CheckRequest, begun: float, status: Status, summary: str, *,
             owner: Owner | None = None, evidence: tuple[str, ...] = (),
             fingerprints: tuple[str, ...] = (), details: dict[str, Json] | None = None,
             asked: bool = True) -> Outcome:
    check = request.check
    log = LOG if (request.out / LOG).is_file() else None
    facts: dict[str, Json] = {"scope": str(check.scope), "description": check.description}
    facts |= {} if asked else {"asked": False}
    return Outcome(
        step=Step.CHECK, name=check.name, status=status, seconds=time.monotonic() - begun,
        summary=re.sub(r"\s+", " ", summary), owner=owner, log=log,
        evidence=evidence[:EVIDENCE_LINES], fingerprints=fingerprints,
        reproduce=_reproduce(request) if log else (), details=facts | (details or {}))


def _reproduce(request: CheckRequest) -> tuple[str, ...]:
    """Ask the program again by hand."""
    lines = [f"# {AFTER}.{REQUEST} is in the directory of this outcome"]
    given = shlex.join(argv(request))
    if request.worktree is None:
        return (*lines, f"{given} < {AFTER}.{REQUEST}")
    return (*lines, f"git clone --shared --no-checkout {shlex.quote(str(request.repo))} linux",
            f"git -C linux checkout --detach {request.commit}",
            f'sed "s|{request.worktree}|$PWD/linux|" {AFTER}.{REQUEST} | {given}')

