# SPDX-License-Identifier: GPL-2.0-or-later
"""How every git command is run: no configuration, hook or filter of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kvtools import process

READ = 120.0
"""Deadline of a command that only reads, seconds; a cold disk is slow."""
WRITE = 900.0
"""Deadline of a checkout or add of a whole kernel tree, seconds."""

CONFIG = (
    ("core.hooksPath", "/dev/null"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.autocrlf", "false"),
    ("core.safecrlf", "false"),
    ("core.quotePath", "false"),
    ("core.fsmonitor", "false"),  # a program of the user's choice
    ("core.untrackedCache", "false"),
    ("core.abbrev", "auto"),
    ("safe.directory", "*"),  # trees owned by others are read, never run
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("commit.gpgSign", "false"),
    ("i18n.commitEncoding", "UTF-8"),
    ("rerere.enabled", "false"),
    ("merge.conflictStyle", "merge"),
    ("merge.renames", "true"),
    ("diff.renames", "true"),
    ("diff.noprefix", "false"),
    ("diff.mnemonicPrefix", "false"),
    ("diff.algorithm", "myers"),
    ("advice.detachedHead", "false"),
    ("submodule.recurse", "false"),
)


def environment() -> dict[str, str]:
    """The environment every git command runs in, see the module's first lines."""
    env = {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",  # reading must not refresh the user's index
        "GIT_NO_REPLACE_OBJECTS": "1",  # an id names what it names everywhere
        "GIT_EDITOR": "false",
        "LC_ALL": "C",
        "LANGUAGE": "",
        "TZ": "UTC",
        "GIT_CONFIG_COUNT": str(len(CONFIG)),
    }
    for index, (key, value) in enumerate(CONFIG):
        env[f"GIT_CONFIG_KEY_{index}"] = key
        env[f"GIT_CONFIG_VALUE_{index}"] = value
    return env


def git(
    repo: Path,
    *args: str,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    deadline: float = READ,
    check: bool = True,
) -> process.Completed:
    return process.run(
        ["git", *args],
        deadline=deadline,
        cwd=repo,
        env={**environment(), **(env or {})},
        stdin=stdin,
        check=check,
    )


def line(repo: Path, *args: str) -> str:
    return git(repo, *args).text.strip("\n")


def last_error(done: process.Completed) -> str:
    rows = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return rows[-1] if rows else f"exit status {done.returncode}"
