# SPDX-License-Identifier: GPL-2.0-or-later
"""Sources that are one without their comments are one to gcc, and nothing else is."""

from __future__ import annotations

import random
import subprocess

import pytest

from kvtools.cpp import without_comments

COMMENTS = ("/* a */", "/*\" */", "/*' */", "/*//*/", "/* don't */", "/* two\n * lines */",
            "/* 2\n */", "/*'\n\"*/", "/*\\\n */")
PIECES = (
    *COMMENTS, *COMMENTS, "int a;", "\n", "\n", " ", "\t", '"s /* s */"', "'\"'", "'/'",
    "\n#define A ", "\n#define B(x) x", " #x", "(y)", "// gone\n", "\n#if A\n", "\n#endif\n",
    "\\\n", "a", "+", "/", "*", '"\\""', "1.5e+3", "B(1 /* c */ 2)", "\n__LINE__", "'", '"',
    "L'a'", "??/", "// isn't\n", "\n#error no\n", "\\",
)


def preprocessed(source: bytes) -> tuple[int, bytes]:
    done = subprocess.run(["gcc", "-E", "-std=gnu11", "-x", "c", "-"], input=source, check=False,
                          capture_output=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize(("one", "other"), [
    ("/* old */\nint a;\n", "/* new words */\nint a;\n"),
    ("int a; /* old */\n", "int a;\n"),
    ("int a;\n/*\n * a\n */\n", "int a;\n/*\n * b and c\n */\n"),
    ("#define A 1 /* x\n */ + 2\n", "#define A 1 /* y\n */ + 2\n"),
    ("/* it's */ int a;\n", "/* \"not */ int a;\n"),
    ("int /* abc */ a;\n", "int /* def */ a;\n"),
])
def test_other_words_make_no_difference(one: str, other: str) -> None:
    assert without_comments(one.encode()) == without_comments(other.encode()) is not None


@pytest.mark.parametrize(("one", "other"), [
    ("/* a */\nint a;\n", "/* a\n */\nint a;\n"),  # __LINE__
    ("#define A 1 /*\n*/ + 2\n", "#define A 1 \n + 2\n"),  # the directive's end
    ("char *a = \"/* x */\";\n", "char *a = \"/* y */\";\n"),
    ("int/* */a;\n", "int   a;\n/* */"),
    ("int /* abc */ a;\n", "int /* d */ a;\n"),  # a column, which UBSAN and DWARF tell
    ("a /* */ b\n", "ab\n"),
    ("// a\nint b;\n", "// b\nint b;\n"),
    ("/* fall through */\n", "/* goes on */\n"),
    ("/* Fallthrough. */\n", "/* fell */\n"),
    ("/* a /* b */\n", "/* a b */\n"),  # -Wcomment
    ("/* a \N{RIGHT-TO-LEFT OVERRIDE} */\n", "/* a b */\n"),  # -Wbidi-chars
])
def test_what_may_be_seen_makes_one(one: str, other: str) -> None:
    assert without_comments(one.encode()) != without_comments(other.encode())


@pytest.mark.parametrize("source", [
    "// isn't /* b\nint a; /* */\n", "#error don't\n", 'char *a = "\n', "/* never ended\n",
    'char *a = R"(/* x */)";\n', 'char *a = u8R"x(/*)x";\n', "int a; \\ \n/* b */\n",
    "/\\\n* a */\n", "/* a *\\\n/ int b; /* */\n", "#include <sys//a.h>\n", "#include <a/*b.h>\n",
    "int a;\r\n", "\x01", "a ??/\n/* */", "#define A \\ /* b */\n1\n", "// goes on \\\nint a;\n",
])
def test_what_is_too_hard_is_said_to_be(source: str) -> None:
    assert without_comments(source.encode()) is None


def test_nothing_is_the_same_that_gcc_tells_apart() -> None:
    """Random sources, and each with another piece in one place, mostly another comment."""
    chance = random.Random(6)
    same = 0
    while same < 60:
        parts = [chance.choice(PIECES) for _ in range(chance.randint(3, 14))]
        at = chance.randrange(len(parts))
        changed = [*parts[:at], chance.choice(PIECES), *parts[at + 1:]]
        one, other = ("".join(p).encode() + b"\n" for p in (parts, changed))
        read = without_comments(one)
        if one == other or read is None or read != without_comments(other):
            continue
        same += 1
        assert preprocessed(one) == preprocessed(other), (one, other)
