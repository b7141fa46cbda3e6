# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be said against a patch before any tree is at hand."""

from __future__ import annotations

from pathlib import PurePosixPath

from kvtools import diff
from kvtools.errors import SeriesError
from kvtools.mail import Mail

_SYMLINK = "120000"


def readable(mail: Mail, origin: str) -> tuple[diff.FileDiff, ...]:
    """The files that a mail changes, none when it carries no diff.

    Raises SeriesError when a mail client or editor damaged it.
    """
    if mail.raw.split(b"\n", 1)[0].endswith(b"\r"):
        raise SeriesError(
            f"{origin}: its lines end in CRLF, headers too", fix="convert it: dos2unix FILE"
        )
    try:
        files = diff.parse(mail.diff)
    except diff.DiffError as error:
        where = _line(mail, error.line)
        if mail.problem:
            raise unfit(mail, origin) from error
        raise SeriesError(
            f"{origin}: corrupt patch at line {where}: {error.reason}",
            fix="send or save it again without rewrapping (git send-email, b4)",
        ) from error
    if mail.problem and (files or b"\ndiff --git" in mail.diff):
        raise unfit(mail, origin)
    return files


def unfit(mail: Mail, origin: str) -> SeriesError:
    """The error for a mail that cannot carry a patch."""
    return SeriesError(f"{origin} {mail.problem}", fix="send it as plain text (git send-email)")


def _line(mail: Mail, line: int) -> str:
    """``line`` of the diff as a line of the file, where the body is not transfer-encoded."""
    at = mail.raw.find(mail.diff)
    return str(mail.raw.count(b"\n", 0, at) + line) if at >= 0 else f"{line} of the decoded diff"


def applicable(files: tuple[diff.FileDiff, ...], origin: str, links: set[str]) -> None:
    """Raise SeriesError for what git could not or must not apply, whatever the tree.

    ``links`` are the symbolic links that the series made so far; this patch's are added.
    """
    for file in files:
        if file.binary and not (file.literal and file.full_index):
            raise SeriesError(
                f"{origin}: the binary change of {file.path} is not in the patch",
                fix="make it with git format-patch --binary --full-index",
            )
        if not file.prefixed:
            raise SeriesError(
                f"{origin}: the path {file.path} has no a/ and b/ before it (diff.noprefix)",
                fix="make it with git format-patch --src-prefix=a/ --dst-prefix=b/",
            )
        for path in {file.old, file.new} - {None}:
            _safe(str(path), origin, links)
        if file.new and file.new_mode == _SYMLINK:
            links.add(file.new)


def _safe(path: str, origin: str, links: set[str]) -> None:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        reason = "leads out of the tree"
    elif any(part.lower().rstrip(". ") in (".git", "git~1") for part in pure.parts):
        reason = "leads into git's own directory"
    elif link := next((str(p) for p in pure.parents if str(p) in links), None):
        reason = f"leads through the symbolic link {link}"
    else:
        return
    raise SeriesError(f"{origin}: the path {path} {reason}", fix="do not apply this patch")
