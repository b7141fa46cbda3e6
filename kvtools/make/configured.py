# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a configuration would come out as it did: nothing that it reads has changed.

What Kconfig asks the machine (pahole, rustc, the compiler) is taken to stay for one run of
kvtools; another process asks again. Whatever is not known to be unread counts as read.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from kvtools import git
from kvtools.errors import KvtoolsError
from kvtools.git.command import git as run

_STAMP = ".kvtools-configured"
_SOURCES = frozenset({".c", ".h", ".S", ".rst", ".txt", ".yaml", ".dts", ".dtsi"})
_LISTS = frozenset({"MAINTAINERS", "CREDITS", ".mailmap", ".gitignore"})
_MAKEFILES = frozenset({"Makefile", "Kbuild"})


@dataclass(frozen=True, slots=True)
class Stamp:
    """A configuration that was made: of ``commit``, ``asked`` for by ``process``.

    ``result`` is the .config that came out, ``text`` what make said.
    """

    process: str
    asked: str
    commit: str
    result: str
    text: str


def is_read(path: str) -> bool:
    """Whether configuring a kernel may read a file of its tree, path relative to its top."""
    parts = PurePosixPath(path).parts
    if parts[0] == "scripts":
        return True
    if parts[-1] in _MAKEFILES:
        return len(parts) == 1 or parts[0] == "arch"
    return PurePosixPath(path).suffix not in _SOURCES and parts[-1] not in _LISTS


def recall(source: Path, objects: Path, asked: str) -> Stamp | None:
    """What this process made of the same request here, when making it again gives that."""
    try:
        stamp = Stamp(**json.loads((objects / _STAMP).read_text()))
        now = (objects / ".config").read_bytes().decode("utf-8", "surrogateescape")
    except (OSError, ValueError, TypeError):
        return None
    if (stamp.process, stamp.asked, stamp.result) != (_process(), asked, now):
        return None
    try:
        changed = _changed(source, stamp.commit)
    except KvtoolsError:
        return None
    return None if any(map(is_read, changed)) else stamp


def remember(source: Path, objects: Path, asked: str, text: str, result: bytes) -> None:
    """Of a worktree in which something that is read is not as committed, nothing is kept."""
    with suppress(KvtoolsError):
        commit = git.rev_parse(source, "HEAD")
        if not any(map(is_read, _changed(source, commit))):
            stamp = Stamp(_process(), asked, commit, result.decode("utf-8", "surrogateescape"),
                          text)
            (objects / _STAMP).write_text(json.dumps(asdict(stamp)))


def forget(objects: Path) -> None:
    """The next configuration is made, whatever was."""
    (objects / _STAMP).unlink(missing_ok=True)


def _changed(source: Path, commit: str) -> list[str]:
    """Tracked files that differ from ``commit``, and files that git does not know."""
    told = run(source, "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff",
               "--no-textconv", commit, "--").text
    untracked = run(source, "ls-files", "-z", "--others", "--exclude-standard").text
    return [path for path in f"{told}{untracked}".split("\0") if path]


def _process() -> str:
    """This process: a number is given again, a number with its time is not."""
    stat = Path("/proc/self/stat").read_text()
    return f"{os.getpid()} {stat.rpartition(')')[2].split()[19]}"
