# SPDX-License-Identifier: GPL-2.0-or-later
"""An object directory made ready for make, and what is looked at again behind make."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from header_project import COMMON, UNITS, Project

from kvtools.headers import Spared, reuse, state
from kvtools.headers.commands import products
from kvtools.headers.decide import Decision

HARMLESS = ("#ifdef CONFIG_ON", "\n#ifdef CONFIG_ON")
"""An edit that only moves lines."""


class Settled(Project):
    """A project in git, whose objects are known to be those of its commit."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "x")):
            subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@b.c", *words],
                           cwd=self.source, check=True)
        (self.objects / "include/generated/autoconf.h").write_text("#define CONFIG_ON 1\n")
        self.configure("CONFIG_ON=y\n")
        state.settle(self.source, self.objects)

    def configure(self, text: str) -> None:
        (self.objects / ".config").write_text(text)

    def change(self, old: str, new: str) -> None:
        self.common.write_text(COMMON.replace(old, new, 1))

    def prepare(self) -> Spared:
        return reuse.prepare(self.source, self.objects, compiler=("gcc",), env={}, jobs=2,
                             warned=frozenset(), enabled=True)

    def age(self, name: str) -> int:
        return (self.objects / name).stat().st_mtime_ns


@pytest.fixture
def settled(tmp_path: Path) -> Settled:
    return Settled(tmp_path)


def test_what_cannot_see_an_edit_is_older_than_its_objects(settled: Settled) -> None:
    settled.change(*HARMLESS)
    spared = settled.prepare()
    assert "plain.o" in spared.targets
    assert settled.common.stat().st_mtime_ns < settled.age("plain.o")


def test_a_new_symbol_that_no_header_mentions_changes_nothing(settled: Settled) -> None:
    settled.change(*HARMLESS)
    settled.configure("CONFIG_ON=y\nCONFIG_DRIVER=m\n")
    spared = settled.prepare()
    assert spared.why == ()
    assert "plain.o" in spared.targets


@pytest.mark.parametrize("config", ["", "CONFIG_ON=m\n"])
def test_an_edited_header_that_mentions_a_changed_symbol_is_left_to_make(
        settled: Settled, config: str) -> None:
    settled.change(*HARMLESS)
    settled.configure(config)
    spared = settled.prepare()
    assert not spared.targets
    assert spared.why == (f"{settled.common}: mentions CONFIG_ON, which is set otherwise now",)
    assert settled.common.stat().st_mtime_ns > settled.age("plain.o")


def test_with_another_config_too_a_file_that_only_was_touched_gets_its_time_back(
        settled: Settled) -> None:
    settled.common.touch()
    settled.configure("CONFIG_ON=y\nCONFIG_HZ=250\n")
    assert settled.prepare().restored
    assert settled.common.stat().st_mtime_ns < settled.age("plain.o")


def test_an_option_of_another_kind_of_build_keeps_nothing(settled: Settled) -> None:
    settled.change(*HARMLESS)
    settled.configure("CONFIG_ON=y\nCONFIG_MODVERSIONS=y\n")
    spared = settled.prepare()
    assert spared.why == ("CONFIG_MODVERSIONS is set",)
    assert not spared.targets


def test_what_a_build_that_did_not_end_made_goes_and_the_rest_is_known(settled: Settled) -> None:
    settled.change(*HARMLESS)
    spared = settled.prepare()
    settled.build("moved")  # and then make met an error, or somebody pressed Ctrl-C
    settled.change("#ifdef CONFIG_ON", "\n\n#ifdef CONFIG_ON")
    again = settled.prepare()
    assert not (settled.objects / "moved.o").exists()
    assert again.targets == spared.targets - {"moved.o"}
    assert settled.common.stat().st_mtime_ns < settled.age("plain.o")


def test_the_way_back_is_there_as_often_as_it_is_needed(settled: Settled) -> None:
    settled.change(*HARMLESS)
    first = settled.prepare()
    assert settled.prepare().targets == first.targets
    settled.build("moved")
    assert settled.prepare().targets == first.targets - {"moved.o"}


def test_a_header_that_cannot_be_decided_any_more_is_new_to_make(settled: Settled) -> None:
    settled.change(*HARMLESS)
    settled.prepare()
    settled.configure("CONFIG_ON=m\n")
    assert not settled.prepare().targets
    assert settled.common.stat().st_mtime_ns > settled.age("plain.o")


def test_a_patch_that_is_taken_back_after_a_failed_build_leaves_nothing_to_make(
        settled: Settled) -> None:
    settled.change("return a + 1;", "return a + 2;")
    settled.prepare()
    settled.common.write_text(COMMON)
    settled.prepare()
    assert settled.common.stat().st_mtime_ns < settled.age("nothing.o")
    assert not (settled.objects / "plain.o").exists()  # it may have been made of the edit


def test_a_failed_build_that_made_most_is_left_to_make(settled: Settled) -> None:
    settled.change(*HARMLESS)
    settled.prepare()
    for name in UNITS:
        settled.build(name)
    assert not settled.prepare().targets
    assert (settled.objects / "plain.o").exists()


def test_a_failed_build_with_another_config_is_left_to_make(settled: Settled) -> None:
    settled.change(*HARMLESS)
    settled.configure("CONFIG_ON=y\nCONFIG_DRIVER=m\n")
    settled.prepare()
    settled.configure("CONFIG_ON=y\n")
    assert not settled.prepare().targets


def test_switched_off_there_is_no_way_back(settled: Settled) -> None:
    settled.change(*HARMLESS)
    settled.prepare()
    reuse.prepare(settled.source, settled.objects, compiler=("gcc",), env={}, jobs=2,
                  warned=frozenset(), enabled=False)
    assert settled.prepare().why == ("the objects' tree is not known",)


def test_symbols_that_differ_are_told_as_code_may_name_them() -> None:
    before = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=12\n"
    assert reuse.reconfigured(before, before) == set()
    assert reuse.reconfigured(before, "CONFIG_A=m\nCONFIG_B=y\nCONFIG_C=12\n") == {
        "CONFIG_A", "CONFIG_A_MODULE", "CONFIG_B", "CONFIG_B_MODULE"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("project"))


def spared(project: Project, decision: Decision) -> Spared:
    known = {p.target: p for p in products(project.objects) if p.target in decision.spare}
    return Spared(decision, products=known, ages={
        target: (project.objects / target).stat().st_mtime_ns for target in known})


def test_a_sample_finds_an_object_that_should_have_been_made(project: Project) -> None:
    decision = project.edit(*HARMLESS)
    right = spared(project, decision)
    found = reuse.sample(right, project.objects, env={})
    assert len(found.checked) >= 1
    assert not found.wrong
    project.common.write_text(COMMON.replace("return a + 1;", "return a + 3;"))
    wrong = reuse.sample(right, project.objects, env={}, choose=lambda names, n: ["plain.o"])
    assert wrong.wrong == ("plain.o",)
    before = project.common.stat().st_mtime_ns
    reuse.distrust(right, project.objects)
    assert project.common.stat().st_mtime_ns > before


def test_what_make_made_with_another_command_is_not_in_the_sample(project: Project) -> None:
    project.common.write_text(COMMON)
    known = spared(project, project.edit(*HARMLESS))
    before = (project.objects / "plain.o").read_bytes()
    (project.objects / "plain.o").write_bytes(b"with another flag")
    try:
        found = reuse.sample(known, project.objects, env={}, choose=lambda names, n: [
            name for name in names if name == "plain.o"])
        assert found == reuse.Sampled()
    finally:
        (project.objects / "plain.o").write_bytes(before)


def test_objects_whose_commands_name_another_place_are_left_to_make(
    settled: Settled, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").symlink_to(settled.source)
    settled.change(*HARMLESS)
    spared = reuse.prepare(tmp_path / "elsewhere", settled.objects, compiler=("gcc",), env={},
                           jobs=2, warned=frozenset(), enabled=True)
    assert spared.why == ("the .cmd files name another place",)
    assert settled.common.stat().st_mtime_ns > settled.age("plain.o")
