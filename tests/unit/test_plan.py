# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest

from kvtools import plan
from kvtools.errors import UserError


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
    made = plan.make(0, ["guest"], ["vmem.probe"])
    assert made.rows == (0,)
    assert [str(c) for c in made.cells] == ["build:guest", "boot:guest", "selftest:vmem.probe"]


def test_cells_of_a_second_config_have_its_name() -> None:
    made = plan.make(2, ["guest", "debug"], ["vmem.probe"])
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
    made = plan.make(3, ["guest", "debug"], ["a", "b"], patches="tip", only=["selftest:b"])
    assert [str(c) for c in made.cells] == ["apply", "build:guest", "boot:guest", "selftest:b"]
    assert made.rows == (0, 3)
    assert made.last == 3


def test_only_apply_builds_nothing() -> None:
    made = plan.make(3, ["guest"], ["a"], only=["apply"])
    assert [str(c) for c in made.cells] == ["apply"]
    assert not made.boots


def test_a_filter_that_matches_nothing_names_the_cells() -> None:
    with pytest.raises(UserError, match="selftest:a"):
        plan.make(3, ["guest"], ["a"], only=["selftest:typo"])
