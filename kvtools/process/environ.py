# SPDX-License-Identifier: GPL-2.0-or-later
"""The environment outside programs get, and how to show a call as a shell line. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

# What a user's shell, git hook or make hands on and what would change an outcome. git's own
# list is `git rev-parse --local-env-vars`; the kernel's is Documentation/kbuild/kbuild.rst.
_DROP = re.compile(
    r"""
    GIT_(?!SSH|SSL_|PROXY_|HTTP_|ASKPASS) .*
    | LANG | LANGUAGE | LC_.*
    | MAKE.* | MFLAGS | GNUMAKEFLAGS | VPATH
    | KBUILD_.* | KCONFIG_.* | KERNEL(RELEASE|VERSION) | LOCALVERSION | INSTALL_.*
    | (SUB|SRC)?ARCH | CROSS_COMPILE.* | LLVM.* | srctree | objtree
    | K?[AC]FLAGS | K?CPPFLAGS | KRUSTFLAGS | LDFLAGS | (HOST|USER)(C|CXX|LD|RUST)FLAGS
    | CCACHE_.*
    | BASH_ENV | ENV | CDPATH | GREP_OPTIONS
    | PYTHON(HOME|STARTUP|INSPECT|WARNINGS)
    """,
    re.VERBOSE,
)

_SYSTEM = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # kexec, modprobe: not in a user's PATH


def cleaned(caller: Mapping[str, str], *, first: Path | None = None) -> dict[str, str]:
    """``caller`` without what would change an outcome, in the C.UTF-8 locale.

    ``first`` is put at the head of PATH (the virtual environment's programs), the system
    administrator's directories at its end.
    """
    env = {name: value for name, value in caller.items() if not _DROP.fullmatch(name)}
    path = env.get("PATH", "/usr/local/bin:/usr/bin:/bin").split(":")
    path = [part for part in path if part.startswith("/")]
    if first is not None:
        path = [str(first), *(part for part in path if part != str(first))]
    env["PATH"] = ":".join([*path, *(part for part in _SYSTEM if part not in path)])
    env["LC_ALL"] = "C.UTF-8"
    return env


def quoted(word: str) -> str:
    """One word for a POSIX shell; bash's ``$'...'`` only where control characters need it."""
    if word.isprintable():
        return shlex.quote(word)
    raw = word.encode("utf-8", "surrogateescape")
    return "$'" + "".join(_escaped(byte) for byte in raw) + "'"


def _escaped(byte: int) -> str:
    if chr(byte) in "\\'":
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"


def command_line(
    argv: Sequence[str | Path],
    *,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """A line to paste into a shell: ``cd DIR && NAME=value program argument ...``."""
    words = [f"{name}={quoted(value)}" for name, value in (env or {}).items()]
    words += [quoted(str(word)) for word in argv]
    line = " ".join(words)
    return f"cd {quoted(str(cwd))} && {line}" if cwd is not None else line
