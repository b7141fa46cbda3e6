# SPDX-License-Identifier: GPL-2.0-or-later
"""Config bisection: from two configs, one good and one bad, to the symbols that matter.

A set of symbols is taken over from the bad config into the good one and goes through
``olddefconfig``; what came out is read back, since a symbol whose dependencies are missing is
dropped again. So two sets that give the same .config are one question, and a set that gives
the good one needs no build.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kvtools.bisect.observation import Observation
from kvtools.bisect.search import ERRORS_IN_A_ROW, Ending, Told
from kvtools.bisection import Answer, Flakes
from kvtools.bisection.minimal import minimal
from kvtools.errors import MachineError
from kvtools.model import Config

NOT_COMPARED = ("CC_VERSION_TEXT", "LOCALVERSION", "BUILD_SALT", "DEFAULT_HOSTNAME")
"""Of the machine or the release; they never make a kernel fail."""

LOAD_ONLY = "olddefconfig"

FEW, MOST_FIRST = 3, 16
"""The bad config is tried up to so often first, until so few passes show a config to be sound:
trials of one kernel instead of as many of each."""

QUESTIONS = 40
"""Of one search, about: each may be wrong with that share of what the answer may be."""


class ConfigTester(Protocol):
    """Configures and tries one kernel tree."""

    def settle(self, config: Config) -> dict[str, str]:
        """The .config as olddefconfig leaves it: symbol to value."""
        ...

    def trial(self, config: Config) -> Observation:
        """Build and try once; a build that was made before is kept."""
        ...


@dataclass(frozen=True, slots=True)
class ConfigResult:
    """``symbols`` (name, good value, bad value) make the failure, ``carried`` are among them
    only because others of them depend on them: alone they do not show it.

    ``config`` shows the failure; ``asked`` counts the kernels that were tried, ``dropped`` the
    questions that were answered by reading the .config back.
    """

    ending: Ending
    symbols: tuple[tuple[str, str, str], ...] = ()
    carried: frozenset[str] = frozenset()
    differ: int = 0
    config: str = ""
    trials: tuple[Observation, ...] = ()
    asked: int = 0
    dropped: int = 0
    why: str = ""


class ConfigSearch:
    """One search; ``flakes`` and ``confidence`` as in a bisection of commits."""

    def __init__(self, tester: ConfigTester, arch: str, flakes: Flakes, confidence: float,
                 tell: Callable[[str], None] = lambda text: None) -> None:
        self._tester, self._arch, self._tell = tester, arch, tell
        self._flakes, self._confidence = flakes, confidence
        self._trials: list[Observation] = []
        self._known: dict[str, bool] = {}
        self._signature: frozenset[str] | None = None
        self._harmless: frozenset[str] = frozenset()
        self._fails = self._passes = 0  # of configs that have the failure
        self._asked = self._dropped = 0

    def run(self, good: Mapping[str, str], bad: Mapping[str, str], *,
            good_is_tried: bool = True) -> ConfigResult:
        """``good`` and ``bad`` are final configs of the same tree.

        ``good_is_tried`` False: the good one is a floor to reduce to, which perhaps does not
        even boot. Raises MachineError when the machine gives no verdict.
        """
        self._good, self._bad = dict(good), dict(bad)
        changes = differing(good, bad)
        try:
            if not changes:
                raise Told(Ending.NEW_IS_OLD, "both configs give the same .config")
            self._verify(good_is_tried)
            found = minimal(changes, self._shows)
        except Told as told:
            return ConfigResult(told.ending, differ=len(changes), trials=tuple(self._trials),
                                asked=self._asked, dropped=self._dropped, why=told.why)
        return self._result(changes, found)

    def _result(self, changes: Sequence[str], found: Sequence[str]) -> ConfigResult:
        config = self._with(found)
        final = self._tester.settle(config)
        carried = frozenset(symbol for symbol in found if len(found) > 1
                            and self._loses_another(found, symbol, final))
        return ConfigResult(
            Ending.FOUND,
            tuple((s, self._good.get(s, "n"), self._bad.get(s, "n")) for s in found),
            carried, len(changes), text_of(final), tuple(self._trials), self._asked,
            self._dropped)

    def _loses_another(self, found: Sequence[str], symbol: str, final: Mapping[str, str]) -> bool:
        """Whether another member falls back to its good value when this one is left out."""
        rest = [s for s in found if s != symbol]
        without = self._tester.settle(self._with(rest))
        return any(without.get(s, "n") != final.get(s, "n") for s in rest)

    def _verify(self, good_is_tried: bool) -> None:
        most = self._flakes.most_passes
        if good_is_tried:
            one = self._trial(self._with(()))
            if one.answer is Answer.FAIL and not one.marks:
                raise Told(Ending.OLD_IS_NEW, f"the good config fails: {one.summary}")
            self._harmless = frozenset(one.marks)
        bad = self._with(self._bad)
        for number in range(most):
            one = self._trial(bad)
            if one.answer is Answer.FAIL:
                new = frozenset(one.marks) - self._harmless
                if one.marks and not new:
                    raise Told(Ending.OLD_IS_NEW,
                               f"both configs fail in the same way: {one.summary}")
                self._signature = new
                self._fails, self._passes = 1, number
                self._learn_rate(bad)
                return
            if number == 0 and most > 1:
                self._tell(f"the bad config passed once: it is tried up to {most} times")
        raise Told(Ending.NEW_IS_OLD,
                   f"the bad config did not fail in {most} trials: {one.summary}")

    def _learn_rate(self, bad: Config) -> None:
        for _ in range(MOST_FIRST - 1):
            if self._believed(FEW):
                return
            one = self._trial(bad)
            if one.answer is Answer.FAIL and self._is_it(one):
                self._fails += 1
            elif one.answer is Answer.PASS:
                self._passes += 1

    # One question

    def _with(self, symbols: Iterable[str]) -> Config:
        """The good config with the bad values of these symbols."""
        values = dict(self._good)
        for symbol in symbols:
            values[symbol] = self._bad.get(symbol, "n")
        return whole(values, self._arch)

    def _shows(self, symbols: frozenset[str]) -> bool:
        config = self._with(symbols)
        final = self._tester.settle(config)
        if not any(final.get(s, "n") == self._bad.get(s, "n") for s in symbols):
            self._dropped += 1
            return False
        text = text_of(final)
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest in self._known:
            self._dropped += 1
            return self._known[digest]
        self._asked += 1
        shows = self._ask(config)
        self._known[digest] = shows
        self._tell(f"{len(symbols)} symbols taken over: {'FAIL' if shows else 'no failure'}")
        return shows

    def _ask(self, config: Config) -> bool:
        """One FAIL is enough; passes are repeated until a flaky failure is not believed."""
        passes = 0
        while True:
            one = self._trial(config)
            if one.answer is Answer.FAIL and self._is_it(one):
                self._fails += 1
                self._passes += passes
                return True
            if one.answer is not Answer.PASS:
                return False  # it does not build, or fails in another way: not this failure
            passes += 1
            if self._believed(passes):
                return False

    def _is_it(self, one: Observation) -> bool:
        return not one.marks or self._signature is None or bool(set(one.marks) & self._signature)

    def _believed(self, passes: int) -> bool:
        """Whether so many passes show that the failure is not there."""
        if self._flakes.spike == 1:
            return True
        wrong = math.log((1 - self._confidence) / QUESTIONS)
        if passes * math.log1p(-self._flakes.lowest) < wrong:
            return True  # whatever the rate may be
        odds = (self._flakes.broken(self._fails, self._passes + passes)
                - self._flakes.broken(self._fails, self._passes))
        return odds < wrong

    def _trial(self, config: Config) -> Observation:
        for _ in range(ERRORS_IN_A_ROW):
            one = self._tester.trial(config)
            self._trials.append(one)
            if one.answer is not Answer.ERROR:
                return one
        raise MachineError(f"no verdict in {ERRORS_IN_A_ROW} attempts: {one.summary}")


def differing(good: Mapping[str, str], bad: Mapping[str, str]) -> list[str]:
    """The symbols that differ, in the order of the bad config: menus stay together."""
    names = dict.fromkeys((*bad, *good))
    return [s for s in names if s not in NOT_COMPARED and good.get(s, "n") != bad.get(s, "n")]


def text_of(values: Mapping[str, str]) -> str:
    """A .config."""
    return "".join(f"# CONFIG_{s} is not set\n" if v == "n" else f"CONFIG_{s}={v}\n"
                   for s, v in values.items())


def whole(values: Mapping[str, str], arch: str) -> Config:
    """A config that asks for exactly these values and takes what olddefconfig makes of them."""
    text = text_of(values)
    digest = hashlib.sha256("\0".join((LOAD_ONLY, arch, text)).encode()).hexdigest()
    return Config("tried", arch, LOAD_ONLY, text, {}, {}, digest)
