# SPDX-License-Identifier: GPL-2.0-or-later
"""Install what ``./kv`` found missing: Debian packages, then the virtual environment.

Runs on the system's Python with the standard library only. Speaks on standard error and
raises nothing but KeyboardInterrupt: the result is an exit status.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from kvtools import packages, process, venv
from kvtools.errors import Interrupted, KvtoolsError, MachineError
from kvtools.packages import Package

APT_LISTS = Path("/var/lib/apt/lists")
APT_DEADLINE = 3600.0
VENV_DEADLINE = 600.0
PIP_DEADLINE = 3600.0

NO_NETWORK = re.compile(
    r"Temporary failure (in name )?resol|Could not (resolve|connect)|Name or service not known"
    r"|Failed to establish a new connection|Network is unreachable|No route to host"
    r"|[Cc]onnection (timed out|refused)|ConnectTimeoutError|ProxyError"
)


class Machine(NamedTuple):
    """Who asks, and where."""

    distribution: str
    root: bool
    terminal: bool


def install(root: Path, place: Path, needed: Sequence[Package], *, may_lack: bool) -> int:
    """Install all that is missing; 0, or an exit status with the reason said.

    ``may_lack``: what is about to start does without the required packages.
    """
    machine = Machine(packages.here(), os.geteuid() == 0, os.isatty(0) and os.isatty(2))
    try:
        with locked(place):
            provide(needed, machine, may_lack=may_lack)
            if not venv.is_fresh(root, place):
                make_venv(root, place)
    except KeyboardInterrupt:
        say("stopped")
        return Interrupted.exit_code
    except KvtoolsError as error:
        say(str(error))
        return error.exit_code
    except OSError as error:
        say(f"{error.strerror}: {error.filename or place}")
        return MachineError.exit_code
    return 0


def say(text: str) -> None:
    print(f"kv: {text}", file=sys.stderr, flush=True)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """One installation at a time; the directory is made, and must be ours, empty or new."""
    try:
        foreign = place.is_dir() and any(place.iterdir()) and not (place / venv.LOCK).exists()
        if not foreign:
            place.mkdir(parents=True, exist_ok=True)
            lock = (place / venv.LOCK).open("a")
    except OSError as error:
        raise MachineError(
            f"cannot write {error.filename}: {error.strerror}",
            fix="set KVTOOLS_VENV to a directory of your own",
        ) from error
    if foreign:
        raise MachineError(
            f"{place} was not made by kv and is not touched",
            fix="remove it, or set KVTOOLS_VENV to a new directory",
        )
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another kv is installing; waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def provide(needed: Sequence[Package], machine: Machine, *, may_lack: bool) -> None:
    """See that the required packages are here, or raise MachineError with the line to run.

    Off Debian the line is printed and that is all: our files may be elsewhere there.
    """
    required = packages.missing(needed, "required")
    if not required:
        return
    what = packages.names(required, machine.distribution)
    along = packages.names(packages.missing(needed, "speed", "wanted"), machine.distribution)
    say("missing: " + ", ".join(f"{entry.key} ({entry.why})" for entry in required))
    command = packages.install_args(machine.distribution, [*what, *along])
    if machine.distribution != "debian":
        say(_elsewhere(command, what))
        return
    prefix = _as_root(machine)
    if prefix is None:
        line = "sudo " + shlex.join(command)
        if may_lack:
            say(line)
            return
        raise MachineError("packages are missing and you are not root", fix=f"run: {line}")
    say(shlex.join([*prefix, *command]))
    _apt(prefix, what, along)
    if still := packages.missing(needed, "required"):
        raise MachineError(
            "apt-get went well, but not found: " + ", ".join(entry.key for entry in still),
            fix="see the programs and files of kbuild/packages.toml",
        )


def _elsewhere(command: Sequence[str], what: Sequence[str]) -> str:
    if command:
        return "install them with: sudo " + shlex.join(command)
    return "install them; on Debian they are called " + " ".join(what)


def _as_root(machine: Machine) -> list[str] | None:
    """What to put before a command to run it as root; None when that cannot be."""
    if machine.root:
        return []
    if process.which("sudo") is None:
        return None
    if machine.terminal:
        return ["sudo"]
    asked = process.run(["sudo", "-n", "true"], deadline=30, check=False)
    return ["sudo"] if asked.returncode == 0 else None


def _apt(prefix: Sequence[str], what: Sequence[str], along: Sequence[str]) -> None:
    if not any(APT_LISTS.glob("*_InRelease")) and not any(APT_LISTS.glob("*_Packages*")):
        _apt_get(prefix, "update")
    code, output = _apt_get(prefix, "install", what, along)
    if code != 0:  # lists too old to know the package, or to fetch it
        _apt_get(prefix, "update")
        code, output = _apt_get(prefix, "install", what, along)
    if code != 0 and along:  # a derivative without one of the merely wanted
        code, output = _apt_get(prefix, "install", what)
    if code != 0:
        raise _failed("apt-get", output, "see the lines above, then run the line yourself")


def _apt_get(prefix: Sequence[str], verb: str, *groups: Sequence[str]) -> tuple[int, str]:
    """Status and output of one apt-get. With sudo it gets the terminal, for a password."""
    argv = [
        *prefix,
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-q",
        "-o",
        "DPkg::Lock::Timeout=300",
        "-o",
        "APT::Update::Error-Mode=any",
    ]
    if verb == "install":
        argv += [
            "install",
            "-y",
            "--no-install-recommends",
            *(p for group in groups for p in group),
        ]
    else:
        argv.append(verb)
    if prefix:
        return process.foreground(argv), ""
    say(f"apt-get {verb} ...")
    done = process.run(argv, deadline=APT_DEADLINE, check=False, merge=True)
    return done.returncode, done.text


def make_venv(root: Path, place: Path) -> None:
    """A virtual environment with kvtools installed editable, and its stamp at the very end.

    One that was finished for the same clone and interpreter is only brought up to date.
    """
    stamp = place / venv.STAMP
    if not _reusable(root, place):
        for entry in place.iterdir():
            if entry.name != venv.LOCK:
                _remove(entry)
        say(f"making the virtual environment {place} ...")
        made = process.run(
            [sys.executable, "-m", "venv", place], deadline=VENV_DEADLINE, check=False, merge=True
        )
        if made.returncode != 0:
            raise _failed("python3 -m venv", made.text, "install python3-venv")
    stamp.unlink(missing_ok=True)
    say("installing Python packages (a minute or two) ...")
    begun = time.monotonic()
    done = process.run(
        [
            venv.python(place),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
            "--editable",
            f"{root}[test]",
        ],
        cwd=place,
        deadline=PIP_DEADLINE,
        check=False,
        merge=True,
    )
    if done.returncode != 0:
        raise _failed("pip", done.text, "see the lines above and run it again")
    part = place / (venv.STAMP + ".new")
    part.write_bytes(venv.stamp(root, place))
    part.replace(stamp)
    say(f"installed in {time.monotonic() - begun:.0f} s")


def _reusable(root: Path, place: Path) -> bool:
    """Finished once, for this clone and interpreter; only pyproject.toml may differ."""
    try:
        before = (place / venv.STAMP).read_bytes().split(b"\n", 3)[:3]
    except OSError:
        return False
    runs = os.access(venv.python(place), os.X_OK)
    return runs and before == venv.stamp(root, place).split(b"\n", 3)[:3]


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _failed(program: str, output: str, fix: str) -> MachineError:
    """The last lines said, and one error. Without a network, that is the whole reason."""
    if NO_NETWORK.search(output):
        return MachineError(
            f"no network: {program} cannot reach its servers", fix="connect and run it again"
        )
    if re.search(r"No space left on device|You don't have enough free space", output):
        return MachineError(f"disk full while {program} was installing", fix="make room")
    for line in [line for line in output.splitlines() if line.strip()][-8:]:
        print("    " + line, file=sys.stderr)
    return MachineError(f"{program} failed", fix=fix)
