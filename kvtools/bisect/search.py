# SPDX-License-Identifier: GPL-2.0-or-later
"""The search: verify the ends, try the commit that tells most, stop when it is sure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from kvtools.bisect.observation import Observation, Ready, Tester
from kvtools.bisect.settings import Settings
from kvtools.bisection import Answer, Commit, History, Posterior, choose
from kvtools.errors import Interrupted, MachineError

ERRORS_IN_A_ROW = 5
OTHERS = 3
"""So many other failures without an answer, and the commit counts as one that cannot answer."""
ODDS = 4.6
"""Natural logarithm of a hundred to one."""
LOOK_UP = 400
"""Candidates whose stored outcomes are looked up before the search: 20 ms each."""


class Ending(StrEnum):
    FOUND = "found"
    RANGE = "range"
    UNDECIDED = "undecided"
    OLD_IS_NEW = "old-is-new"
    NEW_IS_OLD = "new-is-old"


class Log(Protocol):
    """Where observations are kept, see :class:`kvtools.bisect.journal.Journal`."""

    trials: list[Observation]

    def add(self, observation: Observation) -> None: ...


@dataclass
class MemoryLog:
    """Forgets when the process ends."""

    trials: list[Observation] = field(default_factory=list)

    def add(self, observation: Observation) -> None:
        self.trials.append(observation)


@dataclass(frozen=True, slots=True)
class Result:
    """``first`` is one commit, or those of a range that cannot be told apart.

    ``signature`` is the failure looked for, ``findings`` other failures met on the way,
    ``counted`` the trials that were weighed (reused ones are part), in their order.
    """

    ending: Ending
    first: tuple[Commit, ...]
    probability: float
    rate: float
    trials: tuple[Observation, ...]
    counted: tuple[Observation, ...]
    signature: tuple[str, ...]
    findings: tuple[Observation, ...]
    skipped: Mapping[str, str]
    same: tuple[tuple[str, str], ...] = ()
    why: str = ""


class Told(Exception):
    """The ends are not what they were said to be."""

    def __init__(self, ending: Ending, why: str) -> None:
        super().__init__(why)
        self.ending, self.why = ending, why


class Search:
    """One search over one history; :meth:`run` once."""

    def __init__(self, history: History, tester: Tester, settings: Settings, log: Log,
                 tell: Callable[[str], None] = lambda text: None) -> None:
        self.history, self.tester, self.settings = history, tester, settings
        self.posterior = Posterior(history, settings.flakes, reverse=settings.reverse,
                                   prior=settings.prior)
        self._log, self._tell = log, tell
        self._seen: Callable[[Observation], None] = lambda observation: None
        self._paid: dict[str, list[Observation]] = {}
        for observation in log.trials:
            self._paid.setdefault(observation.commit, []).append(observation)
        self._trials: list[Observation] = []
        self._counted: list[Observation] = []
        self._findings: list[Observation] = []
        self._sources: set[str] = {o.source for o in log.trials if o.source}
        self._identity: dict[str, str] = {}
        self._same: list[tuple[str, str]] = []
        self._skipped: dict[str, str] = {}
        self._others: dict[str, int] = {}
        self._signature: frozenset[str] | None = None
        self._harmless: frozenset[str] = frozenset()
        for commit in settings.skip:
            if commit in history:
                self._skip(commit, "named with --skip")

    def watch(self, seen: Callable[[Observation], None]) -> None:
        """``seen`` gets every observation once it is weighed."""
        self._seen = seen

    # The whole

    def run(self) -> Result:
        """Raises MachineError when the machine fails again and again, Interrupted on Ctrl-C."""
        try:
            self._verify_ends()
            self._use_what_is_known()
            ending = self._halve()
            if ending in (Ending.FOUND, Ending.RANGE):
                self._clear_old_end()
        except Told as told:
            return self._result(told.ending, told.why)
        return self._result(ending)

    def _halve(self) -> Ending:
        while True:
            best = self.posterior.best()
            if best.probability >= self.settings.sure:
                return Ending.FOUND if best.mask.bit_count() == 1 else Ending.RANGE
            if not self.posterior.weights():
                raise Told(Ending.UNDECIDED, self._contradiction())
            if len(self._trials) >= self.settings.most:
                return Ending.UNDECIDED
            commit = choose(self.posterior, self.tester.cost)
            if commit is None:
                return Ending.RANGE
            self._try(commit)

    def _contradiction(self) -> str:
        return ("the trials contradict each other: a commit fails that has a descendant which "
                "gives the same kernel as a good one; if good commits fail too now and then, "
                "say how often with --noise, and if the check is flaky leave out --flaky no")

    # The ends

    @property
    def _ends(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The sound ends and the broken ones."""
        old, new = self.history.old, (self.history.new,)
        return (new, old) if self.settings.reverse else (old, new)

    def _verify_ends(self) -> None:
        sound, broken = self._ends
        first = [self._look_at_sound(commit) for commit in sound]
        for commit in broken:
            self._look_at_broken(commit)
        for one in first:  # only now it is known which failure counts
            self._keep(one)
        if self.settings.flakes.noise:
            for commit in sound:
                self._weigh_end(commit, broken=False)
            for commit in broken:
                self._weigh_end(commit, broken=True)

    def _look_at_sound(self, commit: str) -> Observation:
        """Once; what fails here already is harmless, unless it is what the other end does."""
        one = self._end_trial(commit)
        if one.answer is Answer.FAIL and not self.settings.flakes.noise:
            if not one.marks:
                raise Told(self._wrong_sound(), self._says(commit, one))
            self._harmless |= set(one.marks)
        return one

    def _look_at_broken(self, commit: str) -> None:
        most, passes = self.settings.flakes.most_passes, 0
        while True:
            one = self._end_trial(commit)
            if one.answer is Answer.FAIL:
                if self._is_it(one):
                    self._keep(one)
                    return
                if one.marks and set(one.marks) <= self._harmless:
                    raise Told(self._wrong_sound(), "both ends fail in the same way: "
                               + self._says(commit, one))
            self._keep(one)
            passes += 1
            if passes == 1 and most > 1:
                self._tell(f"{commit[:12]} should fail and passed once: flaky, or the wrong end; "
                           f"it is tried up to {most} times")
            if passes >= most:
                raise Told(self._wrong_broken(),
                           f"{commit[:12]} did not fail in {passes} trials: "
                           + self._says(commit, one))

    def _is_it(self, one: Observation) -> bool:
        """Take the first failure of the broken end as the one looked for."""
        new = frozenset(one.marks) - self._harmless
        if self._signature is None and one.marks:
            if not new:
                return False
            self._signature = new
        return self._answer(one) is Answer.FAIL

    def _end_trial(self, commit: str) -> Observation:
        one = self._observe(commit)[0]
        if one.answer is Answer.SKIP:
            raise Told(Ending.UNDECIDED, f"the end {commit[:12]} cannot be tried: {one.summary}")
        return one

    def _weigh_end(self, commit: str, *, broken: bool) -> None:
        """With noise one trial shows nothing: the rates of both ends have to be told apart."""
        flakes = self.settings.flakes
        counts = {Answer.FAIL: 0, Answer.PASS: 0}
        for one in self._counted:
            if one.commit == commit:
                counts[one.answer] += 1
        for _ in range(3 * flakes.most_passes):
            fails, passes = counts[Answer.FAIL], counts[Answer.PASS]
            odds = flakes.broken(fails, passes) - flakes.sound(fails, passes)
            if broken and odds > ODDS:
                return
            if (-odds if broken else odds) > ODDS or (not broken and odds < -ODDS / 2):
                break
            one = self._end_trial(commit)
            self._keep(one)
            if (answer := self._answer(one)) in counts:
                counts[answer] += 1
        if not broken and odds <= ODDS:  # not shown to be broken is all that can be asked of it
            return
        raise Told(self._wrong_broken() if broken else self._wrong_sound(),
                   f"{commit[:12]} fails in {counts[Answer.FAIL]} of {sum(counts.values())} "
                   f"trials, which is {'no more' if broken else 'more'} than the noise")

    def _clear_old_end(self) -> None:
        """When the answer is a child of the old end, all hangs on that end being old."""
        if self.settings.reverse:
            return
        best = self.posterior.best().mask
        if self.history.mask(p for c in self.history.of(best) for p in c.parents) & ~best:
            return
        for commit in self.history.old:
            wanted = self.posterior.passes_to_clear(self.settings.sure)
            while sum(o.commit == commit and self._answer(o) is Answer.PASS
                      for o in self._counted) < wanted:
                one = self._end_trial(commit)
                self._keep(one)
                if self._answer(one) is Answer.FAIL and not self.settings.flakes.noise:
                    raise Told(self._wrong_sound(), self._says(commit, one))

    def _wrong_sound(self) -> Ending:
        return Ending.NEW_IS_OLD if self.settings.reverse else Ending.OLD_IS_NEW

    def _wrong_broken(self) -> Ending:
        return Ending.OLD_IS_NEW if self.settings.reverse else Ending.NEW_IS_OLD

    def _says(self, commit: str, one: Observation) -> str:
        return f"{commit[:12]}: {one.answer}: {one.summary}" if one.summary else commit[:12]

    # Trials

    def _use_what_is_known(self) -> None:
        for commit in list(self._paid):
            if commit in self.history:
                for one in self._paid.pop(commit):
                    self._keep(one)
        if len(self.history) <= LOOK_UP:
            for candidate in self.history.commits:
                for one in self._fresh(self.tester.known(candidate.id)):
                    self._log.add(one)
                    self._keep(one)

    def _try(self, commit: str) -> None:
        flaky = self.posterior.rate < 0.9
        count = min(self.tester.slots, self.posterior.passes_to_clear(self.settings.sure))
        for one in self._observe(commit, count if flaky else 1):
            self._keep(one)

    def _observe(self, commit: str, count: int = 1) -> list[Observation]:
        """Answers other than ERROR, at least one unless the commit turns out to be the same
        kernel as another one. Those that are paid for come first."""
        for _ in range(ERRORS_IN_A_ROW):
            if self._paid.get(commit):
                return [self._paid[commit].pop(0)]
            got = self._ask(commit, count)
            good = [one for one in got if one.answer is not Answer.ERROR]
            for one in got:
                self._log.add(one)
                self._sources.add(one.source)
                if one.answer is Answer.ERROR:
                    self._trials.append(one)
                    self._seen(one)
            if good or not got:
                return good
        raise MachineError(f"no verdict on {commit[:12]} in {ERRORS_IN_A_ROW} attempts: "
                           f"{got[-1].summary}", fix="mend the machine and start again: all "
                           "trials so far are kept")

    def _ask(self, commit: str, count: int) -> list[Observation]:
        try:
            ready = self.tester.prepare(commit)
            if ready.answer is not None:
                return [ready.answer]
            if self._is_known_kernel(commit, ready):
                return []
            stored = self._fresh(self.tester.known(commit))
            return stored or list(self.tester.run(commit, count))
        except Interrupted:
            raise
        except MachineError as error:
            return [Observation(commit, Answer.ERROR, str(error))]

    def _is_known_kernel(self, commit: str, ready: Ready) -> bool:
        """Whether another commit gives the very same kernel; told once a commit."""
        if not ready.identity or commit in self._identity.values():
            return False
        other = self._identity.setdefault(ready.identity, commit)
        if other == commit or (other, commit) in self._same:
            return False
        self._same.append((other, commit))
        if self.history.ancestors(other) ^ self.history.ancestors(commit) == self.history.all:
            raise Told(self._wrong_broken(), f"{other[:12]} and {commit[:12]} give the same kernel")
        if commit == self.history.new or commit in self.history.old:
            return False
        self.posterior.same(other, commit)
        return True

    def _fresh(self, found: Iterable[Observation]) -> list[Observation]:
        """Stored trials that have not been counted, each once."""
        fresh = [one for one in found if not one.source or one.source not in self._sources]
        self._sources.update(one.source for one in fresh)
        return fresh

    # What a trial means

    def _answer(self, one: Observation) -> Answer:
        """FAIL only for the failure looked for, by fingerprint."""
        if one.answer is not Answer.FAIL or not one.marks:
            return one.answer
        marks = set(one.marks)
        if self._signature is None or marks & self._signature:
            return Answer.FAIL
        return Answer.PASS if marks <= self._harmless else Answer.OTHER

    def _keep(self, one: Observation) -> None:
        answer = self._answer(one)
        shown = replace(one, answer=answer)
        self._trials.append(shown)
        if answer in (Answer.FAIL, Answer.PASS):
            self._counted.append(shown)
            self.posterior.add(one.commit, answer)
        elif answer is Answer.SKIP:
            self._skip(one.commit, one.summary)
        elif answer is Answer.OTHER:
            self._findings.append(shown)
            self._others[one.commit] = self._others.get(one.commit, 0) + 1
            if self._others[one.commit] >= OTHERS and not self.posterior.trials.get(one.commit):
                self._skip(one.commit, f"fails in another way: {one.summary}")
        self._seen(shown)

    def _skip(self, commit: str, why: str) -> None:
        self._skipped[commit] = why
        self.posterior.skip(commit)

    def _result(self, ending: Ending, why: str = "") -> Result:
        best = self.posterior.best()
        found = ending in (Ending.FOUND, Ending.RANGE, Ending.UNDECIDED) and not why
        return Result(
            ending=ending,
            first=tuple(self.history.of(best.mask)) if found else (),
            probability=best.probability if found else 0.0,
            rate=self.posterior.rate,
            trials=tuple(self._trials),
            counted=tuple(self._counted),
            signature=tuple(sorted(self._signature or ())),
            findings=tuple(self._findings),
            skipped=dict(self._skipped),
            same=tuple(self._same),
            why=why,
        )
