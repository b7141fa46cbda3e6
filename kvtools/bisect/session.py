# SPDX-License-Identifier: GPL-2.0-or-later
"""One bisection from what was asked to what is told, kept on the disk on the way."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kvtools import bases, git, runner
from kvtools.bisect import text, timing
from kvtools.bisect.journal import Journal
from kvtools.bisect.kernels import Kernels
from kvtools.bisect.observation import Observation, Tester
from kvtools.bisect.report import Bisection, Reverted, Terms, to_git_log, to_json
from kvtools.bisect.search import Ending, Log, Result, Search, Told
from kvtools.bisect.settings import Settings
from kvtools.bisection import Answer, Flakes, History
from kvtools.bisection.spec import Check, Kind
from kvtools.errors import MachineError
from kvtools.events import Emit, Notice
from kvtools.model import Json
from kvtools.request import RunRequest
from kvtools.store import Store, replace_file, write_json


@dataclass(frozen=True, slots=True)
class Asked:
    """``marks`` and ``trials`` are those of a log that is replayed; ``text`` is ``--check``.

    ``tester`` stands in for the kernels that would be built.
    """

    check: Check
    text: str
    history: History
    settings: Settings
    terms: Terms
    command: tuple[str, ...]
    fresh: bool = False
    revert: bool = True
    first_parent: bool = False
    paths: tuple[str, ...] = ()
    marks: tuple[tuple[str, str], ...] = ()
    tester: Tester | None = None
    trials: tuple[tuple[str, Answer, str], ...] = ()

    def identity(self, request: RunRequest) -> dict[str, Json]:
        """What makes it the same search when it is started again."""
        flakes = self.settings.flakes
        config = next(iter(request.configs.values()))
        return {
            "check": self.text, "old": list(self.history.old), "new": self.history.new,
            "candidates": len(self.history), "config": config.digest,
            "toolchain": request.toolchain.digest, "reverse": self.settings.reverse,
            "flakes": [flakes.spike, flakes.lowest, flakes.noise],
            "paths": list(self.paths), "first_parent": self.first_parent,
        }


def settings(flakes: Flakes, confidence: float, reverse: bool, prior: Mapping[str, float],
             skip: frozenset[str], most: int) -> Settings:
    return Settings(flakes=flakes, confidence=confidence, reverse=reverse, prior=prior,
                    skip=skip, most=most)


def run(asked: Asked, request: RunRequest, store: Store, emit: Emit,
        steps: runner.Steps | None = None) -> Bisection:
    """Search, verify by a revert, and keep the result under ``STATE/bisects/ID``.

    Started again with the same question it goes on with the trials of the last time. Raises
    MachineError when the machine gives no verdict, Interrupted on Ctrl-C; all trials are kept.
    """
    start = time.monotonic()
    identity = asked.identity(request)
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    directory = store.root / "bisects" / digest
    if asked.fresh:
        (directory / "journal.jsonl").unlink(missing_ok=True)
    journal = Journal(directory / "journal.jsonl", identity)
    if journal.trials:
        emit(Notice(f"going on with {len(journal.trials)} trials of {journal.path}"))
    _replay(asked, journal)
    kernels = Kernels(request, asked.check, asked.history, store, emit, steps)
    try:
        result, tester = _search(asked, kernels, journal, emit)
        reverted = None
        if asked.revert and result.ending is Ending.FOUND and not asked.settings.reverse:
            reverted = _revert(asked, kernels, tester, result, emit)
    finally:
        kernels.close()
    found = Bisection(digest, asked.text, f"{request.base.name} ({request.base.version})",
                      asked.history, asked.settings, result, time.monotonic() - start,
                      asked.command, asked.terms, reverted, asked.first_parent, asked.paths)
    with contextlib.suppress(OSError):  # what was found out is printed in any case
        write_json(directory / "result.json", to_json(found))
        replace_file(directory / "bisect.log", to_git_log(found))
        replace_file(directory / "report.txt", text.render(found))
    emit(Notice(f"kept in {directory}"))
    return found


def _replay(asked: Asked, journal: Journal) -> None:
    """What a log says is in the journal once, one trial for each mark."""
    known = {o.source for o in journal.trials}
    fails_when_new = not asked.settings.reverse
    for number, (commit, answer, said) in enumerate(asked.trials):
        if commit in asked.history and f"log:{number}" not in known:
            journal.add(Observation(commit, answer, said or "from the log", source=f"log:{number}"))
    told = {commit for commit, _, _ in asked.trials}
    ends = {asked.history.new, *asked.history.old}
    for commit, mark in asked.marks:
        if mark != "skip" and commit not in told | ends and f"mark:{commit}" not in known:
            fails = (mark == "new") is fails_when_new
            journal.add(Observation(commit, Answer.FAIL if fails else Answer.PASS,
                                    "git bisect said so", source=f"mark:{commit}"))


def _search(asked: Asked, kernels: Kernels, journal: Journal,
            emit: Emit) -> tuple[Result, Tester]:
    def tell(what: str) -> None:
        emit(Notice(what))

    tester: Tester = asked.tester or kernels
    log: Log = journal
    asked_settings = asked.settings
    if asked.check.kind is Kind.TIME:
        old, new = asked.history.old[0], asked.history.new
        if asked_settings.reverse:
            old, new = new, old
        try:
            figures = timing.measure(kernels, journal, old, new, tell)
            found = timing.calibrate(*figures, asked.check.limit)
        except Told as told:
            return _not_measured(told, journal), kernels
        tell(f"{found.ratio:.2f} times as much; the threshold is {found.threshold:g}")
        timed = timing.Timed(kernels, found.threshold)
        tester, log = timed, timing.TimedLog(journal, timed)
        asked_settings = settings(found.flakes, asked.settings.confidence, asked.settings.reverse,
                                  asked.settings.prior, asked.settings.skip, asked.settings.most)
    search = Search(asked.history, tester, asked_settings, log, tell)
    search.watch(lambda one: tell(_progress(asked, search, one)))
    return search.run(), tester


def _not_measured(told: Told, journal: Journal) -> Result:
    return Result(told.ending, (), 0.0, 0.0, tuple(journal.trials), (), (), (), {}, (), told.why)


def _progress(asked: Asked, search: Search, one: Observation) -> str:
    best = search.posterior.best()
    first = next(asked.history.of(best.mask))
    stored = " (stored)" if one.reused else ""
    return (f"{one.commit[:12]} {one.answer}{stored} {one.summary}"[:100]
            + f"; most probable {first.id[:12]} {best.probability:.1%}")


def _revert(asked: Asked, kernels: Kernels, tester: Tester, result: Result,
            emit: Emit) -> Reverted:
    """Take the first bad commit back on the tip and try as often as a flaky failure needs."""
    culprit, tip = result.first[0].id, asked.history.new
    try:
        made = git.revert(kernels.worktree, tip, culprit)
        if made is None:
            return Reverted(None, (), "it does not revert on the tip")
        emit(Notice(f"trying the tip with {culprit[:12]} reverted"))
        ready = tester.prepare(made)
        if ready.answer is not None:
            return Reverted(made, (ready.answer,))
        wanted = _passes(result.rate, asked.settings.confidence)
        trials: list[Observation] = []
        for _ in range(2 * wanted + 3):
            trials += [t for t in tester.run(made, 1) if t.answer is not Answer.ERROR]
            if len(trials) >= wanted or any(t.answer is not Answer.PASS for t in trials):
                break
        return Reverted(made, tuple(trials), "" if trials else "the machine gave no verdict")
    except MachineError as error:
        return Reverted(None, (), str(error))


def _passes(rate: float, confidence: float) -> int:
    """So many passes in a row are not believed of a kernel that fails at that rate."""
    passes, chance = 1, 1 - min(rate, 0.999)
    while chance ** passes > 1 - confidence and passes < 60:
        passes += 1
    return passes


def mail(found: Bisection, request: RunRequest, tree: Path | None) -> str:
    """The draft of a report, empty when there is not one commit to name; ``tree`` is the user's."""
    if found.result.ending is not Ending.FOUND:
        return ""
    first = found.result.first[0]
    short, subject, author = git.described(Path(request.base.repo), first.id)
    public = request.series is None and tree is not None and bases.published(tree, first.id)
    return text.mail(found, text.Culprit(short, subject, author, public))
