# SPDX-License-Identifier: GPL-2.0-or-later
"""Imports go strictly down the floors of docs/architecture.md, never between siblings."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "kvtools"
DOCUMENT = PACKAGE.parent / "docs" / "architecture.md"


def floors() -> dict[str, int]:
    """Module to floor, read from the table in the document: it cannot go stale unseen."""
    found: dict[str, int] = {}
    for line in DOCUMENT.read_text().splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if len(cells) == 2 and cells[0].isdigit():
            names = [w.strip("`/,;:() ") for w in cells[1].replace("`", " ").split()]
            found.update({n: int(cells[0]) for n in names if n.isidentifier()})
    return found


def module_of(path: Path) -> str:
    """The room a file belongs to: a top-level module or package of kvtools."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path, source: str) -> set[str]:
    """The full kvtools modules that a file imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "kvtools":
                found.update(f"kvtools.{a.name}" for a in node.names)
            elif node.module.startswith("kvtools."):
                found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(a.name for a in node.names if a.name.startswith("kvtools."))
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"relative import in {path}"
    return found


def violations(path: Path, source: str, table: dict[str, int]) -> list[str]:
    own = module_of(path)
    wrong = []
    for name in sorted(imported(path, source)):
        other = name.split(".")[1]
        same_step = own == other == "steps" and name.split(".")[-1] != path.stem
        if own == other and not same_step:
            continue
        if same_step or table[other] >= table[own]:
            wrong.append(f"{path.name}: {own} (floor {table[own]}) imports {name}")
    return wrong


GUEST = PACKAGE / "guest"  # programs for the guest, on no floor: each stands alone
SOURCES = sorted(
    p
    for p in PACKAGE.rglob("*.py")
    if p.name not in ("__init__.py", "__main__.py") and p.parent != GUEST
)
SOURCES += sorted(p for p in PACKAGE.rglob("*/__init__.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    table = floors()
    assert module_of(path) in table, f"{module_of(path)} has no floor in docs/architecture.md"
    assert violations(path, path.read_text(), table) == []


def test_programs_for_the_guest_import_nothing_of_ours() -> None:
    for path in GUEST.glob("*.py"):
        assert imported(path, path.read_text()) == set()


def test_an_upward_and_a_sideways_import_are_seen() -> None:
    table = floors()
    assert violations(PACKAGE / "git.py", "from kvtools import runner", table)
    assert violations(PACKAGE / "git.py", "from kvtools.make import build", table)
    assert violations(PACKAGE / "steps" / "boot.py", "from kvtools.steps.build import x", table)
    assert violations(PACKAGE / "plan.py", "def f():\n import kvtools.console\n", table)
    assert not violations(PACKAGE / "git.py", "from kvtools.errors import UserError", table)


def test_only_process_uses_subprocess() -> None:
    users = {
        module_of(p)
        for p in PACKAGE.rglob("*.py")
        if p.parent != GUEST
        and any(
            isinstance(n, ast.Import) and any(a.name == "subprocess" for a in n.names)
            for n in ast.walk(ast.parse(p.read_text()))
        )
    }
    assert users == {"process"}
