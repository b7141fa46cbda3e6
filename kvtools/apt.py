# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages of the machine's own apt sources, fetched without installing or root.

Where apt has no package lists, stale ones, or not those of every source, we keep lists of
our own in the directory that callers give as ``lists``; the system's are never touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from kvtools import process
from kvtools.errors import ToolFailed

QUICK = 60.0
UPDATE = 600.0
DOWNLOAD = 1800.0
FRESH = 6 * 3600.0
"""Age in seconds up to which lists of our own are not fetched again."""

CONFIG = "APT_CONFIG"

NETWORK = ("-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=30",
           "-o", "Acquire::https::Timeout=30")


@dataclass(frozen=True, slots=True)
class Package:
    """What apt would install: ``size`` of the .deb in bytes; ``options`` lead apt to it."""

    name: str
    version: str
    size: int
    options: tuple[str, ...] = ()


def installed(name: str) -> str | None:
    """The version of an installed package, None when it is not or dpkg is not here."""
    if process.which("dpkg-query") is None:
        return None
    done = process.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}\n", name],
        deadline=QUICK, check=False,
    )
    for line in done.text.splitlines():
        status, _, version = line.partition(" ")
        if status == "installed":
            return version
    return None


def candidate(name: str, lists: Path) -> Package | None:
    """What the system's lists offer, or else ours; None when apt offers nothing.

    Ours are fetched only when the system's do not name the package: they may be older than it.
    Raises ToolMissing without apt, ToolFailed when no lists can be had.
    """
    system = _of_system(name, lists / "offered.json")
    if system is not None:
        return system
    try:
        return _offered(name, update(lists))
    except ToolFailed:
        if _has_lists():
            return None
        raise


def update(lists: Path, *, age: float = FRESH) -> tuple[str, ...]:
    """Have lists of our own, at most ``age`` seconds old, in ``lists``.

    Returns the options that make apt use them; raises ToolMissing or ToolFailed.
    """
    options = ("-o", f"Dir::State::lists={lists}/lists", "-o", f"Dir::Cache={lists}/cache")
    stamp = lists / "updated"
    if stamp.is_file() and time.time() - stamp.stat().st_mtime < age:
        return options
    for part in ("lists/partial", "cache/archives/partial"):
        (lists / part).mkdir(parents=True, exist_ok=True)
    # Its status is of all sources together: one that fails must not hide the others.
    done = process.run(["apt-get", *NETWORK, *options, "update"], deadline=UPDATE, check=False,
                       merge=True)
    if not any((lists / "lists").glob("*_Packages*")):
        said = [line for line in done.text.splitlines() if line.startswith(("E: ", "W: "))]
        raise ToolFailed(f"apt-get update got no package lists: {said[-1] if said else 'silent'}",
                         fix="check the network and /etc/apt/sources.list*")
    stamp.touch()
    return options


def download(package: Package, lists: Path, directory: Path) -> tuple[Path, Package]:
    """Fetch the .deb into ``directory``; apt checks it against the signed lists.

    When the mirror no longer has that version, lists of our own are fetched and what they
    offer is taken instead: the second value says what it became. Raises ToolFailed.
    """
    try:
        return _get(package, directory), package
    except ToolFailed:
        newer = _offered(package.name, update(lists, age=0.0))
        if newer is None or newer.version == package.version:
            raise
        return _get(newer, directory), newer


def unpack(deb: Path, directory: Path) -> None:
    """Extract the files of a .deb below ``directory``."""
    process.run(["dpkg-deb", "-x", str(deb), str(directory)], deadline=UPDATE)


def _get(package: Package, directory: Path) -> Path:
    process.run(
        ["apt-get", *NETWORK, *package.options, "download", f"{package.name}={package.version}"],
        deadline=DOWNLOAD, cwd=directory, merge=True,
    )
    found = sorted(directory.glob(f"{package.name}_*.deb"))
    if not found:
        raise ToolFailed(f"apt-get download left no {package.name}_*.deb in {directory}")
    return found[-1]


def _offered(name: str, options: tuple[str, ...]) -> Package | None:
    done = process.run(["apt-cache", *options, "show", "--no-all-versions", name],
                       deadline=QUICK, check=False)
    fields = dict(re.findall(r"^(Package|Version|Size|Filename): (.+)$", done.text, re.MULTILINE))
    # A package that is only installed has no Filename: it cannot be fetched.
    if fields.get("Package") != name or "Filename" not in fields:
        return None
    return Package(name, fields["Version"], int(fields.get("Size", "0")), options)


def _of_system(name: str, memo: Path) -> Package | None:
    """What the system's lists offer; apt, which takes half a second, is asked when they or its
    settings have changed since."""
    state = _state()
    try:
        known = json.loads(memo.read_text())
        if known["state"] == state and known["name"] == name:
            return Package(name, known["version"], known["size"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = _offered(name, ())
    if found is not None:
        with contextlib.suppress(OSError):
            memo.parent.mkdir(parents=True, exist_ok=True)
            part = memo.with_name(f"{memo.name}.{os.getpid()}")
            part.write_text(json.dumps({"state": state, "name": name, "version": found.version,
                                        "size": found.size}))
            part.replace(memo)
    return found


def _state() -> list[str]:
    """Times and sizes of what apt answers from."""
    places = _places()
    asked = [path for top in ("etc", "lists") for path in sorted(places[top].rglob("*"))]
    found = []
    for path in (places["status"], *asked, *map(Path, filter(None, [os.environ.get(CONFIG)]))):
        with contextlib.suppress(OSError):
            state = path.stat()
            found.append(f"{path} {state.st_size} {state.st_mtime_ns}")
    return found


def _places() -> dict[str, Path]:
    done = process.run(["apt-config", "shell", "lists", "Dir::State::lists/d", "status",
                        "Dir::State::status/f", "etc", "Dir::Etc/d"], deadline=QUICK)
    return {name: Path(place) for name, place in
            re.findall(r"^(\w+)='(.*)'$", done.text, re.MULTILINE)}


def _has_lists() -> bool:
    return any(_places()["lists"].glob("*_Packages*"))
