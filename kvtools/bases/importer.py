# SPDX-License-Identifier: GPL-2.0-or-later
"""A tar of a kernel becomes one git commit, the same one on every machine.

The tar is streamed into ``git fast-import`` and never unpacked: so neither umask nor file
system nor the tree's own .gitignore and .gitattributes have a say in what is committed, and
78,000 files become one pack.
"""

from __future__ import annotations

import lzma
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from kvtools import git, process
from kvtools.bases import room
from kvtools.errors import BaseError, MachineError, ToolFailed
from kvtools.model import Person

WHO = Person("kvtools", "kvtools@invalid")
# When Linux entered git (1da177e4c3f4): any fixed time will do.
WHEN = "1113690036 +0000"
REF = "refs/heads/oracle"
DEADLINE = 1800.0


def import_tar(tar: Path, repo: Path, message: str) -> str:
    """Commit the files of ``tar``, less their first directory, in a new bare ``repo``.

    Returns the commit id, which depends on names, modes (executable or not), contents and
    ``message`` only. The tar may be compressed with xz. Raises BaseError for a damaged or
    odd tar, MachineError otherwise.
    """
    git.init(repo, bare=True)
    log = repo.parent / "import.log"
    reader, writer = os.pipe()
    # Speed over size: 25 s and 290 MB for a kernel against 35 s and 245 MB at level 6.
    argv = ["git", "-c", "core.compression=1", "fast-import", "--quiet", "--done", "--depth=0"]
    try:
        child = process.spawn(argv, log=log, cwd=repo, env=git.environment(), stdin=reader)
    except BaseException:
        os.close(writer)
        raise
    finally:
        os.close(reader)
    with child:
        late = threading.Timer(DEADLINE, child.kill)
        late.start()
        try:
            with os.fdopen(writer, "wb", buffering=1 << 20) as out:
                _stream(tar, out, message)
        except BrokenPipeError:
            pass  # fast-import died: its status and log say why
        finally:
            late.cancel()
        status = child.wait(60)
    if status != 0:
        raise _import_error(repo, log, status)
    log.unlink(missing_ok=True)
    return git.rev_parse(repo, REF)


def _import_error(repo: Path, log: Path, status: int) -> MachineError:
    text = log.read_text(errors="replace") if log.exists() else ""
    if "No space left" in text or "Disk quota" in text:
        return room.full(repo, "importing the kernel tree")
    rows = [row for row in text.splitlines() if row.startswith("fatal:")]
    return ToolFailed(f"git fast-import in {repo}: {rows[0] if rows else f'exit status {status}'}")


def _stream(tar: Path, out: BinaryIO, message: str) -> None:
    text = message.encode()
    out.write(
        b"commit %b\ncommitter %b %b\ndata %d\n%b\n"
        % (REF.encode(), str(WHO).encode(), WHEN.encode(), len(text), text)
    )
    try:
        count = 0
        for command in _commands(tar):
            out.write(command)
            count += 1
    except BrokenPipeError:
        raise
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        raise BaseError(f"{tar} is damaged or not a tar: {error}") from error
    if not count:
        raise BaseError(f"{tar} holds no files")
    out.write(b"done\n")


def _commands(tar: Path) -> Iterator[bytes]:
    """fast-import's commands for the members of ``tar``."""
    with _opened(tar) as file, tarfile.open(fileobj=file, mode="r|") as members:
        for member in members:
            path = _inner(tar, member.name)
            if member.isfile():
                content = members.extractfile(member)
                assert content is not None
                mode = b"100755" if member.mode & 0o100 else b"100644"
                yield _modify(mode, path, content.read())
            elif member.issym():
                yield _modify(b"120000", path, os.fsencode(member.linkname))
            elif member.islnk():
                yield b"C %b %b\n" % (_quoted(_inner(tar, member.linkname)), _quoted(path))
            elif not member.isdir():
                raise BaseError(f"{tar}: {member.name} is neither file, link nor directory")
            vars(members)["members"] = []  # tarfile would keep all of them


def _opened(tar: Path) -> IO[bytes]:
    # tarfile's own "r|*" takes 50 s of CPU where this takes 9: it copies its buffer at each read.
    with tar.open("rb") as file:
        magic = file.read(6)
    if magic == b"\xfd7zXZ\0":
        return lzma.open(tar)
    return tar.open("rb")


def _modify(mode: bytes, path: str, content: bytes) -> bytes:
    return b"M %b inline %b\ndata %d\n%b\n" % (mode, _quoted(path), len(content), content)


def _inner(tar: Path, name: str) -> str:
    parts = name.removeprefix("./").rstrip("/").split("/")[1:]
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        raise BaseError(f"{tar}: the name '{name}' has no place in a kernel tree")
    return "/".join(parts)


def _quoted(path: str) -> bytes:
    raw = os.fsencode(path)
    for char, code in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n")):
        raw = raw.replace(char, code)
    return b'"' + raw + b'"'
