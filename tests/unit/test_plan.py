# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest

from kvtools import plan
from kvtools.errors import UserError
from kvtools.model import ConfigUse
from kvtools.request import guest_slots


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", (1, 2, 3, 4, 5)),
        ("tip", (5,)),
        ("base", ()),
        ("3", (3,)),
        ("3..5", (3, 4, 5)),
        ("..2", (1, 2)),
        ("4..", (4, 5)),
        ("5,1..2", (1, 2, 5)),
    ],
)
def test_select(text: str, expected: tuple[int, ...]) -> None:
    assert plan.select(text, 5) == expected


@pytest.mark.parametrize("text", ["", "0", "6", "5..3", "x", "1..9", "..", "1,,2", "-1"])
def test_a_bad_selection_is_the_users(text: str) -> None:
    with pytest.raises(UserError):
        plan.select(text, 5)


def test_a_series_of_none_is_the_base_alone() -> None:
    made = plan.make(0, [ConfigUse("guest")], ["vmem.probe"])
    assert made.rows == (0,)
    assert [str(c) for c in made.cells] == ["build:guest", "boot:guest", "selftest:vmem.probe"]


def test_cells_of_a_second_config_have_its_name() -> None:
    made = plan.make(2, [ConfigUse("guest"), ConfigUse("debug")], ["vmem.probe"])
    assert [str(c) for c in made.cells] == [
        "apply",
        "build:guest",
        "boot:guest",
        "selftest:vmem.probe",
        "build:debug",
        "boot:debug",
        "selftest:vmem.probe@debug",
    ]
    assert made.configs == ("guest", "debug")


def test_only_keeps_what_the_chosen_cell_needs() -> None:
    uses = [ConfigUse("guest"), ConfigUse("debug")]
    made = plan.make(3, uses, ["a", "b"], patches="tip", only=["selftest:b"])
    assert [str(c) for c in made.cells] == ["apply", "build:guest", "boot:guest", "selftest:b"]
    assert made.rows == (0, 3)
    assert made.last == 3


def test_only_apply_builds_nothing() -> None:
    made = plan.make(3, [ConfigUse("guest")], ["a"], only=["apply"])
    assert [str(c) for c in made.cells] == ["apply"]
    assert not made.boots


def test_a_filter_that_matches_nothing_names_the_cells() -> None:
    with pytest.raises(UserError, match="selftest:a"):
        plan.make(3, [ConfigUse("guest")], ["a"], only=["selftest:typo"])


def test_a_config_for_the_tip_is_built_last_and_on_the_base_too() -> None:
    uses = [ConfigUse("guest"), ConfigUse("debug", "tip", ("b",)), ConfigUse("off", scenarios=())]
    made = plan.make(3, uses, ["a"], patches="2..3")
    assert [str(c) for c in made.cells if c.config != "guest"] == [
        "apply", "build:debug", "boot:debug", "selftest:b@debug", "build:off", "boot:off",
    ]  # fmt: skip
    assert list(made.builds()) == [
        (0, "guest"), (0, "off"), (2, "guest"), (2, "off"), (3, "guest"), (3, "off"),
        (0, "debug"), (3, "debug"),
    ]  # fmt: skip
    debug = next(c for c in made.cells if c.config == "debug")
    assert [row for row in made.rows if made.has(row, debug)] == [0, 3]
    assert not made.has(0, plan.APPLY) and made.has(2, plan.APPLY)


def test_a_config_for_the_tip_is_not_built_for_another_patch() -> None:
    made = plan.make(3, [ConfigUse("guest"), ConfigUse("debug", "tip")], [], patches="1")
    assert made.configs == ("guest",)
    assert list(made.builds()) == [(0, "guest"), (1, "guest")]


def test_a_config_named_for_patches_that_are_not_there_is_the_users() -> None:
    with pytest.raises(UserError, match="outside the series"):
        plan.make(3, [ConfigUse("guest", "4")], [])


@pytest.mark.parametrize(
    ("cores", "gib", "slots"), [(2, 24, 2), (16, 64, 8), (16, 8, 2), (1, 2, 1), (64, 16, 4)]
)
def test_guests_at_once_fit_the_machine(cores: int, gib: int, slots: int) -> None:
    assert guest_slots(cores, gib << 30) == slots
