# SPDX-License-Identifier: GPL-2.0-or-later
"""Config bisection: a stand-in for olddefconfig with dependencies, and the fake kernel tree."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from kvtools import kconfig
from kvtools.bisect.configs import ConfigSearch, differing
from kvtools.bisect.observation import Observation
from kvtools.bisect.search import Ending
from kvtools.bisection import DETERMINISTIC, Answer, Flakes
from kvtools.bisection.minimal import minimal
from kvtools.cli import main
from kvtools.model import Config


@pytest.mark.parametrize("guilty", [{3}, {0}, {299}, {5, 200}, {10, 11, 12}, {1, 99, 170, 298}])
def test_minimal_sets(guilty: set[int]) -> None:
    changes = [f"S{n}" for n in range(300)]
    wanted = frozenset(f"S{n}" for n in guilty)
    asked = []

    def shows(some: frozenset[str]) -> bool:
        asked.append(some)
        return wanted <= some

    assert set(minimal(changes, shows)) == wanted
    assert len(asked) == len(set(asked))
    assert len(asked) <= len(guilty) * (2 * math.ceil(math.log2(300)) + 2)


def test_the_answer_is_minimal_where_one_change_hides_the_failure() -> None:
    def shows(some: frozenset[str]) -> bool:
        return "a" in some and ("hides" not in some or "z" in some)

    found = minimal(["a", "hides", "b", "z"], shows)
    assert shows(frozenset(found))
    assert not any(shows(frozenset(found) - {one}) for one in found)


class Kconfig:
    """Settles configs by dependencies; fails with all of ``guilty`` set, at ``rate``."""

    def __init__(self, depends: dict[str, list[str]], guilty: set[str], *, rate: float = 1.0,
                 lost: float = 0.0) -> None:
        self.depends, self.guilty, self.rate, self.lost = depends, guilty, rate, lost
        self.random = random.Random(7)

    def settle(self, config: Config) -> dict[str, str]:
        values = kconfig.parse(config.text)
        for symbol in self.depends:  # in the order of the Kconfig files
            if any(values.get(d, "n") == "n" for d in self.depends[symbol]):
                values.pop(symbol, None)
        return {s: values[s] for s in self.depends if s in values}

    def trial(self, config: Config) -> Observation:
        if self.random.random() < self.lost:
            return Observation("c", Answer.ERROR, "lost")
        values = self.settle(config)
        bad = all(values.get(s) == "y" for s in self.guilty) and self.random.random() < self.rate
        return Observation("c", Answer.FAIL if bad else Answer.PASS, "tried")


def symbols(count: int) -> dict[str, list[str]]:
    """Every tenth symbol opens a menu that the next nine depend on."""
    return {f"S{n}": [f"S{n // 10 * 10}"] if n % 10 else [] for n in range(count)}


def search(tester: Kconfig, flakes: Flakes = DETERMINISTIC) -> tuple[ConfigSearch, dict[str, str]]:
    return ConfigSearch(tester, "x86_64", flakes, 0.99), {s: "y" for s in tester.depends}


def test_a_regression_among_400_symbols_with_its_dependency() -> None:
    tester = Kconfig(symbols(400), {"S234"})
    one, bad = search(tester)
    result = one.run({}, bad)
    assert [s for s, _, _ in result.symbols] == ["S230", "S234"]
    assert result.carried == {"S230"}
    assert result.differ == 400
    assert result.asked <= 40
    assert kconfig.parse(result.config) == {"S230": "y", "S234": "y"}


def test_two_symbols_that_only_fail_together() -> None:
    one, bad = search(Kconfig(symbols(300), {"S31", "S207"}))
    result = one.run({"S0": "y"}, bad)
    assert {s for s, _, _ in result.symbols} == {"S30", "S31", "S200", "S207"}
    assert result.carried == {"S30", "S200"}


@pytest.mark.parametrize("rate", [0.3, 0.7])
def test_a_flaky_config_failure(rate: float) -> None:
    for seed in range(3):
        tester = Kconfig(symbols(60), {"S42"}, rate=rate, lost=0.1)
        tester.random.seed(seed)
        one, bad = search(tester, Flakes(spike=0.0, lowest=0.2))
        assert [s for s, _, _ in one.run({}, bad).symbols] == ["S40", "S42"]


def test_a_failure_that_may_be_flaky_and_is_not_costs_few_trials() -> None:
    one, bad = search(Kconfig(symbols(400), {"S234"}), Flakes())
    result = one.run({}, bad)
    assert [s for s, _, _ in result.symbols] == ["S230", "S234"]
    assert len(result.trials) <= 3 * result.asked + 16, "it was up to 90 for each kernel"


def test_a_flaky_failure_of_unknown_rate() -> None:
    right = trials = 0
    for seed in range(40):
        tester = Kconfig(symbols(100), {"S42"}, rate=0.05 + 0.9 * random.Random(seed).random())
        tester.random.seed(seed)
        one, bad = search(tester, Flakes())
        result = one.run({}, bad)
        right += [s for s, _, _ in result.symbols] == ["S40", "S42"]
        trials += len(result.trials)
    assert right >= 39, right
    assert trials < 40 * 600, trials


def test_configs_that_are_not_good_and_bad_are_told() -> None:
    one, bad = search(Kconfig(symbols(20), set()))
    assert one.run({}, bad).ending is Ending.OLD_IS_NEW
    one, bad = search(Kconfig(symbols(20), {"NONE"}))
    assert one.run({}, bad).ending is Ending.NEW_IS_OLD
    assert one.run(bad, bad).why == "both configs give the same .config"


def test_what_the_machine_puts_into_a_config_is_not_compared() -> None:
    assert differing({"A": "y", "CC_VERSION_TEXT": '"gcc 1"'},
                     {"A": "n", "CC_VERSION_TEXT": '"gcc 2"', "B": "n"}) == ["A"]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path / "home"))
    for name, text in {"good": "CONFIG_64BIT=y\n", "bad": "CONFIG_64BIT=y\nCONFIG_SPARSEMEM=y\n"
                       "CONFIG_MEMORY_HOTPLUG=y\nCONFIG_MIGRATION=y\nCONFIG_VIRTIO=y\n"}.items():
        (tmp_path / f"{name}own.config").write_text(text)
        (tmp_path / f"{name}.toml").write_text(
            f'description = "t"\narch = "x86_64"\ntarget = "tinyconfig"\n'
            f'fragments = ["{name}own"]\n')

    def run(*args: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(a) for a in args])
        out, err = capfd.readouterr()
        return code, out, err

    return run


CHECK = "cmd@host:! grep -q CONFIG_MEMORY_HOTPLUG=y $KVTOOLS_BUILD/config"


@pytest.mark.long
def test_bisect_and_minimize_on_a_tree(cli: Callable[..., tuple[int, str, str]], fakelinux: Path,
                                       tmp_path: Path) -> None:
    code, out, err = cli("config", "bisect", tmp_path / "good.toml", tmp_path / "bad.toml",
                         "--tree", fakelinux, "--check", CHECK, "--flaky", "no", "--json", "-")
    assert code == 0, err
    data = json.loads(out)
    names = {s["symbol"]: s["carried"] for s in data["symbols"]}
    assert names.pop("MEMORY_HOTPLUG") is False
    assert all(names.values()), "the rest is there because MEMORY_HOTPLUG depends on it"
    code, out, err = cli("config", "minimize", tmp_path / "bad.toml", "--tree", fakelinux,
                         "--check", CHECK, "--flaky", "no", "--output", tmp_path / "least.config")
    assert code == 0, err
    least = kconfig.parse((tmp_path / "least.config").read_text())
    assert least["MEMORY_HOTPLUG"] == "y"
    assert least.get("VIRTIO", "n") == "n"


def test_pairs_of_symbols_exhaustively() -> None:
    for pair in itertools.combinations(range(8), 2):
        wanted = frozenset(f"S{n}" for n in pair)
        assert set(minimal([f"S{n}" for n in range(8)], wanted.issubset)) == wanted
