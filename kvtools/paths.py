# SPDX-License-Identifier: GPL-2.0-or-later
"""Where kvtools keeps things. Nothing is created here; whoever writes makes the directory."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kvtools.errors import MachineError, UserError


@dataclass(frozen=True, slots=True)
class Home:
    """``state`` holds results (runs, outcomes), ``cache`` what can be made again (trees, objects).

    Both absolute.
    """

    state: Path
    cache: Path


def home(environ: Mapping[str, str] = os.environ) -> Home:
    """The XDG directories, or those below ``KVTOOLS_HOME`` when it is set.

    Raises :class:`UserError` when there is no home directory at all.
    """
    own = environ.get("KVTOOLS_HOME", "")
    if own:
        root = Path(own)
        if not root.is_absolute():
            root = Path.cwd() / root
        return Home(state=root / "state", cache=root / "cache")
    return Home(
        state=_xdg(environ, "XDG_STATE_HOME", ".local/state") / "kvtools",
        cache=_xdg(environ, "XDG_CACHE_HOME", ".cache") / "kvtools",
    )


def config(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's ``config.toml``; it need not be there."""
    return _xdg(environ, "XDG_CONFIG_HOME", ".config") / "kvtools" / "config.toml"


def _xdg(environ: Mapping[str, str], name: str, default: str) -> Path:
    value = environ.get(name, "")
    # XDG Base Directory Specification: a relative path is invalid and to be ignored.
    if value.startswith("/"):
        return Path(value)
    return _user(environ) / default


def _user(environ: Mapping[str, str]) -> Path:
    value = environ.get("HOME", "")
    if not value.startswith("/"):
        try:
            value = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            value = ""
    if not value.startswith("/"):
        raise UserError(
            f"user {os.getuid()} has no home directory and HOME is not set",
            fix="set KVTOOLS_HOME to a directory with 10 GB of room",
        )
    return Path(value)


def data() -> Path:
    """The root of the repository, with ``kbuild/`` and ``patches/``.

    Raises :class:`MachineError` when the package runs from somewhere without them.
    """
    root = Path(__file__).resolve().parent.parent
    if not (root / "kbuild").is_dir():
        raise MachineError(
            f"no kbuild/ beside the package in {root}", fix="start kvtools with ./kv in its clone"
        )
    return root
