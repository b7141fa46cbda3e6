# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks of objects and of device trees that need no kernel to be tried.

On a kernel they are tried in tests/kernel/test_object_checks.py.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kvtools import checks, diff
from kvtools.checks import excerpt, touched_units
from kvtools.checks.program import Touched
from kvtools.checks.request import Built, CheckRequest, Mails
from kvtools.model import Outcome, Status
from kvtools.steps import check as step

FOLDER = Path(__file__).parents[2] / "kvtools" / "checks"
LINT = "extends: relaxed\nrules:\n  document-start:\n    present: true\n"
GOOD = "---\nkey: 1\nother: 2\n"

needs = {name: pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed")
         for name in ("yamllint", "dtc")}


class Tree:
    """A repository whose last commit is the patch, and a worktree that goes back and forth."""

    def __init__(self, path: Path, before: dict[str, str], after: dict[str, str]) -> None:
        self.path, self.scratch = path / "tree", path
        self.path.mkdir()
        self.git("init", "-q", "-b", "main", ".")
        self.parent = self._commit(before)
        self.commit = self._commit(after)
        self.touched = tuple(
            Touched(name, name if name in before else None, "M" if name in before else "A")
            for name in after)

    def git(self, *words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(self.path), "-c", "user.name=A", "-c", "user.email=a@example.org",
             *words], check=True, capture_output=True, text=True).stdout.strip()

    def _commit(self, files: dict[str, str]) -> str:
        for name, text in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def check(self, name: str, built: Built | None = None) -> Outcome:
        for directory in ("out", "keep", "cache"):
            (self.scratch / directory).mkdir(exist_ok=True)
        mail = self.scratch / "mail"
        mail.write_text(self.git("format-patch", "-1", "--stdout"))
        request = CheckRequest(
            check=checks.load(FOLDER / name), repo=self.path, commit=self.commit,
            parent=self.parent, base_commit=self.parent, number=1, count=1, mails=Mails((mail,)),
            out=self.scratch / "out", keep=self.scratch / "keep", cache=self.scratch / "cache",
            worktree=self.path, touched=self.touched, built=built)
        self.git("checkout", "-q", self.parent)
        request = replace(request, before=step.before(request))
        self.git("checkout", "-q", self.commit)
        return step.run(request)


def rules(outcome: Outcome) -> list[tuple[str, str]]:
    return [(f["rule"], f["state"]) for f in outcome.details["findings"]]


@needs["yamllint"]
def test_yamllint_goes_by_the_rules_of_the_tree(tmp_path: Path) -> None:
    tree = Tree(tmp_path, {"dt/.yamllint": LINT, "dt/a.yaml": GOOD},
                {"dt/a.yaml": GOOD + "key: 3\n", "b.yaml": "key: 1\n"})
    outcome = tree.check("yamllint")
    assert outcome.status is Status.FAIL
    assert rules(outcome) == [("key-duplicates", "new")], "no document start only in dt/"


@needs["yamllint"]
def test_yamllint_does_not_blame_what_was_there(tmp_path: Path) -> None:
    tree = Tree(tmp_path, {"dt/.yamllint": LINT, "dt/a.yaml": "key: 1\n"},
                {"dt/a.yaml": "other: 1\nkey: 1\n"})
    outcome = tree.check("yamllint")
    assert outcome.status is Status.PASS
    assert rules(outcome) == [("document-start", "pre-existing")]


DTS = """/dts-v1/;
#include "part.dtsi"
/ {
\tmodel = "x";
};
"""
DTSI = """/ {
\tuart@1000 {
\t\treg = <0x1000 0x100>;
\t};
};
"""
LINKS = {"scripts/dtc/include-prefixes/README": "", "arch/x/a.dts": DTS, "arch/x/part.dtsi": DTSI}


@needs["dtc"]
def test_a_dtsi_is_compiled_with_who_includes_it(tmp_path: Path) -> None:
    broken = DTSI.replace("uart@1000", "uart@2000")
    outcome = Tree(tmp_path, LINKS, {"arch/x/part.dtsi": broken}).check("dt")
    assert outcome.status is Status.WARN
    new = [f for f in outcome.details["findings"] if f["state"] == "new"]
    assert {f["file"] for f in new} == {"arch/x/part.dtsi"}
    assert "arch/x/part.dtsi:" in outcome.summary


@needs["dtc"]
def test_a_device_tree_that_does_not_compile_is_a_fail(tmp_path: Path) -> None:
    outcome = Tree(tmp_path, LINKS, {"arch/x/a.dts": DTS.replace('"x"', "<&gone>")}).check("dt")
    assert outcome.status is Status.FAIL
    assert rules(outcome)[0] == ("error", "new")
    missing = DTS.replace("part.dtsi", "gone.dtsi")
    (tmp_path / "2").mkdir()
    outcome = Tree(tmp_path / "2", LINKS, {"arch/x/a.dts": missing}).check("dt")
    assert outcome.status is Status.FAIL and "gone.dtsi" in outcome.summary


@needs["dtc"]
def test_a_node_that_moves_down_is_the_same_finding(tmp_path: Path) -> None:
    broken = {**LINKS, "arch/x/part.dtsi": DTSI.replace("uart@1000", "uart@2000")}
    moved = broken["arch/x/part.dtsi"].replace("/ {\n", "/ {\n\t/* more */\n\n")
    outcome = Tree(tmp_path, broken, {"arch/x/part.dtsi": moved}).check("dt")
    assert outcome.status is Status.PASS
    assert {state for _, state in rules(outcome)} == {"pre-existing"}


def test_what_no_config_compiles_is_a_skip_with_the_name(tmp_path: Path) -> None:
    tree = Tree(tmp_path, {"arch/powerpc/a.c": "int a;\n"}, {"arch/powerpc/a.c": "int a, b;\n"})
    objects = tmp_path / "o"
    objects.mkdir()
    built = Built(objects, ("make",), {}, "guest", "x86_64")
    outcome = tree.check("w1", built)
    assert outcome.status is Status.SKIP
    assert "arch/powerpc/a.c" in outcome.summary and "guest" in outcome.summary


def test_a_check_that_breaks_is_an_error_and_blames_no_patch(tmp_path: Path) -> None:
    tree = Tree(tmp_path, {"include/linux/a.h": "int a;\n"}, {"include/linux/a.h": "int b;\n"})
    objects = tmp_path / "o"
    objects.mkdir()
    outcome = tree.check("header", Built(objects, ("make",), {}, "guest", "x86_64"))
    assert outcome.status is Status.ERROR
    assert "holds no unit" in outcome.summary


def test_smatch_is_skipped_where_it_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(shutil.which('git') or '').parent}")
    if shutil.which("smatch"):
        pytest.skip("smatch is installed")
    tree = Tree(tmp_path, {"a.c": "int a;\n"}, {"a.c": "int b;\n"})
    outcome = tree.check("smatch", Built(tmp_path, ("make",), {}, "guest", "x86_64"))
    assert (outcome.status, outcome.summary) == (Status.SKIP, "smatch is not installed")


@pytest.mark.parametrize(("path", "ours"), [
    ("include/linux/mm.h", True), ("arch/x86/include/asm/page.h", True), ("mm/internal.h", True),
    ("arch/powerpc/include/asm/page.h", False), ("tools/include/linux/mm.h", False)])
def test_headers_of_other_architectures_and_programs_are_not_compiled(
    path: str, ours: bool
) -> None:
    assert touched_units._of_this_kernel(path, "x86_64") is ours


SOURCE = """#include <x.h>

static int first(int a)
{
\treturn a;
}

SYSCALL_DEFINE1(second, int, b)
{
\tif (b)
\t\treturn 1;
\treturn 2;
}

static const struct ops ops = {
\t.first = first,
};
"""


def test_bodies_of_untouched_functions_are_emptied_and_lines_stay() -> None:
    short = excerpt.of(SOURCE, excerpt.functions_at(SOURCE, [10]))
    assert short.count("\n") == SOURCE.count("\n")
    assert "return a;" not in short and "return 2;" in short and ".first = first" in short


def test_a_function_that_only_loses_lines_is_touched() -> None:
    rows = SOURCE.split("\n")
    patch = b"--- a/x.c\n+++ b/x.c\n@@ -10,2 +9,0 @@ x\n-\tif (b)\n-\t\treturn 1;\n"
    (file,) = diff.parse(patch)
    assert excerpt.places(file) == (10,)
    assert excerpt.functions_at("\n".join(rows[:9] + rows[11:]), (10,)) == {"SYSCALL_DEFINE1"}
