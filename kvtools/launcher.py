# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``./kv`` does: see that everything is here, then become kvtools (or pytest).

Runs on the system's Python before anything is installed, at every start: the standard
library only, and little of it unless something is missing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from kvtools import packages, venv

LIGHT = frozenset({"doctor", "runs", "report", "--help", "-h", "--version"})
"""Commands that need none of the required packages and so start without them."""


def main(root: Path, argv: Sequence[str]) -> int:
    """Does not return when kvtools starts; else the exit status. ``root``: the clone."""
    _settle_home()
    place = Path.cwd() / (os.environ.get("KVTOOLS_VENV") or root / ".venv")
    needed = packages.parse((root / "kbuild/packages.toml").read_text("utf-8"))
    if packages.missing(needed, "required") or not venv.is_fresh(root, place):
        from kvtools import installer  # brings subprocess and more: only when it must

        light = not argv or argv[0] in LIGHT
        if status := installer.install(root, place, needed, may_lack=light):
            return status
    command = command_args(root, place, argv, Path.cwd())
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, environment(place, tests=argv[:1] == ["pytest"]))


def _settle_home() -> None:
    """Give an empty or missing HOME the user's own: pip, git and vng all look there."""
    if not os.environ.get("HOME"):
        import pwd

        try:
            os.environ["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            os.environ.pop("HOME", None)


def command_args(root: Path, place: Path, argv: Sequence[str], cwd: Path) -> list[str]:
    """The command to become. pytest started outside the clone collects its tests all the same."""
    if argv[:1] != ["pytest"]:
        # -P: a directory called kvtools or rich where the user stands must not be imported.
        return [str(venv.python(place)), "-P", "-m", "kvtools", *argv]
    rest = list(argv[1:])
    named = any(Path(cwd, word.partition("::")[0]).exists() for word in rest)
    inside = cwd.resolve().is_relative_to(root)
    where = [] if named or inside else [str(root / "tests")]
    config = [f"--rootdir={root}", "-c", str(root / "pyproject.toml")]
    return [str(venv.python(place)), "-m", "pytest", *config, *_workers(rest, named), *rest, *where]


def _workers(words: Sequence[str], named: bool) -> list[str]:
    """Several test processes for the whole suite; tests/conftest.py keeps the kernel tests in one.

    The tests wait (for deadlines, for programs) as long as they compute: on 2 cores four took
    60 s where two took 117 s.
    """
    alone = ("-n", "-s", "--pdb", "--trace", "--numprocesses", "--capture", "-x", "--collect-only")
    if named or any(word.startswith(alone) for word in words):
        return []
    return ["-n", str(max(4, os.cpu_count() or 1))]


def environment(place: Path, *, tests: bool = False) -> dict[str, str]:
    """Ours, with the virtual environment's programs first: vng finds virtme-run by PATH.

    The tests write bytecode, as they write other caches into the clone, also where the environment
    of a container says not to: every process of pytest would rewrite all asserts anew.
    """
    unwanted = {"PYTHONHOME", "PYTHONDONTWRITEBYTECODE"} if tests else {"PYTHONHOME"}
    env = {name: value for name, value in os.environ.items() if name not in unwanted}
    env["VIRTUAL_ENV"] = str(place)
    env["PATH"] = f"{place / 'bin'}:{env.get('PATH', os.defpath)}"
    return env
