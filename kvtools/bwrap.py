# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of bubblewrap: a program that sees little, writes less and has no network.

What it sees is a root of its own on a tmpfs: the system's programs read-only, ``/proc`` of its
own processes, a ``/dev`` of harmless devices, an empty home and ``/tmp``, and what a
:class:`View` names. It has no capability, no terminal, and dies with whoever started it.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kvtools import process
from kvtools.errors import MachineError, ToolMissing
from kvtools.sources import PACKAGE

HOME = "/home/nobody"
MIB = 1 << 20
PROBE_DEADLINE = 20.0
SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
# Of /etc only what programs need to start: no passwords, no keys, no names of this machine.
ETC = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime")
# Directories that the init of a guest, whose root this is, mounts on.
EMPTY = ("/mnt", "/opt", "/root", "/run", "/srv", "/sys", "/var/lib", "/var/log", "/var/tmp")
OWN_ETC = PACKAGE / "quarantine" / "etc"
SHUT = ("--unshare-user", "--disable-userns")
"""No namespaces inside of it (bubblewrap 0.8): they reach much of the kernel."""

# What confinement means, asked from inside: exit 7 and the word when it does not hold.
_PROBE = """
[ ! -e /etc/shadow ] || { echo /etc/shadow is seen; exit 7; }
[ "$(grep -c : /proc/net/dev)" -le 1 ] || { echo the network is seen; exit 7; }
if (: >> /proc/sys/kernel/core_pattern) 2>/dev/null; then echo /proc can be written; exit 7; fi
if (: > /usr/.kvtools-probe) 2>/dev/null; then echo /usr can be written; exit 7; fi
"""


@dataclass(frozen=True, slots=True)
class View:
    """What of the host a confined program sees, at the same paths, beside the system.

    What is in ``screened`` directories is read-only, and what is written beside it vanishes.
    ``fixed`` lies below a writable path and is read-only all the same; ``devices`` are
    passed through. ``scratch`` is the size of /tmp in bytes.
    """

    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    screened: tuple[Path, ...] = ()
    fixed: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()
    scratch: int = 1024 * MIB
    env: Mapping[str, str] = field(default_factory=dict)


def argv(view: View, command: Sequence[str], *, shut: Sequence[str] = SHUT) -> tuple[str, ...]:
    """The whole command line; ``shut`` as :func:`probe` gives it."""
    return (
        "bwrap",
        *namespace_args(shut),
        *environment_args(view),
        *system_args(),
        *private_args(view),
        *bind_args(view),
        # Run by root, files of root in /proc/sys could be written, capabilities or not.
        "--remount-ro", "/proc",
        "--remount-ro", "/dev",
        "--remount-ro", "/",
        "--",
        *command,
    )  # fmt: skip


def namespace_args(shut: Sequence[str]) -> tuple[str, ...]:
    """Run by root bubblewrap needs no user namespace, and leaves the capabilities unless told.

    Not ``--unshare-all``: it fails in a chroot, where the kernel gives no user namespace.
    """
    kinds = ("ipc", "pid", "net", "uts", "cgroup-try")
    return (*(f"--unshare-{kind}" for kind in kinds), *shut, "--cap-drop", "ALL",
            "--die-with-parent", "--new-session", "--hostname", "kvtools")


def environment_args(view: View) -> tuple[str, ...]:
    env = {
        "PATH": process.environment()["PATH"],
        "LC_ALL": "C.UTF-8",
        "HOME": HOME,
        "TMPDIR": "/tmp",
        **view.env,
    }
    return ("--clearenv", *(word for name, value in env.items()
                            for word in ("--setenv", name, value)))


def system_args(root: Path = Path("/")) -> tuple[str, ...]:
    """``/usr`` and what belongs to it, whether merged into it (links) or not."""
    args: list[str] = []
    for name in SYSTEM:
        path = root / name
        if path.is_symlink():
            args += ["--symlink", str(path.readlink()), f"/{name}"]
        elif path.is_dir():
            args += ["--ro-bind", str(path), f"/{name}"]
    for name in ETC:
        args += ["--ro-bind-try", str(root / "etc" / name), f"/etc/{name}"]
    for path in sorted(OWN_ETC.iterdir()):
        args += ["--ro-bind", str(path), f"/etc/{path.name}"]
    args += [word for path in EMPTY for word in ("--dir", path)]
    return tuple(args)


def private_args(view: View) -> tuple[str, ...]:
    return (
        "--proc", "/proc",
        "--dev", "/dev",
        "--size", str(view.scratch), "--tmpfs", "/tmp",
        "--size", str(64 * MIB), "--tmpfs", HOME,
    )  # fmt: skip


def bind_args(view: View) -> tuple[str, ...]:
    """In this order a later one covers an earlier one."""
    words = []
    for directory in view.screened:
        words += ["--size", str(16 * MIB), "--tmpfs", str(directory)]
        words += [word for path in sorted(directory.iterdir())
                  for word in ("--ro-bind", str(path), str(path))]
    binds = [("--ro-bind", path) for path in dict.fromkeys((*_python(), *view.readable))]
    binds += [("--bind", path) for path in view.writable]
    binds += [("--ro-bind", path) for path in view.fixed]
    binds += [("--dev-bind", path) for path in view.devices]
    words += [word for kind, path in binds for word in (kind, str(path), str(path))]
    return tuple(words)


def _python() -> Iterator[Path]:
    """Our interpreter, its libraries and ourselves."""
    data = PACKAGE.parent
    yield from (PACKAGE, data / "kbuild")
    for prefix in (sys.prefix, sys.base_prefix):
        if not prefix.startswith("/usr"):
            yield Path(prefix)


@functools.cache
def probe() -> tuple[str, ...]:
    """What :func:`argv` needs as ``shut`` here, found out by confining a shell.

    Raises ToolMissing without bwrap, MachineError with bwrap's reason when it does not work:
    no user namespaces for this user, or a chroot that cannot be pivoted out of.
    """
    if process.which("bwrap") is None:
        raise ToolMissing("an untrusted series needs bwrap, which is not installed",
                          fix="apt-get install bubblewrap, or --trusted for what you have read")
    said = ""
    for shut in (SHUT, SHUT[:1], ()):  # bubblewrap before 0.8 has only the first, a chroot none
        command = argv(View(scratch=MIB), ["/bin/sh", "-c", _PROBE], shut=shut)
        done = process.run(command, deadline=PROBE_DEADLINE, check=False, merge=True)
        if done.returncode == 0:
            return shut
        if not said or os.getuid() == 0:  # what root lacks shows when it is the last way
            said = (done.text.strip().splitlines() or ["it says nothing"])[-1]
    raise MachineError(f"an untrusted series needs bwrap, which does not work here: {said}",
                       fix="docs/untrusted.md says what it needs; --trusted for what you have read")
