# SPDX-License-Identifier: GPL-2.0-or-later
"""Headers as text: lines, conditions, macros and where declarations end."""

from __future__ import annotations

import pytest

from kvtools.cpp import Config, Item, guard, items, lines, read
from kvtools.cpp.macros import Macro, Opaque, closure, expand_item, parse

CONFIG = Config({"CONFIG_SMP": "1", "CONFIG_HZ": "100", "CONFIG_MOD_MODULE": "1"},
                {"__KERNEL__": True, "__ASSEMBLY__": False}, frozenset({"CONFIG_ODD"}))


def cut(text: str, macros: dict[str, list[Macro]] | None = None) -> tuple[Item, ...]:
    return items(read(text, CONFIG), macros or {})


def macro(rest: str) -> dict[str, list[Macro]]:
    made = parse(rest)
    assert made is not None
    return {made.name: [made]}


def test_comments_and_splices_keep_the_numbers_of_the_lines() -> None:
    found = lines("int a; /* one\n two */ int b;\n// x \\\n y\n"
                  "#define F(x) \\\n  x /* \n */ + 1\nint c;")
    assert [(x.first, x.last, x.text) for x in found] == [
        (1, 2, "int a; int b;"), (5, 7, "#define F(x) x + 1"), (8, 8, "int c;")]
    assert found[1].directive == "define"
    assert found[1].rest == "F(x) x + 1"


def test_what_looks_like_a_comment_in_a_string_is_none() -> None:
    assert [x.text for x in lines('char *a = "/*"; int b; /* c */')] == ['char *a = "/*"; int b;']


def test_white_space_between_tokens_counts_as_the_preprocessor_counts_it() -> None:
    assert lines("#define F (x)")[0].text != lines("#define F(x)")[0].text
    assert lines("a  +\tb")[0].text == lines("a + b")[0].text
    assert lines("a+b")[0].text != lines("a + b")[0].text


@pytest.mark.parametrize(("directive", "rest", "truth"), [
    ("ifdef", "CONFIG_SMP", True), ("ifndef", "CONFIG_SMP", False), ("ifdef", "CONFIG_NO", False),
    ("ifdef", "CONFIG_ODD", None), ("ifdef", "OTHER", None), ("ifndef", "__ASSEMBLY__", True),
    ("if", "defined(CONFIG_SMP) && !defined(CONFIG_NO)", True),
    ("if", "defined CONFIG_NO && OTHER", False), ("if", "defined(CONFIG_SMP) || OTHER", True),
    ("if", "defined(CONFIG_SMP) && OTHER", None), ("if", "CONFIG_HZ >= 100", True),
    ("if", "CONFIG_HZ == 1000", False), ("if", "IS_ENABLED(CONFIG_MOD)", True),
    ("if", "IS_BUILTIN(CONFIG_MOD)", False), ("if", "IS_ENABLED(CONFIG_ODD)", None),
    ("if", "0", False), ("if", "1 + 1", None), ("if", "FOO(1)", None), ("if", "", None),
    ("if", "010 == 8", True), ("if", "(CONFIG_HZ)", True), ("if", "!OTHER", None),
])
def test_conditions(directive: str, rest: str, truth: bool | None) -> None:
    assert CONFIG.test(directive, rest) is truth


def test_only_what_the_configuration_decides_is_dead() -> None:
    text = ("#ifdef CONFIG_SMP\na\n#else\nb\n#endif\n#ifdef OTHER\nc\n#elif defined(CONFIG_SMP)\n"
            "d\n#else\ne\n#endif\n")
    source = read(text, CONFIG)
    live = {x.text for x, on in zip(source.lines, source.live, strict=True) if on}
    assert {"a", "c", "d"} <= live
    assert not {"b", "e"} & live


@pytest.mark.parametrize(("text", "name"), [
    ("/* x */\n#ifndef A\n#define A\nint x;\n#endif\n", "A"),
    ("#if !defined(A)\n#define A 1\nint x;\n#endif", "A"),
    ("#ifndef A\n#define A\n#endif\nint x;\n", ""),
    ("#ifndef A\n#define B\nint x;\n#endif\n", ""),
    ("#if !defined(A) || defined(TRACE_HEADER_MULTI_READ)\n#define A\nint x;\n#endif\n", ""),
    ("#ifndef A\n#define A\n#else\nint x;\n#endif\n", ""),
    ("int x;\n", ""),
])
def test_include_guards(text: str, name: str) -> None:
    assert guard(lines(text)) == name


def test_declarations_end_where_they_end() -> None:
    found = cut("static inline int f(int a)\n{\n\tif (a) { return 1; }\n\treturn 0;\n}\n"
                "struct s { int x; struct t { int y; } z; } __packed;\n"
                "extern int g(struct s *);\ntypedef int (*fn)(void);\nenum e { A, B = 3 };\n")
    assert [sorted(item.names) for item in found] == [
        ["f"], ["__packed", "s", "t"], ["g"], ["fn"], ["A", "B", "e"]]
    assert [item.harmless for item in found] == [True, False, True, True, True]


def test_an_attribute_that_is_known_to_be_one_is_no_name() -> None:
    known = macro("__packed __attribute__((__packed__))")
    (found,) = cut("struct s { int x; } __packed;", known)
    assert found.names == {"s"}
    assert found.harmless
    (found,) = cut("struct __aligned(8) s { int x; };", macro("__aligned(x) __attribute__((a(x)))"))
    assert "s" in found.names


@pytest.mark.parametrize("text", [
    "int x;", "static int x = 1;", "int f(void) { return 0; }", "static int f(void) { return 0; }",
    'asm("nop");', "_Static_assert(1, \"\");", "struct s { int a; } x;",
    "static inline int f(void) { static int a __attribute__((used)); return a; }",
    "static inline __attribute__((section(\"x\"))) int f(void) { return 0; }", "FOO(x)",
])
def test_what_puts_something_into_every_object_is_not_harmless(text: str) -> None:
    found = cut(text)
    assert any(not item.harmless or item.opaque for item in found)


def test_a_macro_that_stands_for_declarations_is_expanded_with_its_pastes() -> None:
    known = macro("OPS(u, l) static inline int Page##u(int a) { return PG_##l; } "
                  "static inline void Set##u(void) { }")
    first, second, third = cut("OPS(Buddy, buddy)\nOPS(Table, table)\n", known)[:3]
    assert [item.names for item in (first, second, third)] == [
        {"PageBuddy"}, {"SetBuddy"}, {"PageTable"}]
    assert "PG_buddy" in first.mentions()
    assert "OPS" in first.mentions()
    assert first.rows != third.rows


def test_a_macro_with_two_meanings_is_opaque() -> None:
    known = {"OPS": [Macro("OPS", ("a",), ("int", "a", ";")), Macro("OPS", ("a",), ())]}
    (found,) = cut("OPS(x)\nint y;", known)
    assert found.opaque
    with pytest.raises(Opaque):
        expand_item(["OPS", "(", "x", ")"], known)


def test_an_argument_that_is_a_macro_itself_is_opaque() -> None:
    known = macro("OPS(a) int f_##a;") | macro("x y")
    assert cut("OPS(x)", known)[0].opaque


def test_a_condition_that_splits_a_body_makes_the_file_one_item() -> None:
    (found,) = cut("#ifdef OTHER\nint f(int a) {\n#else\nint f(void) {\n#endif\nreturn 0;\n}\n")
    assert found.opaque
    assert len(cut("#ifdef CONFIG_SMP\nint f(int a) {\n#else\nint f(void) {\n#endif\n}\n")) == 1


def test_closure_follows_every_definition() -> None:
    known = {"A": [Macro("A", None, ("B",)), Macro("A", None, ("C",))],
             "C": [Macro("C", ("x",), ("x", "__LINE__"))]}
    assert closure(["A"], known) == {"A", "B", "C", "__LINE__"}
