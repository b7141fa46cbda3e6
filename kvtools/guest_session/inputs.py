# SPDX-License-Identifier: GPL-2.0-or-later
"""What the outcome of a scenario depends on beside the kernel image and its config."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from kvtools import git, process
from kvtools.channel import AGENT
from kvtools.cpp.comments import without_comments
from kvtools.guest_session.request import GuestRequest
from kvtools.model import Json
from kvtools.sources import code_digest, digest_of
from kvtools.vng import Machine

CODE = (  # our own sources that decide what an outcome is
    "scenarios", "guest_session", "channel.py", "dmesg.py", "ktap.py", "qmp.py", "vng.py",
    "vmcore", "makedumpfile.py", "crash.py",
)  # fmt: skip


class Keyed(Protocol):
    """A scenario as far as its key goes; ``files`` are paths of the tree under test, and so are
    ``headers``, whose comments are not read."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def machine(self) -> Machine: ...
    @property
    def files(self) -> tuple[str, ...]: ...
    @property
    def headers(self) -> tuple[str, ...]: ...
    @property
    def programs(self) -> tuple[str, ...]: ...


def inputs_of(scenario: Keyed, request: GuestRequest,
              paths: tuple[str, ...] = ()) -> Json:
    """Plain data: equal for equal inputs. ``paths`` are those of all scenarios, if there are
    more: they are asked for in one go, once per commit."""
    own = (*scenario.files, *scenario.headers)
    there = git.ids_of(request.repo, request.commit, paths or own) if own else {}
    return {
        "scenario": scenario.name,
        "version": scenario.version,
        "machine": asdict(scenario.machine.with_more(request.extra_memory)),
        "accel": request.accel,
        **({"slowdown": request.slowdown} if request.slowdown != 1 else {}),
        "guest": _agent(),
        "code": code_digest(*CODE),
        "programs": {name: _program(name) for name in scenario.programs},
        "files": [there.get(path, "absent") for path in scenario.files],
        "headers": [_code(request.repo, there[path]) if path in there else "absent"
                    for path in scenario.headers],
    }


@functools.cache
def _program(name: str) -> str:
    """SHA-256 over a program of this machine, "" where there is none."""
    path = process.which(name)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else ""


@functools.lru_cache(maxsize=64)
def _code(repo: Path, blob: str) -> str:
    """A digest over a header without its comments; its own id when it cannot be read so."""
    bare = without_comments(git.content(repo, blob))
    return hashlib.sha256(bare).hexdigest() if bare is not None else blob


@functools.cache
def _agent() -> str:
    """Read once per process, which runs what it once read."""
    return digest(AGENT.parent)


def digest(folder: Path) -> str:
    """SHA-256 over names, execute bits and contents of the files below a folder."""
    return digest_of(folder, (path for path in folder.rglob("*") if path.is_file()))
