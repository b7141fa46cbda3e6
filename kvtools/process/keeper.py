# SPDX-License-Identifier: GPL-2.0-or-later
"""Find and kill every process that carries a token in its environment.

Imported by the rest of the package, and run by it as a program of its own (the keeper):
standard input is a pipe whose write end only kvtools holds; it brings the token, and its
end means that kvtools is gone, however it died. A process group or a parent id would not
do: virtme-run and its QEMU start sessions of their own and lose their parents.

Only the standard library, and little of it: the keeper must start in milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

GRACE = 2.0  # seconds between SIGTERM and SIGKILL: make removes its half-written targets
PATIENCE = 10.0  # seconds after which a process that SIGKILL does not end is given up
KEEPER_GRACE = 1.0
KEEPER_PATIENCE = 60.0
PAUSE = 0.02

Identity = tuple[int, int]  # pid and start time in clock ticks: pids are used again


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    parts = []
    try:
        while part := os.read(fd, 1 << 16):
            parts.append(part)
    except OSError:
        pass  # the process ended meanwhile
    finally:
        os.close(fd)
    return b"".join(parts)


def _pids() -> list[int]:
    # Not pathlib: importing it doubles the keeper's start.
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def marked(token: bytes) -> set[int]:
    """The processes whose environment at exec contains ``token``; zombies have none."""
    return {pid for pid in _pids() if token in _read(f"/proc/{pid}/environ")}


def _alive() -> dict[int, tuple[int, int]]:
    """pid to (parent, start time) of everything that is not a zombie."""
    found = {}
    for pid in _pids():
        # The name may hold blanks and parentheses: the fields begin after the last one.
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        if len(fields) > 19 and fields[0] not in (b"Z", b"X"):
            found[pid] = (int(fields[1]), int(fields[19]))
    return found


def _victims(token: bytes, known: set[Identity]) -> set[Identity]:
    """The marked, their living descendants (``env -i`` drops the token), and the known."""
    hit = marked(token)
    if not hit and not known:
        return set()
    alive = _alive()
    hit &= alive.keys()
    grew = bool(hit)
    while grew:
        more = {pid for pid, (parent, _) in alive.items() if parent in hit and pid not in hit}
        hit |= more
        grew = bool(more)
    found = {(pid, alive[pid][1]) for pid in hit}
    return found | {who for who in known if who[0] in alive and alive[who[0]][1] == who[1]}


def _send(who: Identity, number: int) -> None:
    pid, start = who
    with contextlib.suppress(ProcessLookupError, PermissionError):
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        except OSError:  # a kernel or a sandbox without pidfd
            os.kill(pid, number)
            return
        try:
            fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
            if len(fields) > 19 and int(fields[19]) == start:
                signal.pidfd_send_signal(fd, number)
        finally:
            os.close(fd)


def kill_marked(token: bytes, *, grace: float = GRACE, patience: float = PATIENCE) -> list[int]:
    """SIGTERM, and after ``grace`` seconds SIGKILL, to all that carry ``token``.

    Repeats until several scans in a row find nobody: a process may fork between two looks,
    and one in the middle of an exec shows no environment. Returns the pids still alive
    after ``patience`` seconds (uninterruptible sleep, another user's), normally none.
    """
    begun = time.monotonic()
    known: set[Identity] = set()
    told: set[Identity] = set()
    quiet = 0
    while quiet < 3:
        known = _victims(token, known)
        elapsed = time.monotonic() - begun
        if known and elapsed > patience:
            return sorted(pid for pid, _ in known)
        quiet = 0 if known else quiet + 1
        if elapsed >= grace:
            for who in known:
                _send(who, signal.SIGKILL)
        else:
            for who in known - told:
                _send(who, signal.SIGTERM)
            told |= known
        time.sleep(PAUSE if known else PAUSE / 4)
    return []


def main() -> None:
    """The keeper: read the token, wait for the end of the pipe, kill what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    token = b""
    while part := os.read(0, 4096):
        token += part
    if token:
        kill_marked(token, grace=KEEPER_GRACE, patience=KEEPER_PATIENCE)


if __name__ == "__main__":
    main()
