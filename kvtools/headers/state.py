# SPDX-License-Identifier: GPL-2.0-or-later
"""What the objects of a directory were made of, and the way back from a build that did not end.

Known between two builds only: what a build changes, it changes with the knowledge put aside. One
that failed, was interrupted or killed leaves it aside; the next one begins by removing what that
one made, so that all that is left is of the commit before again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from kvtools import git
from kvtools.git.command import git as run
from kvtools.headers.commands import products

STATE = ".kvtools-tree"
ASIDE = ".kvtools-begun"
_CONFIG = ".config"


def recorded(objects: Path) -> dict[str, str]:
    """``commit`` and ``config`` of all objects, empty when it is not known."""
    return _read(objects / STATE, {"commit", "config"})


def put_aside(objects: Path) -> None:
    """From here on only times count. The caller is going to let make change objects."""
    before = recorded(objects)
    if before:
        _write(objects / ASIDE, {**before, "config_then": config(objects)})
    (objects / STATE).unlink(missing_ok=True)


def recover(objects: Path) -> None:
    """Back to the objects that there were before a build that did not end, if there was one.

    What make made goes. Not when that would be most of it: then what is there is nearer to what
    comes next, and make knows it by its time. Not if that build had another configuration
    either: autoconf.h is of it, and conditions are decided by autoconf.h.
    """
    before = _read(objects / ASIDE, {"commit", "config", "config_then"})
    begun = age(objects / ASIDE)  # by the clock that files have, which may be behind
    (objects / ASIDE).unlink(missing_ok=True)
    if not before or (objects / STATE).exists() or before["config"] != before["config_then"]:
        return
    made = products(objects)
    remade = [p.target for p in made if age(objects / p.target) >= begun]
    if len(remade) > len(made) / 2:
        return
    for target in remade:
        (objects / target).unlink(missing_ok=True)
    _write(objects / STATE, {name: before[name] for name in ("commit", "config")})


def settle(source: Path, objects: Path) -> None:
    """make has succeeded: the objects are those of the commit that is checked out.

    Of a worktree that is not as its commit is nothing is written down.
    """
    forget(objects)
    if run(source, "status", "--porcelain", "--untracked-files=normal").text.strip():
        return
    _write(objects / STATE, {"commit": git.rev_parse(source, "HEAD"), "config": config(objects)})


def forget(objects: Path) -> None:
    """Nothing is known of the objects, and there is no way back."""
    for name in (STATE, ASIDE):
        (objects / name).unlink(missing_ok=True)


def config(objects: Path) -> str:
    """The .config as it is, empty when there is none."""
    try:
        return (objects / _CONFIG).read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""


def age(path: Path) -> int:
    """Time of the last change in ns, now for a file that is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return time.time_ns()


def _read(path: Path, names: set[str]) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) and names <= found.keys() else {}


def _write(path: Path, values: Mapping[str, str]) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(dict(values)))
    part.replace(path)
