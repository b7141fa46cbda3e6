# SPDX-License-Identifier: GPL-2.0-or-later
"""Unified diffs as git writes and reads them, and why a hunk does not fit. Pure.

unidiff is not used here: it takes text where a diff is bytes, and its errors name no line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

EXCERPT = 6
"""How many lines of a hunk, and of the tree, are shown to the user."""
_VOTES = 64
"""A line that occurs more often than this says nothing about a place."""

_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\([abtnvfr\"\\]|[0-7]{3})")
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f",
            b"r": b"\r", b'"': b'"', b"\\": b"\\"}


class DiffError(ValueError):
    """A diff that git cannot read: ``line`` (from 1) and the ``excerpt`` there."""

    def __init__(self, line: int, reason: str, excerpt: str = "") -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason
        self.excerpt = excerpt


@dataclass(frozen=True, slots=True)
class Hunk:
    """One hunk: ``lines`` keep their first character, not their newline."""

    header: str
    old_start: int
    new_start: int
    lines: tuple[bytes, ...]
    line: int

    @property
    def old(self) -> tuple[bytes, ...]:
        return tuple(row[1:] for row in self.lines if row[:1] in (b" ", b"-", b""))

    @property
    def new(self) -> tuple[bytes, ...]:
        return tuple(row[1:] for row in self.lines if row[:1] in (b" ", b"+", b""))

    @property
    def excerpt(self) -> str:
        return "\n".join([self.header, *(show(row) for row in self.lines[:EXCERPT])])


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What a diff does to one file.

    ``old``/``new`` are paths below the tree, None for /dev/null. ``binary`` without
    ``literal`` means that the diff does not carry the content. ``line`` is where it begins.
    """

    old: str | None
    new: str | None
    hunks: tuple[Hunk, ...]
    line: int
    binary: bool = False
    literal: bool = False
    full_index: bool = False
    new_mode: str = ""
    copy: bool = False
    prefixed: bool = True

    @property
    def path(self) -> str:
        return self.new or self.old or ""

    @property
    def excerpt(self) -> str:
        return self.hunks[0].excerpt if self.hunks else ""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A hunk that does not fit, and up to :data:`EXCERPT` ``found`` lines of the tree."""

    file: str
    hunk: str
    reason: str
    found: tuple[str, ...]


def show(line: bytes) -> str:
    """A line for the user's eyes."""
    return line.decode("utf-8", "backslashreplace").replace("\r", "\\r")


def parse(text: bytes) -> tuple[FileDiff, ...]:
    """The files of a diff; what is around it (message, diffstat, signature) is passed over.

    Raises :class:`DiffError` where a hunk is damaged.
    """
    return tuple(_Reader(text.split(b"\n")).files())


class _Reader:
    """Walks the lines once; ``at`` is the index of the next one."""

    def __init__(self, lines: list[bytes]) -> None:
        self.lines = lines
        self.at = 0

    def _peek(self, ahead: int = 0) -> bytes:
        index = self.at + ahead
        return self.lines[index] if index < len(self.lines) else b""

    def files(self) -> Iterable[FileDiff]:
        while self.at < len(self.lines):
            row = self._peek()
            if row.startswith(b"diff --git "):
                yield self._git_file()
            elif self._names_follow():
                yield self._file({}, self.at + 1)
            elif _HUNK.match(row):
                raise DiffError(self.at + 1, "a hunk without a file name above it", show(row))
            else:
                self.at += 1

    def _names_follow(self) -> bool:
        return self._peek().startswith(b"--- ") and self._peek(1).startswith(b"+++ ")

    def _git_file(self) -> FileDiff:
        begin = self.at + 1
        header = {b"git": self._peek()[len(b"diff --git ") :].rstrip(b"\r")}
        self.at += 1
        keys = (b"old mode ", b"new mode ", b"deleted file mode ", b"new file mode ",
                b"copy from ", b"copy to ", b"rename from ", b"rename to ",
                b"similarity index ", b"dissimilarity index ", b"index ")
        while key := next((k for k in keys if self._peek().startswith(k)), b""):
            header[key.strip()] = self._peek()[len(key) :].rstrip(b"\r")
            self.at += 1
        return self._file(header, begin)

    def _file(self, header: dict[bytes, bytes], begin: int) -> FileDiff:
        left, right = _git_names(header.get(b"git", b""))
        prefixed = not left or left != right
        left, right = _strip(left), _strip(right)
        left = header.get(b"rename from", header.get(b"copy from", left))
        right = header.get(b"rename to", header.get(b"copy to", right))
        if self._names_follow():
            left, right = file_name(self._peek()[4:]), file_name(self._peek(1)[4:])
            prefixed = prefixed and (not header or left != right)
            left, right = _strip(left), _strip(right)
            self.at += 2
        binary, literal = self._binary()
        hunks = tuple(self._hunks())
        new_mode = header.get(b"new file mode", header.get(b"new mode", b""))
        gone = b"deleted file mode" in header or right == b"/dev/null"
        fresh = b"new file mode" in header or left == b"/dev/null"
        ids = header.get(b"index", b"").partition(b" ")[0].split(b"..")
        return FileDiff(
            old=None if fresh else _path(left),
            new=None if gone else _path(right),
            hunks=hunks,
            line=begin,
            binary=binary,
            literal=literal,
            full_index=len(ids) == 2 and all(len(one) >= 40 for one in ids),
            new_mode=new_mode.decode("ascii", "replace"),
            copy=b"copy from" in header,
            prefixed=prefixed,
        )

    def _binary(self) -> tuple[bool, bool]:
        if self._peek().startswith(b"Binary files ") or self._peek().startswith(b"Files "):
            self.at += 1
            return True, False
        if self._peek().rstrip(b"\r") != b"GIT binary patch":
            return False, False
        self.at += 1
        while re.match(rb"(?:literal|delta) \d+\r?$", self._peek()):
            while self._peek().strip():
                self.at += 1
            self.at += 1
        return True, True

    def _hunks(self) -> Iterable[Hunk]:
        while match := _HUNK.match(self._peek()):
            begin = self.at
            self.at += 1
            counts = [int(n) if n is not None else 1 for n in match.group(2, 4)]
            lines = self._hunk_lines(begin, *counts)
            header = show(self.lines[begin].rstrip(b"\r"))
            yield Hunk(header, int(match[1]), int(match[3]), lines, begin + 1)

    def _hunk_lines(self, begin: int, old: int, new: int) -> tuple[bytes, ...]:
        rows: list[bytes] = []
        while old > 0 or new > 0:
            row = self._peek()
            if self.at >= len(self.lines) - (self.lines[-1] == b""):
                raise self._damaged(begin, "the diff ends in the middle of a hunk")
            kind = row[:1].strip(b"\r") or b" "
            if kind == b"\\":
                self.at += 1
                continue
            if kind not in (b" ", b"+", b"-"):
                raise self._damaged(begin, _damage(row, rows))
            old -= kind != b"+"
            new -= kind != b"-"
            if old < 0 or new < 0:
                raise self._damaged(begin, "the hunk does not have the lines its @@ promises")
            rows.append(row)
            self.at += 1
        if self._peek().startswith(b"\\ "):
            self.at += 1
        more = self._peek()
        if more[:1] in (b"+", b" ") or (more[:1] == b"-" and not more.startswith(b"--")):
            raise self._damaged(begin, "the hunk has more lines than its @@ promises")
        return tuple(rows)

    def _damaged(self, begin: int, reason: str) -> DiffError:
        first = max(begin + 1, self.at - 2)
        shown = [self.lines[begin], *self.lines[first : first + EXCERPT]]
        return DiffError(self.at + 1, reason, "\n".join(show(row) for row in shown))


def _damage(row: bytes, before: Sequence[bytes]) -> str:
    if row.startswith((b"@@ -", b"diff --git ")):
        return "the hunk does not have the lines its @@ promises"
    if before and len(before[-1]) > 55:
        return f"'{show(row)[:60]}' is the rest of a line wrapped by a mail client"
    return f"'{show(row)[:60]}' begins with neither ' ', '+' nor '-' (white space was lost)"


def _git_names(rest: bytes) -> tuple[bytes, bytes]:
    """Both names of a ``diff --git`` line; without quotes they are equal but for a prefix."""
    if rest.startswith(b'"') and (match := _QUOTED.match(rest)):
        return _unquote(match[1]), file_name(rest[match.end() + 1 :])
    if rest.endswith(b'"') and (at := rest.find(b' "')) > 0:
        return rest[:at], file_name(rest[at + 1 :])
    for at in (m.start() for m in re.finditer(rb" ", rest)):
        left, right = rest[:at], rest[at + 1 :]
        if left == right or _strip(left) == _strip(right):
            return left, right
    left, _, right = rest.partition(b" ")
    return left, right


def file_name(field: bytes) -> bytes:
    """The name in a ``---`` or ``+++`` line, without git's quotes and what is behind it."""
    field = field.rstrip(b"\r")
    if match := _QUOTED.match(field):
        return _unquote(match[1])
    return field.partition(b"\t")[0].rstrip(b" ")


def _unquote(text: bytes) -> bytes:
    def plain(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return _ESCAPES[code] if code in _ESCAPES else bytes([int(code, 8) & 0xFF])

    return _ESCAPE.sub(plain, text)


def _strip(name: bytes) -> bytes:
    """``name`` as ``-p1`` takes it; an absolute one stays, so that it can be refused."""
    if name.startswith(b"/"):
        return name
    _, slash, rest = name.partition(b"/")
    return rest if slash else name


def _path(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def new_ranges(files: Iterable[FileDiff]) -> dict[str, tuple[tuple[int, int], ...]]:
    """New-side runs (first, last; from 1) of added lines, by file; deleted files are left out."""
    ranges: dict[str, tuple[tuple[int, int], ...]] = {}
    for file in files:
        if file.new is None:
            continue
        runs: list[tuple[int, int]] = []
        for hunk in file.hunks:
            at = hunk.new_start
            for row in hunk.lines:
                if row[:1] == b"+":
                    if runs and runs[-1][1] == at - 1:
                        runs[-1] = (runs[-1][0], at)
                    else:
                        runs.append((at, at))
                at += row[:1] != b"-"
        ranges[file.new] = tuple(runs)
    return ranges


def misfits(file: FileDiff, content: bytes | None) -> tuple[Misfit, ...]:
    """Why ``file`` does not apply to ``content`` (the old path in the tree, None: absent).

    Empty when every hunk has its place, however far from where it says.
    """
    if file.old is None:
        reason = "the patch creates the file, and the tree has it already"
        return () if content is None else (Misfit(file.path, file.excerpt, reason, _head(content)),)
    if content is None:
        return (Misfit(file.old, file.excerpt, "the tree has no such file", ()),)
    if file.binary:
        return (Misfit(file.old, "", "the binary file in the tree is not the patch's", ()),)
    have = content.split(b"\n")
    return tuple(
        misfit for hunk in file.hunks if (misfit := _misfit(file.old, hunk, have)) is not None
    )


def _head(content: bytes) -> tuple[str, ...]:
    return tuple(f"{n}: {show(row)}" for n, row in enumerate(content.split(b"\n")[:EXCERPT], 1))


def _misfit(path: str, hunk: Hunk, have: list[bytes]) -> Misfit | None:
    old, new = hunk.old, hunk.new
    if _find(old, have) is not None:
        return None
    if new and (at := _find(new, have)) is not None:
        return Misfit(path, hunk.excerpt, f"already applied: line {at + 1} has the new text",
                      _numbered(have, at, EXCERPT))
    for alike, reason in (
        (lambda row: row.rstrip(b"\r"), _ending(old)),
        (lambda row: b" ".join(row.split()), "differs from the tree only in white space"),
    ):
        at = _find([alike(row) for row in old], [alike(row) for row in have])
        if at is not None:
            return Misfit(path, hunk.excerpt, reason, _numbered(have, at, EXCERPT))
    at = _nearest(old, have, hunk.old_start - 1)
    if at is None:
        first = max(0, min(hunk.old_start - 1, len(have) - EXCERPT))
        return Misfit(path, hunk.excerpt, "nothing in the file is like this hunk",
                      _numbered(have, first, EXCERPT))
    region = have[at : at + len(old)]
    wanted, where = _first_difference(old, region)
    reason = f"context not found: no '{show(wanted).strip()}' near line {at + where + 1}"
    return Misfit(path, hunk.excerpt, reason,
                  _numbered(have, max(0, at + where - EXCERPT // 2), EXCERPT))


def _ending(old: Sequence[bytes]) -> str:
    if any(row.endswith(b"\r") for row in old):
        return "the patch's lines end in CRLF and the tree's in LF (dos2unix the patch)"
    return "the tree's lines end in CRLF and the patch's in LF"


def _numbered(have: Sequence[bytes], at: int, count: int) -> tuple[str, ...]:
    return tuple(f"{at + n + 1}: {show(row)}" for n, row in enumerate(have[at : at + count]))


def _find(wanted: Sequence[bytes], have: Sequence[bytes]) -> int | None:
    if not wanted:
        return 0
    first, size = wanted[0], len(wanted)
    return next(
        (
            at
            for at in range(len(have) - size + 1)
            if have[at] == first and list(have[at : at + size]) == list(wanted)
        ),
        None,
    )


def _nearest(wanted: Sequence[bytes], have: Sequence[bytes], expected: int) -> int | None:
    """Where most of ``wanted``'s telling lines stand; a vote, linear in the file's length."""
    places: dict[bytes, list[int]] = {}
    telling = {row.strip() for row in wanted if len(row.strip()) > 2}
    for at, row in enumerate(have):
        if (key := row.strip()) in telling:
            places.setdefault(key, []).append(at)
    votes = Counter(
        max(0, at - index)
        for index, row in enumerate(wanted)
        for at in places.get(row.strip(), ())
        if len(places[row.strip()]) <= _VOTES
    )
    if not votes:
        return None
    return max(votes, key=lambda at: (votes[at], -abs(at - expected)))


def _first_difference(wanted: Sequence[bytes], region: Sequence[bytes]) -> tuple[bytes, int]:
    """The first wanted line the region lacks, and its place in the region."""
    codes = SequenceMatcher(None, list(wanted), list(region), autojunk=False).get_opcodes()
    for kind, first, last, at, _ in codes:
        if kind in ("replace", "delete") and first < last:
            return wanted[first], at
    return wanted[0], 0
