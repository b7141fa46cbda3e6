# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading diffs, and saying why they do not fit."""

from __future__ import annotations

import time

import pytest

from kvtools import diff

TREE = "".join(f"line {n}\n" for n in range(1, 41)).encode()
PATCH = b"""A message.
---
 mm/a.c | 2 +-

diff --git a/mm/a.c b/mm/a.c
index 1111111..2222222 100644
--- a/mm/a.c
+++ b/mm/a.c
@@ -9,5 +9,6 @@ static int f(void)
 line 9
 line 10
-line 11
+LINE 11
+LINE 11b
 line 12
 line 13
@@ -30,3 +31,2 @@
 line 30
-line 31
 line 32
--\x20
2.39.5
"""


def one(text: bytes) -> diff.FileDiff:
    (file,) = diff.parse(text)
    return file


def test_hunks() -> None:
    file = one(PATCH)
    assert (file.old, file.new, file.line) == ("mm/a.c", "mm/a.c", 5)
    first, second = file.hunks
    assert first.header == "@@ -9,5 +9,6 @@ static int f(void)"
    assert first.line == 9
    assert first.old == (b"line 9", b"line 10", b"line 11", b"line 12", b"line 13")
    assert first.new[2:4] == (b"LINE 11", b"LINE 11b")
    assert second.lines == (b" line 30", b"-line 31", b" line 32")
    assert diff.new_ranges([file]) == {"mm/a.c": ((11, 12),)}
    assert file.excerpt.split("\n")[:2] == ["@@ -9,5 +9,6 @@ static int f(void)", " line 9"]


@pytest.mark.parametrize(
    ("header", "old", "new"),
    [
        (b"diff --git a/x b/x\nnew file mode 100644\nindex 0000000..e69de29\n", None, "x"),
        (b"diff --git a/x b/x\ndeleted file mode 100644\nindex e69de29..0000000\n", "x", None),
        (b"diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", "x", "x"),
        (b"diff --git a/x b/d/y\nrename from x\nrename to d/y\n", "x", "d/y"),
        (b"diff --git a/a b c b/a b c\nold mode 100644\nnew mode 100755\n", "a b c", "a b c"),
        (b'diff --git "a/t\\303\\274\\t" "b/t\\303\\274\\t"\nold mode 100644\n', "tü\t", "tü\t"),
        (b"--- a/x\t2018-01-01\n+++ b/x\t2018-01-02\n@@ -1 +1 @@\n-a\n+b\n", "x", "x"),
        (b"--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+b\n", None, "x"),
        (b"--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n", "x", None),
    ],
)
def test_names(header: bytes, old: str | None, new: str | None) -> None:
    file = one(header)
    assert (file.old, file.new) == (old, new)


def test_binary_symlink_and_prefixes() -> None:
    literal = one(
        b"diff --git a/l b/l\nnew file mode 100644\nindex " + b"0" * 40 + b".." + b"1" * 40
        + b"\nGIT binary patch\nliteral 3\nKcmZ\n\nliteral 0\nHcmV\n\n"
    )
    assert literal.binary and literal.literal and literal.full_index
    absent = one(b"diff --git a/l b/l\nindex 111..222 100644\nBinary files a/l and b/l differ\n")
    assert absent.binary and not absent.literal and not absent.full_index
    link = one(b"diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n"
               b"@@ -0,0 +1 @@\n+/etc\n\\ No newline at end of file\n")
    assert link.new_mode == "120000" and link.hunks[0].lines == (b"+/etc",)
    bare = one(b"diff --git mm/a.c mm/a.c\n--- mm/a.c\n+++ mm/a.c\n@@ -1 +1 @@\n-a\n+b\n")
    assert not bare.prefixed and one(PATCH).prefixed


def test_empty_context_line_without_its_space() -> None:
    file = one(b"--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n")
    assert file.hunks[0].old == (b"a", b"", b"b")


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        (b" line 10\n", b"line 10\n", 11, "white space was lost"),
        (b" line 10\n", b"", 16, "does not have the lines"),
        (b" line 13\n", b" line 13\n line 14\n", 17, "more lines than its @@"),
        (b" line 32\n--\x20\n2.39.5\n", b"", 20, "ends in the middle"),
        (b" line 10\n", b" line 10 " + b"x" * 60 + b"\nwrapped\n", 12, "wrapped by a mail client"),
        (b"--- a/mm/a.c\n+++ b/mm/a.c\n", b"", 0, ""),
    ],
)
def test_damage_is_found_at_its_line(old: bytes, new: bytes, line: int, reason: str) -> None:
    assert old in PATCH
    text = PATCH.replace(old, new)
    if not line:
        assert one(text).path == "mm/a.c"
        return
    with pytest.raises(diff.DiffError, match=reason) as caught:
        diff.parse(text)
    assert caught.value.line == line
    assert caught.value.excerpt


def test_hunk_without_a_file() -> None:
    with pytest.raises(diff.DiffError, match="line 2: a hunk without a file"):
        diff.parse(b"text\n@@ -1 +1 @@\n-a\n+b\n")


def test_a_fitting_patch_has_no_misfit() -> None:
    assert diff.misfits(one(PATCH), TREE) == ()
    assert diff.misfits(one(PATCH), b"shifted\n" * 100 + TREE) == ()


def misfit(content: bytes | None) -> diff.Misfit:
    return diff.misfits(one(PATCH), content)[0]


def test_reasons() -> None:
    changed = misfit(TREE.replace(b"line 11\n", b"other 11\n"))
    assert changed.reason == "context not found: no 'line 11' near line 11"
    assert changed.found[3] == "11: other 11"
    assert changed.hunk.startswith("@@ -9,5 +9,6 @@")
    moved = misfit(b"new\n" * 50 + TREE.replace(b"line 11\n", b"other 11\n"))
    assert "near line 61" in moved.reason
    done = misfit(TREE.replace(b"line 11\n", b"LINE 11\nLINE 11b\n"))
    assert done.reason == "already applied: line 9 has the new text"
    assert "LF" in misfit(TREE.replace(b"\n", b"\r\n")).reason
    assert "white space" in misfit(TREE.replace(b"line 11", b"line  11")).reason
    assert "nothing in the file" in misfit(b"int x;\nint y;\n").reason
    assert misfit(None).reason == "the tree has no such file"


def test_crlf_patch_on_an_lf_tree() -> None:
    text = PATCH.replace(b"line 9\n", b"line 9\r\n").replace(b"line 1", b"line 1")
    file = one(text.replace(b" line 10\n", b" line 10\r\n").replace(b"-line 11\n", b"-line 11\r\n"))
    assert "dos2unix" in diff.misfits(file, TREE)[0].reason


def test_a_large_file_is_bounded() -> None:
    content = b"\t}\n\n\tint i;\n" * 100_000
    begin = time.monotonic()
    assert diff.misfits(one(PATCH), content)
    assert time.monotonic() - begin < 3
