# SPDX-License-Identifier: GPL-2.0-or-later
"""The linters are part of the suite: what CI says, ./kv pytest says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--no-cache", "."],
        ["mypy", "--strict", "kvtools"],
    ],
    ids=["ruff", "mypy"],
)
def test_linter(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def tracked() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / n for n in names.split("\0") if n and (ROOT / n).is_file()]


def test_every_source_file_names_its_licence() -> None:
    missing = [
        str(p.relative_to(ROOT))
        for p in tracked()
        if p.suffix in (".py", ".sh", ".toml", ".config")
        and "data" not in p.parts
        and p.stat().st_size
        and "SPDX-License-Identifier: GPL-2.0-or-later" not in p.read_text()[:400]
    ]
    assert missing == []


def test_modules_stay_small() -> None:
    long = {
        str(p.relative_to(ROOT)): n
        for p in (ROOT / "kvtools").rglob("*.py")
        if (n := len(p.read_text().splitlines())) > 450
    }
    assert long == {}


def test_no_kernel_source_outside_patches() -> None:
    """Kernel files never enter the repository; only patches with their context do."""
    c_files = [p for p in tracked() if p.suffix in (".c", ".h", ".S")]
    ours = [p for p in c_files if "fakelinux" in p.parts or p.name == "probe.S"]
    ours += [p for p in c_files if p.parts[-3:-1] == ("kvtools", "guest")]  # programs of ours
    # Made up for the checks: a declaration or two.
    ours += [p for p in c_files if "checks" in p.parts and p.stat().st_size < 200]
    assert [p for p in c_files if p not in ours] == []
    big = [
        p.name
        for p in tracked()
        if p.suffix == ".patch"
        and len(re.findall(r"^ ", p.read_text(errors="replace"), re.MULTILINE)) > 2000
    ]
    assert big == []
