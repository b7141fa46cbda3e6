# SPDX-License-Identifier: GPL-2.0-or-later
"""coccicheck on several files at once: who is to blame for what, and a file that spatch dies of.

On a kernel, with its own semantic patches, it is tried in tests/kernel/test_object_checks.py.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_checks_objects import Tree, rules

from kvtools.model import Status

# coccinelle brings OCaml and is optional: ./kv does not install it, and CI has none.
pytestmark = pytest.mark.skipif(shutil.which("spatch") is None, reason="spatch is not installed")

IFNULLFREE = """// Free what may be NULL
// Options: --no-includes --include-headers
virtual report
@r depends on report@
expression E;
position p;
@@
* if (E != NULL)
*	kfree@p(E);

@script:python depends on report@
p << r.p;
@@
coccilib.report.print_report(p[0], "WARNING: NULL check before kfree")
"""
DIES = """virtual report
@r depends on report@
position p;
@@
poison@p(...)

@script:python depends on report@
p << r.p;
@@
if "bad" in p[0].file:
    raise SystemExit(3)
coccilib.report.print_report(p[0], "WARNING: poison")
"""
CHECKED = "void {name}(void *p)\n{{\n\tif (p != NULL)\n\t\tkfree(p);\n}}\n"
PLAIN = "void {name}(void *p)\n{{\n\tkfree(p);\n}}\n"
SCRIPTS = {"scripts/coccinelle/free/ifnullfree.cocci": IFNULLFREE}


def test_each_file_of_a_patch_has_its_own_findings(tmp_path: Path) -> None:
    old = CHECKED.format(name="was")
    tree = Tree(tmp_path, {**SCRIPTS, "a/x.c": PLAIN.format(name="f"), "b/x.c": old,
                           "c.c": PLAIN.format(name="g")},
                {"a/x.c": CHECKED.format(name="f"),               # new
                 "b/x.c": old.replace("{\n", "{\n\tready();\n"),  # touched, but it was there
                 "c.c": PLAIN.format(name="g") + "int more;\n"})
    outcome = tree.check("coccicheck")
    assert outcome.status is Status.WARN
    assert [(f["file"], f["function"], f["line"]) for f in outcome.details["findings"]] == [
        ("a/x.c", "f", 4)], "of two files of one name and a third"


def test_a_file_that_spatch_dies_of_is_named_and_the_others_have_their_answer(
    tmp_path: Path
) -> None:
    uses = "void {name}(void)\n{{\n\tpoison(1);\n}}\n"
    tree = Tree(tmp_path, {"scripts/coccinelle/dies.cocci": DIES, "bad.c": "int a;\n",
                           "good.c": "int b;\n"},
                {"bad.c": uses.format(name="f"), "good.c": uses.format(name="g")})
    outcome = tree.check("coccicheck")
    assert rules(outcome) == [("dies", "new")]
    assert outcome.details["findings"][0]["file"] == "good.c"
    (note,) = outcome.details["notes"]
    assert note.startswith("dies failed") and note.endswith("on bad.c")
