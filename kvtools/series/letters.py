# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a series comes from: files, mailboxes, directories, git ranges, the list archive."""

from __future__ import annotations

import gzip
import re
import tempfile
import urllib.parse
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from kvtools import b4, git, mail
from kvtools.errors import SeriesError, UserError

FILE_LIMIT = 64 << 20
"""The largest file that is read, bytes; a kernel series is a thousand times smaller."""
LETTER_LIMIT = 5000
"""The most mails looked at, and the longest range."""

_NUMBERED = re.compile(r"(?:v(?P<revision>\d{1,4})-)?(?P<number>\d{1,4})[-_.]")
_RANGE = re.compile(r"(?P<first>[^\s./~](?:\S*?[^\s.])?)\.\.(?P<last>(?![./])\S*)")
_MESSAGE_ID = re.compile(r"<?(?P<id>[^\s/<>@]+@[^\s/<>@]+)>?")
_URL = re.compile(r"https?://\S+?/(?P<id>[^\s/]+(?:@|%40)[^\s/]+)(?:/\S*)?")


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail and where it was found.

    ``origin`` names it in messages and ``path`` is its own file or "". ``own`` is true when
    it has to be a patch or a cover letter; other mails of a mailbox are passed over.
    ``number`` and ``revision`` are what the file name says; ``forced`` numbers outrank
    the subject's (a quilt ``series`` file, a patch named by itself).
    """

    origin: str
    raw: bytes
    path: str = ""
    own: bool = False
    number: int | None = None
    revision: int | None = None
    forced: bool = False


def collect(source: str, tree: Path | None) -> tuple[list[Letter], str]:
    """The mails of ``source`` and a name for the series. Raises SeriesError, MachineError."""
    path = Path(source)
    try:
        if path.is_dir():
            return _directory(path), path.resolve().name
        if path.exists():
            name = path.name.removesuffix(".gz")
            return _mailbox(path), name.rpartition(".")[0] or name
    except OSError as error:
        raise SeriesError(f"cannot read {source[:200]}: {error.strerror}") from error
    if match := _RANGE.fullmatch(source):
        return _range(source, match["first"], match["last"] or "HEAD", tree), ""
    if message_id := _archived(source):
        return _fetched(message_id), ""
    if path.is_symlink():
        raise SeriesError(f"{source} is a symbolic link to nothing")
    raise SeriesError(
        f"{source}: no such file or directory, and neither a git range nor a message-id",
        fix="give a directory of patches, an mbox, A..B with --tree, or a message-id",
    )


def from_archive(source: str) -> bool:
    """Whether :func:`collect` asks the list archive for it: nobody here has seen it before."""
    return not (Path(source).exists() or _RANGE.fullmatch(source)) and bool(_archived(source))


def _archived(source: str) -> str:
    """The message-id that a source names, itself or in the address of an archive."""
    wanted = source.removeprefix("b4:")
    match = _MESSAGE_ID.fullmatch(wanted) or _URL.fullmatch(wanted)
    return urllib.parse.unquote(match["id"]) if match else ""


def _fetched(message_id: str) -> list[Letter]:
    with tempfile.TemporaryDirectory(prefix="kvtools-") as scratch:
        letters = _directory(b4.fetch(message_id, Path(scratch)).parent)
    # The files are gone: name the mails by what the user gave.
    return [
        replace(letter, origin=f"{message_id}: {Path(letter.origin).name}", path="")
        for letter in letters
    ]


def _read(path: Path) -> bytes:
    """A regular file of a sane size, unpacked when it is gzip."""
    if path.exists() and not path.is_file():
        raise SeriesError(f"{path} is not a regular file")
    try:
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT + 1)
        if data.startswith(b"\x1f\x8b"):
            with gzip.open(path) as file:
                data = file.read(FILE_LIMIT + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SeriesError(f"cannot read {path}: {reason}") from error
    if len(data) > FILE_LIMIT:
        raise SeriesError(f"{path} is larger than {FILE_LIMIT >> 20} MiB: not a patch series")
    return data


def _mailbox(path: Path) -> list[Letter]:
    data = _read(path)
    mails = mail.split_mbox(data)
    if not mails:
        raise SeriesError(f"{path} is empty")
    if len(mails) > LETTER_LIMIT:
        raise SeriesError(f"{path} holds {len(mails)} mails", fix="save the one thread to a file")
    if len(mails) == 1:
        # Named by itself, a patch is a series of one, whatever its subject counts.
        full = str(path.absolute())
        return [Letter(str(path), mails[0], path=full, own=True, number=1, forced=True)]
    return [Letter(f"{path}, mail {number}", raw) for number, raw in enumerate(mails, 1)]


def _directory(path: Path) -> list[Letter]:
    try:
        names = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise SeriesError(f"cannot read {path}: {error.strerror}") from error
    if {"cur", "new"} <= set(names):
        return _maildir(path)
    if "series" in names:
        return _quilt(path)
    patches = [name for name in names if name.endswith((".patch", ".cover"))]
    boxes = [name for name in names if name.endswith((".mbx", ".mbox", ".mbox.gz"))]
    if boxes and not any(name.endswith(".patch") for name in patches):
        if len(boxes) > 1:
            raise SeriesError(f"{path} holds {len(boxes)} mailboxes", fix=f"give {path / boxes[0]}")
        return [*_mailbox(path / boxes[0]), *(_own(path / name) for name in patches)]
    if not any(name.endswith(".patch") for name in patches):  # what b4 send -o writes
        patches += [name for name in names if name.endswith(".eml")]
    if not patches:
        raise SeriesError(f"{path} has no *.patch files", fix=f"git format-patch -o {path} BASE")
    if len(patches) > LETTER_LIMIT:
        raise SeriesError(f"{path} holds {len(patches)} patches: not a series")
    return [_own(path / name) for name in patches]


def _own(path: Path, position: int | None = None) -> Letter:
    """A file that has to be one patch or the cover letter."""
    mails = mail.split_mbox(_read(path))
    if not mails:
        raise SeriesError(f"{path} is empty")
    if len(mails) > 1:
        raise SeriesError(f"{path} holds {len(mails)} mails", fix=f"give {path} by itself")
    match = _NUMBERED.match(path.name)
    number = int(match["number"]) if match else None
    return Letter(
        origin=str(path),
        raw=mails[0],
        path=str(path.absolute()),
        own=True,
        number=0 if path.suffix == ".cover" else position or number,
        revision=int(match["revision"]) if match and match["revision"] else None,
        forced=position is not None,
    )


def _quilt(path: Path) -> list[Letter]:
    """The order is that of quilt's ``series`` file; files that it does not list are not used."""
    listed = _read(path / "series").decode("utf-8", "replace").splitlines()
    rows = [row.split("#", 1)[0].split() for row in listed]
    letters = []
    for position, (name, *options) in enumerate((row for row in rows if row), 1):
        if options not in ([], ["-p1"]):
            raise SeriesError(
                f"{path / 'series'}: {name} wants {' '.join(options)}, git am takes -p1 only",
                fix="quilt refresh -p1",
            )
        if not (path / name).exists():
            raise SeriesError(f"{path / 'series'} lists {name}, which does not exist")
        letters.append(_own(path / name, position))
    if not letters:
        raise SeriesError(f"{path / 'series'} lists no patch")
    covers = sorted({*path.glob("*cover-letter.patch"), *path.glob("*.cover")})
    known = {letter.path for letter in letters}
    return [_own(one) for one in covers if str(one.absolute()) not in known] + letters


def _maildir(path: Path) -> list[Letter]:
    files = sorted(file for part in ("cur", "new") for file in (path / part).iterdir())
    files = [file for file in files if not file.name.startswith(".")]
    if not files:
        raise SeriesError(f"the Maildir {path} is empty")
    if len(files) > LETTER_LIMIT:
        raise SeriesError(f"{path} holds {len(files)} mails", fix="copy the one thread elsewhere")
    return [Letter(str(file), _read(file), path=str(file.absolute())) for file in files]


def _range(source: str, first: str, last: str, tree: Path | None) -> list[Letter]:
    if tree is None:
        raise SeriesError(f"{source} is a git range of no tree", fix="name the clone with --tree")
    try:
        commits = f"{git.rev_parse(tree, first)}..{git.rev_parse(tree, last)}"
    except UserError as error:
        raise SeriesError(f"range {source}: {error.message}", fix=error.fix) from error
    count = len(git.log_subjects(tree, commits))
    if count == 0:
        raise SeriesError(f"the range {source} is empty in {tree}", fix=f"is it {last}..{first}?")
    if count > LETTER_LIMIT:
        raise SeriesError(f"the range {source} has {count} commits in {tree}: not a series")
    if merges := git.merges(tree, commits):
        raise SeriesError(
            f"the range {source} has {len(merges)} merges, first {merges[0][:12]}",
            fix=f"rebase it: git rebase --onto {first} ...",
        )
    return [
        Letter(f"commit {raw[5:17].decode('ascii', 'replace')}", raw, own=True)
        for raw in git.format_patches(tree, commits)
    ]
