# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks that run scripts of the kernel tree, on the untouched tree; nothing is built.

Patches that trip them and near misses, all of them one series: see tests/unit/test_checks_data.py.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import DATA, ROOT, Run

CHECKS = ("checkpatch", "kerneldoc", "recipients")
# The patch that brings a .checkpatch.conf comes last: it holds for what follows.
CASES = sorted((p for c in CHECKS for p in (DATA / "checks" / c).glob("*/*.patch")),
               key=lambda p: (".zz-" in p.name, p))


@pytest.fixture(scope="module")
def checked(kvtest: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> Run:
    series = tmp_path_factory.mktemp("checks")
    for number, case in enumerate(CASES, 1):
        (series / f"{number:04d}.patch").write_bytes(case.read_bytes())
    only = [word for name in CHECKS for word in ("--only", f"check:{name}")]
    return kvtest(series, "--base", "oracle", *only)


@pytest.mark.parametrize("case", CASES, ids=lambda p: "/".join(p.parts[-3:]))
def test_case(checked: Run, case: Path) -> None:
    name, kind = case.parts[-3], case.parts[-2]
    outcome = checked.outcome(CASES.index(case) + 1, f"check:{name}")
    rule = case.name.removesuffix(".patch").partition(".")[0]
    found = {one["rule"] for one in outcome["details"]["findings"] if one["level"] != "ignore"}
    if kind == "trip":
        assert rule in found, outcome
        assert outcome["status"] in ("WARN", "FAIL") and outcome["details"]["owner"] == "patch"
    elif rule == "clean":
        assert found == set(), outcome
    else:
        assert rule not in found, outcome


def test_b4_shows_our_findings(fakelinux_here: Path, environment: dict[str, str]) -> None:
    """``b4 prep --check`` on a scratch branch, offline, with the real b4."""
    env = {**environment, "HOME": str(fakelinux_here.parent), "NO_COLOR": "1",
           "KVTOOLS_HOME": str(fakelinux_here.parent / "kvtools")}

    def run(*argv: str) -> str:
        done = subprocess.run(argv, cwd=fakelinux_here, env=env, capture_output=True, text=True,
                              check=False, timeout=600)
        return done.stdout + done.stderr

    run("git", "config", "b4.prep-cover-strategy", "branch-description")
    run("git", "config", "b4.prep-perpatch-check-cmd", f"{ROOT}/kv b4-check")
    run("b4", "--offline-mode", "-n", "prep", "-n", "scratch", "-f", "main")
    with (fakelinux_here / "mm" / "memory_hotplug.c").open("a") as file:
        file.write("static inline int f(void)\n{\n\treturn 1;\n}\n")
    run("git", "commit", "-qam", "mm: add f\n\nSomebody may want to have it.")
    said = run("b4", "--offline-mode", "-n", "prep", "--check")
    assert "WARNING: inline.INLINE_IN_C: mm/memory_hotplug.c:" in said
    assert "ERROR: signoff.NO_SIGNOFF" in said


@pytest.fixture
def fakelinux_here(tmp_path: Path) -> Path:
    tree = tmp_path / "linux"
    git = ["git", "-c", "user.name=A U Thor", "-c", "user.email=author@example.org"]
    subprocess.run(["cp", "-r", str(DATA / "fakelinux"), str(tree)], check=True)
    for argv in (["git", "init", "-q", "-b", "main"], ["git", "add", "-Af"],
                 [*git, "commit", "-q", "-m", "Fake Linux 6.1"],
                 ["git", "config", "user.name", "A U Thor"],
                 ["git", "config", "user.email", "author@example.org"]):
        subprocess.run(argv, cwd=tree, check=True, env={**os.environ, "HOME": str(tmp_path)})
    return tree
