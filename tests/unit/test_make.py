# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of make, and what an object directory tells. Builds: test_steps_build."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from kvtools import make, toolchain
from kvtools.errors import MachineError
from kvtools.make import memory, objects

ROOT = Path(__file__).parents[2]
CHAIN = toolchain.Toolchain(toolchain.load_arch("x86_64", ROOT), "gcc", "", {}, "digest")


@pytest.fixture
def tree(tmp_path: Path) -> make.Tree:
    (tmp_path / "linux").mkdir()
    return make.Tree(tmp_path / "linux", tmp_path / "o", CHAIN)


def test_make_args() -> None:
    tree = make.Tree(Path("/src/linux"), Path("/cache/o"), CHAIN)
    assert make.make_args(tree, ["bzImage", "modules"], jobs=3) == (
        "make", "-C", "/src/linux", "O=/cache/o", "ARCH=x86_64", "LOCALVERSION=", "-j3",
        "bzImage", "modules")


def test_make_args_of_a_cross_build_with_variables() -> None:
    tree = make.Tree(Path("/s"), Path("/o"), replace(CHAIN, cross="x86_64-linux-gnu-"))
    assert make.make_args(tree, ["modules_install"], variables={"INSTALL_MOD_PATH": "/m"}) == (
        "make", "-C", "/s", "O=/o", "ARCH=x86_64", "CROSS_COMPILE=x86_64-linux-gnu-",
        "LOCALVERSION=", "INSTALL_MOD_PATH=/m", "-j1", "modules_install")


@pytest.mark.parametrize("name", ["with space", "with:colon"])
def test_a_path_that_kbuild_refuses_is_no_patch_s_fault(tree: make.Tree, name: str) -> None:
    with pytest.raises(MachineError, match="without spaces and colons"):
        make.open_objects(replace(tree, objects=tree.objects / name))


def test_an_empty_directory_expects_what_the_architecture_records(tree: make.Tree) -> None:
    make.open_objects(tree)
    assert objects.expected_objects(tree) == CHAIN.arch.objects


def test_stale_objects_are_those_older_than_a_source(tree: make.Tree) -> None:
    make.open_objects(tree)
    source, header = tree.source / "a.c", tree.source / "a.h"
    for name in ("a", "b"):
        (tree.objects / f"{name}.o").touch()
        (tree.objects / f".{name}.o.cmd").write_text(
            f"cmd_{name}.o := gcc -c\n\nsource_{name}.o := {source}\n\ndeps_{name}.o := \\\n"
            f"    $(wildcard include/config/NUMA) \\\n" + (f"  {header} \\\n" * (name == "a")))
    objects.begin(tree)
    objects.end(tree, complete=True)
    for path in (source, header):
        path.touch()
        os.utime(path, (1, 1))
    assert objects.expected_objects(tree) == 0
    os.utime(header, (2**31, 2**31))
    assert objects.expected_objects(tree) == 1
    os.utime(source, (2**31, 2**31))
    assert objects.expected_objects(tree) == 2


WARNING = "{src}/mm/a.c:3:1: warning: odd [-Wodd]\n"


def say(tree: make.Tree, text: str) -> list[str]:
    """What is known after a make that printed ``text``."""
    (tree.objects / memory.OUTPUT).write_text(text.replace("{src}", str(tree.source)))
    memory.settle(tree.objects, tree.source)
    assert not (tree.objects / memory.OUTPUT).exists()
    return [d.finding.file for d in memory.warnings(tree.objects)]


def test_a_warning_stays_until_its_object_is_compiled_again(tree: make.Tree) -> None:
    make.open_objects(tree)
    assert say(tree, "  CC      mm/a.o\n" + WARNING) == ["mm/a.c"]
    assert say(tree, "  CC      mm/b.o\n") == ["mm/a.c"]
    assert say(tree, "  CC      mm/a.o\n" + WARNING) == ["mm/a.c"]
    assert say(tree, "  CC      mm/a.o\n") == []


def test_a_warning_in_a_header_belongs_to_the_file_that_includes_it(tree: make.Tree) -> None:
    make.open_objects(tree)
    chain = "In file included from {src}/include/b.h:2,\n                 from {src}/mm/a.c:1:\n"
    text = "  CC      mm/a.o\n" + chain + "{src}/include/a.h:9:1: warning: odd [-Wodd]\n"
    assert say(tree, text) == ["include/a.h"]
    assert say(tree, "  CC      include/a.o\n") == ["include/a.h"]
    assert say(tree, "  CC      mm/a.o\n") == []


def test_what_modpost_said_is_said_again_by_the_next_modpost(tree: make.Tree) -> None:
    make.open_objects(tree)
    text = "  MODPOST vmlinux.symvers\nWARNING: modpost: vmlinux.o: section mismatch: a -> b\n"
    assert say(tree, text) == ["vmlinux"]
    assert say(tree, "  CC      mm/a.o\n") == ["vmlinux"]
    assert say(tree, "  MODPOST vmlinux.symvers\n") == []


def test_what_a_killed_make_said_is_not_lost(tree: make.Tree) -> None:
    make.open_objects(tree)
    text = "  CC      mm/a.o\n" + WARNING.replace("{src}", str(tree.source))
    (tree.objects / memory.OUTPUT).write_text(text + "  CC      mm/b")
    make.open_objects(tree)
    assert [d.finding.file for d in memory.warnings(tree.objects)] == ["mm/a.c"]
