# SPDX-License-Identifier: GPL-2.0-or-later
"""Starting programs, each with its token, and the keeper that outlives us."""

from __future__ import annotations

import itertools
import os
import secrets
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from kvtools.errors import Interrupted, MachineError, ToolMissing, ToolTimeout
from kvtools.process import keeper
from kvtools.process.environ import cleaned

MARK = "KVTOOLS_SPAWN"

Argv = Sequence[str | Path]
Popen = subprocess.Popen[bytes]


def environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """What programs see: ours, cleaned, our virtual environment first in PATH, then ``env``."""
    venv = Path(sys.prefix, "bin") if sys.prefix != sys.base_prefix else None
    return cleaned(os.environ, first=venv) | dict(env or {})


def which(program: str) -> Path | None:
    """Where :func:`run` would find ``program``."""
    found = shutil.which(program, path=environment()["PATH"])
    return Path(found) if found else None


class Spawner:
    """Starts programs for this process: hands out the tokens, keeps the keeper alive."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._number = itertools.count(1)
        self._run = secrets.token_hex(16)
        self._pipe: int | None = None
        self._keeper: Popen | None = None
        self.stopped = False

    def start(
        self,
        argv: Argv,
        *,
        cwd: str | Path | None,
        env: Mapping[str, str] | None,
        stdio: tuple[int | None, int | None, int | None],
        session: bool = True,
        pass_fds: Sequence[int] = (),
    ) -> tuple[Popen, bytes]:
        """The program and its token. Raises Interrupted, ToolMissing or MachineError."""
        full = environment(env)
        words = [str(word) for word in argv]
        with self._lock:
            if self.stopped:
                raise Interrupted(f"{program(words)} was not started: kvtools is stopping")
            self._ensure_keeper()
            mark = f"{self._run}.{next(self._number)};"
            # Inside another kvtools the outer marks stay, so that the outer one finds us too.
            full[MARK] = os.environ.get(MARK, "") + mark
            try:
                child = subprocess.Popen(
                    words,
                    cwd=cwd,
                    env=full,
                    stdin=stdio[0],
                    stdout=stdio[1],
                    stderr=stdio[2],
                    start_new_session=session,
                    pass_fds=tuple(pass_fds),
                )
            except (OSError, ValueError) as error:
                raise _start_error(words, cwd, full["PATH"], error) from error
        return child, mark.encode()

    def _ensure_keeper(self) -> None:
        if self._pipe is not None:
            watch = select.poll()
            watch.register(self._pipe, 0)
            if not watch.poll(0):
                return
            os.close(self._pipe)  # POLLERR: the reader, our keeper, was killed
            self._pipe = None
        # -I -S: milliseconds to start. Neither the token nor our name may show in its
        # arguments or environment, or whoever hunts kvtools by name kills the keeper too.
        source = os.open(keeper.__file__, os.O_RDONLY)
        reader, writer = os.pipe()
        try:
            self._keeper = subprocess.Popen(
                [os.path.realpath(sys.executable), "-I", "-S", f"/dev/fd/{source}"],
                stdin=reader,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"},
                start_new_session=True,
                pass_fds=(source,),
            )
        except OSError as error:
            os.close(writer)
            raise MachineError(f"cannot start a process: {error.strerror}") from error
        finally:
            os.close(source)
            os.close(reader)
        os.write(writer, self._run.encode())
        self._pipe = writer

    def stop(self) -> None:
        with self._lock:
            self.stopped = True
        kill(f"{self._run}.".encode(), "a process")

    def renew(self) -> None:
        """After a fork without exec the pipe is the parent's and must not be held open."""
        if self._pipe is not None:
            os.close(self._pipe)
        self._reset()


SPAWNER = Spawner()  # one for each process: what Ctrl-C stops and the keeper watches
os.register_at_fork(after_in_child=SPAWNER.renew)


def stop_all() -> None:
    """Ctrl-C: kill every tree this process started; later starts raise Interrupted."""
    SPAWNER.stop()


def reopen() -> None:
    """Allow starts again after :func:`stop_all` (a new run in the same process)."""
    SPAWNER.stopped = False


def program(words: Sequence[str]) -> str:
    return Path(words[0]).name


def _start_error(
    words: Sequence[str], cwd: str | Path | None, path: str, error: Exception
) -> MachineError:
    wanted = words[0]
    if cwd is not None and not Path(cwd).is_dir():
        return MachineError(f"cannot run {program(words)} in {cwd}: no such directory")
    if isinstance(error, FileNotFoundError):
        found = wanted if "/" in wanted else shutil.which(wanted, path=path)
        if found and Path(cwd or ".", found).exists():
            return MachineError(f"cannot run {found}: the interpreter it names is missing")
        return ToolMissing(
            f"{wanted} is not installed", fix="`./kv doctor` names the package to install"
        )
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return MachineError(f"cannot run {wanted}: {reason}")


def kill(token: bytes, name: str) -> None:
    if alive := keeper.kill_marked(token):
        pids = ", ".join(map(str, alive))
        raise MachineError(f"{name} does not die of SIGKILL (pid {pids})")


def ends(child: Popen, end: float) -> int | None:
    """Its exit status once it has ended, None if it has not when the clock shows ``end``."""
    try:
        return child.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None


def too_late(words: Sequence[str], deadline: float) -> ToolTimeout:
    return ToolTimeout(f"{program(words)} did not end within {deadline:g} s and was killed")
