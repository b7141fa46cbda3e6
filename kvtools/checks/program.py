# SPDX-License-Identifier: GPL-2.0-or-later
"""What the Python programs of checks share: the request on stdin, findings on stdout.

See README.md for the protocol. A program is ``run(check)`` with a function from a
:class:`Request` to findings.
"""

from __future__ import annotations

import functools
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from kvtools import diff, mail
from kvtools.model import Json

SKIP = 4
"""Exit status of a check that could not run, as kselftest has it."""
BROKEN = 70
"""Exit status of a check that is at fault itself: EX_SOFTWARE of sysexits.h."""


class Skip(Exception):
    """The check cannot run here; the reason is the message."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; ``message`` is shown instead of ``text`` when given."""

    rule: str
    text: str
    file: str = ""
    line: int = 0
    function: str = ""
    message: str = ""
    severity: str = ""
    patch: int = 0
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """Something a reader should know that is nobody's fault."""

    note: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value."""

    figure: str
    value: float
    unit: str = ""


Said = Finding | Note | Figure


@dataclass(frozen=True, slots=True)
class Touched:
    """A file that the patch touches: ``status`` A, M, D or R; ``old`` is None for A, ``path``
    None for D."""

    path: str | None
    old: str | None
    status: str


@dataclass(frozen=True)
class Request:
    """The request as README.md describes it."""

    schema: int
    check: str
    scope: str
    side: str
    number: int
    count: int
    repo: Path
    commit: str
    parent: str
    base_commit: str
    out: Path
    keep: Path
    cache: Path
    worktree: Path | None = None
    touched: tuple[Touched, ...] = ()
    files: tuple[str, ...] = ()
    lines: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    patch: Path = Path()
    series: tuple[Path, ...] = ()
    cover: Path | None = None
    previous: tuple[Path, ...] = ()
    objects: Path | None = None
    make: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    arch: str = ""
    build: Path | None = None
    jobs: int = 1
    options: Mapping[str, Json] = field(default_factory=dict)

    @functools.cached_property
    def mail(self) -> mail.Mail:
        """The patch's mail, read."""
        return mail.parse(self.patch.read_bytes())

    @functools.cached_property
    def diff(self) -> tuple[diff.FileDiff, ...]:
        """What the patch changes, file by file."""
        return diff.parse(self.mail.diff)

    def at(self, path: str) -> Path:
        """A file of the worktree."""
        assert self.worktree is not None, "this check has no tree"
        return self.worktree / path

    def text(self, path: str) -> str:
        """The text of a file of the worktree; "" when it is not there."""
        try:
            return self.at(path).read_text("utf-8", "replace")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return ""

    def changed(self, path: str, line: int) -> bool:
        """Whether the patch added or changed that line."""
        return any(first <= line <= last for first, last in self.lines.get(path, ()))


_PATHS = {"repo", "out", "keep", "cache", "worktree", "patch", "cover", "objects", "build"}
_LISTS = {"series", "previous"}


def read(text: str) -> Request:
    """The request in ``text``; keys that a newer kvtools sends are passed over."""
    data: dict[str, Json] = json.loads(text)
    known = {f.name for f in fields(Request)}
    values = {key: _value(key, value) for key, value in data.items()
              if key in known and value is not None}
    return Request(**values)


def _value(key: str, value: Json) -> Json:
    if key in _PATHS:
        return Path(value)
    if key in _LISTS:
        return tuple(map(Path, value))
    if key == "touched":
        return tuple(Touched(**one) for one in value)
    if key == "lines":
        return {path: tuple((first, last) for first, last in ranges)
                for path, ranges in value.items()}
    return tuple(value) if isinstance(value, list) else value


def run(check: Callable[[Request], Iterable[Said]]) -> None:
    """Answer the request on stdin and exit."""
    request = read(sys.stdin.read())
    try:
        for one in check(request):
            print(line_of(one), flush=True)
    except Skip as reason:
        print(json.dumps({"skip": str(reason)}), flush=True)
        print(reason, file=sys.stderr)
        sys.exit(SKIP)
    except Exception as error:  # Python would exit with 1, which blames the patch
        traceback.print_exc()
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(BROKEN)
    sys.exit(0)


def line_of(said: Said) -> str:
    """One finding, note or figure as the protocol has it; empty fields are left out."""
    data = {key: value for key, value in asdict(said).items() if value not in ("", 0, ())}
    if isinstance(said, Figure):
        data["value"] = said.value
    return json.dumps(data)
