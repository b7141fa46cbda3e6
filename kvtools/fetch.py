# SPDX-License-Identifier: GPL-2.0-or-later
"""Files from the network, and proof that they are what their makers released."""

from __future__ import annotations

import errno
import hashlib
import http.client
import lzma
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from kvtools import process
from kvtools.errors import MachineError, ToolFailed

SILENCE = 30.0
"""Seconds without a byte after which a server is given up."""
DEADLINE = 3600.0
GPG = 120.0
CHUNK = 1 << 20


def download(url: str, file: Path, *, deadline: float = DEADLINE) -> None:
    """Fetch ``url`` (https, http, file) into ``file``.

    Raises ToolFailed when it cannot be had, MachineError when it cannot be written.
    """
    end = time.monotonic() + deadline
    try:
        with urllib.request.urlopen(url, timeout=SILENCE) as answer, file.open("wb") as out:
            expected = int(answer.headers.get("Content-Length") or -1)
            while data := answer.read(CHUNK):
                out.write(data)
                if time.monotonic() > end:
                    raise TimeoutError(f"not done after {deadline:.0f} s")
            if expected not in (-1, out.tell()):
                raise ToolFailed(f"{url}: {out.tell()} of {expected} bytes came")
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MachineError(f"disk full while writing {file}", fix="make room") from error
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise ToolFailed(f"{url}: {reason}", fix="check the network and the proxy") from error


def sha256(file: Path) -> str:
    """Of a file, as 64 hexadecimal digits."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def unxz(file: Path, out: Path) -> None:
    """Decompress an .xz file. Raises ToolFailed when it is damaged."""
    try:
        with lzma.open(file) as source, out.open("wb") as sink:
            while data := source.read(CHUNK):
                sink.write(data)
    except (lzma.LZMAError, EOFError) as error:
        raise ToolFailed(f"{file} is damaged: {error}") from error
    except OSError as error:
        raise MachineError(f"cannot write {out}: {error.strerror}") from error


def verify(file: Path, signature: Path, keys: Mapping[str, str], home: Path) -> str:
    """The fingerprint in ``keys`` (to addresses) whose owner signed ``file``.

    Keys come from the user's keyring, or else from where the owners publish them (WKD);
    only the fingerprint is trusted. ``home`` is a keyring of our own. Raises ToolMissing
    without gpg, ToolFailed without the key or when the signature is not good.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    _import_keys(keys, home)
    done = _gpg(home, "--status-fd", "1", "--verify", str(signature), str(file))
    status = [line.split() for line in done.text.splitlines() if line.startswith("[GNUPG:] ")]
    signers = {line[-1] for line in status if line[1] == "VALIDSIG"}
    if done.returncode == 0 and any(line[1] == "GOODSIG" for line in status):
        for signer in signers & keys.keys():
            return signer
    unknown = [line[-1] for line in status if line[1] == "NO_PUBKEY"]
    if unknown:
        raise ToolFailed(
            f"{signature.name}: the key {unknown[0]} that signed it is not here",
            fix=f"gpg --locate-keys {' '.join(keys.values())}",
        )
    if signers - keys.keys():
        raise ToolFailed(
            f"{signature.name}: signed by {', '.join(sorted(signers))}, who is not in the data"
        )
    words = " ".join(line[1] for line in status if re.fullmatch("[A-Z]+(?<!NEW)SIG", line[1]))
    raise ToolFailed(f"{signature.name} is not a good signature ({words or 'no signature'})")


def _import_keys(keys: Mapping[str, str], home: Path) -> None:
    own = Path(os.environ.get("GNUPGHOME") or Path.home() / ".gnupg")
    if own.is_dir():
        exported = process.run(["gpg", "--homedir", str(own), "--batch", "--no-tty",
                                "--no-auto-check-trustdb", "--export", *keys],
                               deadline=GPG, check=False).stdout
        if exported:
            _gpg(home, "--import", stdin=exported)
    listed = _gpg(home, "--with-colons", "--list-keys").text
    missing = [address for key, address in keys.items() if f":{key}:" not in listed]
    if missing:
        _gpg(home, "--auto-key-locate", "clear,wkd", "--locate-keys", *missing)


def _gpg(home: Path, *args: str, stdin: bytes | None = None) -> process.Completed:
    return process.run(["gpg", "--homedir", str(home), "--batch", "--no-tty", *args],
                       deadline=GPG, stdin=stdin, check=False)
