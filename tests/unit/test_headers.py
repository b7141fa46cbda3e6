# SPDX-License-Identifier: GPL-2.0-or-later
"""What an edited header makes anew, on a small project that gcc compiles.

Every case is checked twice: the units named are removed, and every unit that is kept comes
out of the compiler as the object that was made before the edit.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from header_project import COMMON, UNITS, USER, Project

from kvtools.headers.commands import compile_words, is_kernel_c, products
from kvtools.headers.compiler import check_alone, in_place_of
from kvtools.headers.decide import decide
from kvtools.headers.seeds import seeds
from kvtools.headers.universe import Universe


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def project(built: Project) -> Iterator[Project]:
    yield built
    built.common.write_text(COMMON)


MOVED = {"moved", "made", "own"}
CASES: dict[str, tuple[str, str, set[str]]] = {
    "a comment that moves nothing": ("#define MODE 4\n", "#define MODE 4 /* x */\n", set()),
    "a comment line moves __LINE__": ("#define MODE 4\n", "/* x */\n#define MODE 4\n", {
        "moved", "made"}),
    "lines behind every __LINE__": ("#ifdef CONFIG_ON", "\n\n#ifdef CONFIG_ON", set()),
    "a macro": ("#define MODE 4", "#define MODE 5", {"through", "mode"}),
    "a macro that nothing uses": ("#define MODE 4\n", "#define MODE 4\n#define ODD 1\n", {
        "moved", "made"}),
    "an inline body": ("return a + 1;", "return a + 2;", {"plain", "through"}),
    "a new function": ("GETTER(one)\n", "GETTER(one) static inline int n(int a) { return a; }\n",
                       set()),
    "a struct, by value in another": ("struct inner { int a; }", "struct inner { long a; }",
                                      {"size"}),
    "a struct that no unit uses": ("struct other { int c; }", "struct other { long c; }",
                                   {"mode"}),  # one that reads user.h, which has to compile
    "an enum": ("FIRST, SECOND", "FIRST, MIDDLE, SECOND", {"enum"}),
    "the condition": ("#ifdef CONFIG_ON", "#ifndef CONFIG_ON", {"on"}),
    "what a macro call makes": ("GETTER(one)", "GETTER(one) GETTER(two)", set()),
    "what a paste reaches": ("#define VALUE_one 1", "#define VALUE_one 2", {"getter"}),
    "a prototype": ("extern int outside(int);", "extern long outside(int);", set()),
}


@pytest.mark.parametrize("name", CASES)
def test_an_edit(project: Project, name: str) -> None:
    old, new, wanted = CASES[name]
    decision = project.edit(old, new)
    assert not decision.left
    removed = {target.removesuffix(".o") for target in decision.rebuild}
    assert removed >= wanted
    # Near misses: what has to do with none of it is kept.
    assert "nothing" not in removed
    assert removed - wanted <= {"own", "getter", "made"}, decision.reasons


FIRST = "struct first { int a; struct tagged *t; };\n"
UNSURE = "struct first {\nint a;\n#ifdef UNKNOWN\nint b;\n#endif\nstruct tagged *t;\n};\n"
LATER = "struct tagged; struct first { int a; };\n"


@pytest.mark.parametrize(("old", "new", "names"), [
    # The member's struct is declared at file scope by both sides: nobody sees that edit.
    (FIRST, FIRST.replace("int a;", "int a; int b;"), {"first"}),
    (FIRST, "struct other { int b; };\n" + FIRST, {"other"}),
    (LATER, "struct first { int a; struct tagged *t; };\n", {"first", "tagged"}),
    # One side does not declare it, only in a list of parameters, in a body, or not always.
    (FIRST, "struct first { int a; void *t; };\n", {"first", "tagged"}),
    (FIRST, "struct first { int a; int (*t)(struct tagged *); };\n", {"first", "tagged"}),
    (FIRST, "extern int f(struct tagged *);\n" + FIRST, {"f", "tagged"}),
    (FIRST, "static inline void f(void) { struct tagged *t; }\n" + FIRST, {"f", "tagged"}),
    (UNSURE, UNSURE.replace("int a", "long a"), {"first", "tagged"}),
])
def test_the_tags_that_a_header_declares_by_the_way(old: str, new: str, names: set[str]) -> None:
    guarded = [f"#ifndef T_H\n#define T_H\n{text}#endif\n" for text in (old, new)]
    universe = Universe([], {}, {"t.h": guarded[0]})
    universe.texts["t.h"] = guarded[1]
    assert seeds("t.h", universe).names == names


@pytest.mark.parametrize(("old", "new", "why"), [
    ("#define MODE 4\n", "#define MODE 4\n#pragma pack(1)\n", "#pragma changed"),
    ("#define MODE 4\n", '#define MODE 4\n#include "user.h"\n', "#include changed"),
    ("#ifndef COMMON_H", "#if 1\n#ifndef COMMON_H", "guard"),
    ("return __COUNTER__;", "return __COUNTER__ + __COUNTER__;", "__COUNTER__"),
    ("extern int outside(int);", "int outside(int) { return 1; }", "no plain declaration"),
    ("extern int outside(int);", "extern int outside(struct {", "no plain declaration"),
    ("extern int outside(int);", "extern unknown_t outside(int);", "does not compile"),
    ("return a + 1;", "return a + unknown;", "does not compile"),
    ("#define MODE 4\n", "", "MODE is gone"),  # caller() needs it, user.h does
    ("struct outer { struct inner in; int b; };\n", "", "user.h needs it"),
    ("#define VALUE_one 1\n", "", "does not compile"),  # a paste makes the name
])
def test_what_cannot_be_decided_is_left_to_make(project: Project, old: str, new: str,
                                                why: str) -> None:
    decision = project.edit(old, new)
    assert not decision.decided
    assert not decision.spare
    assert why in next(iter(decision.left.values()))


def test_a_header_that_does_not_compile_any_more_breaks_the_build(tmp_path: Path) -> None:
    """No unit uses its function, and no unit mentions the struct whose member is gone."""
    project = Project(tmp_path)
    project.common.write_text(COMMON.replace("{ int c; }", "{ int d; }"))
    decision = project.decide(project.common, COMMON)
    reading = {name for name, text in UNITS.items() if "user.h" in text}
    assert {t.removesuffix(".o") for t in decision.rebuild} & reading == {"mode"}
    assert decision.reasons["mode.o"].startswith("to see that ")


def test_a_declaration_that_moves_to_another_header_is_not_gone(tmp_path: Path) -> None:
    project = Project(tmp_path)
    moving = "struct other { int c; };\n"
    user = project.source / "user.h"
    project.common.write_text(COMMON.replace(moving, ""))
    user.write_text(USER.replace('#include "common.h"\n', f'#include "common.h"\n{moving}'))
    check = partial(check_alone, objects=project.objects, env={}, jobs=2)
    decision = decide({str(project.common): COMMON, str(user): USER}, products(project.objects),
                      {"CONFIG_ON": "1"}, ("gcc",), check, frozenset())
    assert decision.decided == {str(project.common), str(user)}, decision.left
    assert "nothing.o" in decision.spare


def test_a_macro_that_is_gone_and_was_only_used_by_macros(tmp_path: Path) -> None:
    project = Project(tmp_path)
    before = '#ifndef A\n#define A\n#define ONE 1\n#define TWO (ONE + 1)\n#endif\n'
    header = project.source / "a.h"
    header.write_text(before)
    (project.source / "one.c").write_text('#include "a.h"\nint x;\n')
    project.build("one")
    header.write_text(before.replace("#define ONE 1\n", ""))
    assert project.decide(header, before).spare == {"one.o"}  # nobody needs what does not compile


def test_a_function_that_only_some_readers_can_compile(tmp_path: Path) -> None:
    """late.h is read half-way through early.h by some: there the struct is not complete."""
    project = Project(tmp_path)
    early = project.source / "early.h"
    late = project.source / "late.h"
    early.write_text('#ifndef E\n#define E\nstruct e;\n#include "late.h"\n'
                     "struct e { int x; };\n#endif\n")
    before = '#ifndef L\n#define L\n#include "early.h"\nextern int l(struct e *);\n#endif\n'
    late.write_text(before)
    for name, first in (("one", "late.h"), ("two", "early.h")):
        (project.source / f"{name}.c").write_text(f'#include "{first}"\nint x;\n')
        project.build(name)
    late.write_text(before.replace(
        "#endif", "static inline int m(struct e *e) { return e->x; }\n#endif"))
    decision = project.decide(late, before)
    assert "early.h is read first" in decision.left[str(late)]
    late.write_text(before.replace("#endif", "extern int m(struct e *);\n#endif"))
    assert project.decide(late, before).spare == {"one.o", "two.o"}


def test_only_plain_units_of_the_kernel_are_decided_about(tmp_path: Path) -> None:
    project = Project(tmp_path)
    known = {p.target: p for p in products(project.objects)}
    assert is_kernel_c(known["plain.o"], compile_words(known["plain.o"]), ["gcc"])
    assert not is_kernel_c(known["plain.o"], compile_words(known["plain.o"]), ["clang"])
    for flag in ("-g", "-gdwarf-4", "-fsanitize=undefined", "-m32", "-D__ASSEMBLY__",
                 "--coverage", "-g2"):
        words = compile_words(known["plain.o"])
        assert not is_kernel_c(known["plain.o"], [words[0], flag, *words[1:]], ["gcc"]), flag
    words = compile_words(known["plain.o"])
    assert is_kernel_c(known["plain.o"], [words[0], "-g0", *words[1:]], ["gcc"])


def test_a_macro_of_the_command_line_counts(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.build("nothing", "-DMODE2=MODE")
    assert "nothing.o" in project.edit("#define MODE 4", "#define MODE 5").rebuild


def test_the_command_makes_something_else_beside(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (product,) = [p for p in products(project.objects) if p.target == "plain.o"]
    line = in_place_of(product, "tmp/x.o")
    assert "-o tmp/x.o " in line
    assert "-Wp,-MMD,tmp/x.o.d " in line
    assert " plain.o" not in line
