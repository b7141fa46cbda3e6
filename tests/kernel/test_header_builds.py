# SPDX-License-Identifier: GPL-2.0-or-later
"""Header-aware builds on the real tree: random edits, and the patch that adds a page type."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from harness import ROOT, Run

EDITS = 23
"""One of every kind; ``benchmarks/header_edits.py --edits 200`` is the long one."""


@pytest.fixture(scope="module")
def patch_2(kvtest: Callable[..., Run]) -> Run:
    """The base, and the patch that adds to include/linux/page-flags.h."""
    return kvtest("--patches", "2", "--only", "build", "--header-aware")


def test_a_patch_to_a_central_header_compiles_little(patch_2: Run) -> None:
    built = patch_2.outcome(2, "build:guest")
    assert built["status"] == "PASS", built
    assert built["details"]["objects_spared"] > 500, built["details"]
    assert built["details"]["objects_built"] < 60
    assert built["details"]["objects_sampled"]


def test_kept_objects_are_what_the_compiler_makes(
        patch_2: Run, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/header_edits.py", "--edits", str(EDITS), "--compile", "2"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    found = re.search(r"(\d+) of them compiled, wrong reuse (\d+)", done.stdout)
    assert found, done.stdout
    assert int(found[1]) > 10
    assert found[2] == "0"
