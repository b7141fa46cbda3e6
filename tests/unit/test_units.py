# SPDX-License-Identifier: GPL-2.0-or-later
"""Compilations that kbuild recorded, done again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kvtools import units
from kvtools.errors import MachineError
from kvtools.units import Flags, Place
from kvtools.units.flags import read_answer

DATA = Path(__file__).parents[1] / "data" / "units"
FLAGS = Flags(plain=("-Wall", "-Wno-unused", "-O2"), extra=("-Wall", "-O2", "-Wextra"),
              sparse=("-Wbitwise",))


def test_a_recorded_command_without_output_and_dependencies(tmp_path: Path) -> None:
    (tmp_path / "mm").mkdir()
    shutil.copyfile(DATA / "swap.o.cmd", tmp_path / "mm" / ".swap.o.cmd")
    found = units.unit(tmp_path, Path("/src/linux"), "mm/swap.c")
    assert found is not None
    assert (found.object, found.source) == ("mm/swap.o", "mm/swap.c")
    assert found.argv[:2] == ("gcc", "-nostdinc")
    assert "-DKBUILD_BASENAME=\"swap\"" in found.argv
    assert not {"-c", "-o", "mm/swap.o", "./tools/objtool/objtool"} & set(found.argv)
    assert not any(word.startswith("-Wp,") for word in found.argv)


def test_the_source_tells_the_unit_and_not_the_name_of_the_object(tmp_path: Path) -> None:
    (tmp_path / "mm").mkdir()
    text = (DATA / "swap.o.cmd").read_text().replace("source_mm/swap.o := /src/linux/mm/swap.c",
                                                     "source_mm/swap.o := /src/linux/lib/other.c")
    (tmp_path / "mm" / ".swap.o.cmd").write_text(text)
    assert units.unit(tmp_path, Path("/src/linux"), "mm/swap.c") is None
    assert units.unit(tmp_path, Path("/src/linux"), "mm/slub.c") is None


def test_newer_kernels_write_savedcmd() -> None:
    text = (DATA / "swap.o.cmd").read_text()
    assert units.parse(text.replace("cmd_mm/swap.o :=", "savedcmd_mm/swap.o :=")) == units.parse(
        text)
    assert units.parse("cmd_vmlinux := ld -o vmlinux\n") is None
    assert units.parse("cmd_a.o := gcc -DX='\"open\nsource_a.o := a.c\n") is None


def test_who_includes_a_header(tmp_path: Path) -> None:
    (tmp_path / "mm").mkdir()
    shutil.copyfile(DATA / "swap.o.cmd", tmp_path / "mm" / ".swap.o.cmd")
    source = Path("/src/linux")
    (user,) = units.including(tmp_path, source, ["include/linux/kconfig.h"], 3)
    assert user.source == "mm/swap.c"
    assert units.including(tmp_path, source, ["linux/kconfig"], 3) == ()
    assert units.including(tmp_path, source, ["include/linux/kconfig.h"], 0) == ()


def test_extra_warnings_replace_what_silences_them_and_files_keep_the_last_word() -> None:
    argv = ("gcc", "-Iinclude", "-Wall", "-Wno-unused", "-Werror", "-O2", "-Wno-extra", "-DX")
    assert FLAGS.with_extra(argv) == (
        "gcc", "-Iinclude", "-Wall", "-O2", "-Wextra", "-Wno-extra", "-DX")


def test_the_last_answer_of_make_counts_and_no_answer_is_an_error_of_the_machine() -> None:
    said = "kvtools:KBUILD_CFLAGS=-O2\nkvtools:CHECKFLAGS=\nkvtools:KBUILD_CFLAGS=-Os -g\n"
    with pytest.raises(MachineError, match="No rule"):
        read_answer(said, "make: *** No rule to make target\n")
    assert read_answer(said + "kvtools:CHECKFLAGS=-m64\n") == {
        "KBUILD_CFLAGS": ("-Os", "-g"), "CHECKFLAGS": ("-m64",)}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    source, objects = tmp_path / "src", tmp_path / "o"
    source.mkdir()
    objects.mkdir()
    (source / "a.c").write_text("int a(void)\n{\n\tint unused;\n\treturn 1;\n}\n")
    return Place(source, objects, "1" * 40, {})


UNIT = units.Unit("dir/a.o", "a.c", ("gcc", "-O2", "-Wall", "-Wno-unused"))


def test_a_unit_is_compiled_once_for_a_commit(place: Place) -> None:
    (first,) = units.compile_all(place, [UNIT], FLAGS, 1)
    assert first.object is not None and first.object.is_file()
    assert "unused" in first.text, "with the warnings of W=1"
    (place.source / "a.c").write_text("int a(void)\n{\n\treturn 1;\n}\n")
    assert units.compile_all(place, [UNIT], FLAGS, 1) == (first,)
    other = Place(place.source, place.objects, "2" * 40, {})
    assert units.compile_all(other, [UNIT], FLAGS, 1)[0].text == ""


def test_what_was_compiled_for_old_commits_goes(place: Place) -> None:
    for number in range(6):
        at = Place(place.source, place.objects, str(number) * 40, {})
        units.compile_all(at, [UNIT], FLAGS, 1)
    rooms = sorted(path.name[0] for path in (place.objects / ".kvtools-units").iterdir())
    assert rooms == ["3", "4", "5"]


def test_a_unit_that_does_not_compile_has_no_object(place: Place) -> None:
    (place.source / "a.c").write_text("int a(void)\n{\n\treturn b;\n}\n")
    (done,) = units.compile_all(place, [UNIT], FLAGS, 1)
    assert done.object is None and "undeclared" in done.text


def test_a_header_alone(place: Place) -> None:
    (place.source / "h.h").write_text("struct s { int x; };\n")
    (place.source / "bad.h").write_text("struct s { u32 x; };\n")
    good, bad = (units.of_header(place, name, UNIT) for name in ("h.h", "bad.h"))
    assert units.compile_one(place, good, FLAGS).object is not None
    assert units.compile_one(place, bad, FLAGS).object is None
