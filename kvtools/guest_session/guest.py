# SPDX-License-Identifier: GPL-2.0-or-later
"""One running guest: vng, its QMP socket and the channel to the agent inside, as one thing.

Everything has a deadline. Deadlines are given for KVM and stretched under TCG.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Generic, NoReturn, Self, TypeVar

from kvtools import process, vng
from kvtools.channel import AGENT, Channel, Hello, Result, Silent
from kvtools.errors import GuestLost, MachineError, ToolFailed
from kvtools.guest_session.faults import (
    CRASH,
    End,
    KernelFault,
    OutOfTime,
    after_crash,
    explain,
)
from kvtools.model import Json
from kvtools.qmp import Qmp
from kvtools.vng import Machine, Places

T = TypeVar("T")

BOOT_DEADLINE = 30.0
ANSWER_DEADLINE = 12.0  # the agent of a healthy guest answers within this
QEMU_DEADLINE = 30.0  # vng, then QEMU, until its sockets are there; not the guest's time
END_DEADLINE = 5.0
SLICE = 0.5  # how often a wait looks whether QEMU still lives
PAUSE_FIRST, PAUSE_LAST = 0.02, 0.3
STRETCH = {"kvm": 1.0, "tcg": 4.0}
DUMPS = "dumps"  # the directory for them below a guest's ``out``
IMAGE = "bzImage"  # a copy in there is for the crash kernel
# reboot(2), as /sbin/reboot of any init calls it in the end; LINUX_REBOOT_CMD_RESTART
RESTART = "exec python3 -S -c 'import ctypes; ctypes.CDLL(None).reboot(0x1234567)'"
CONSOLE_LIMIT = 64 << 20  # bytes: a kernel that prints without end must not fill the disk


@dataclass(frozen=True, slots=True)
class Source:
    """Where the kernel under test came from: a commit of a repository."""

    repo: Path
    commit: str


@dataclass(frozen=True, slots=True)
class Polled(Generic[T]):
    """The last value read, whether it was the wanted one, and after how many seconds."""

    value: T
    met: bool
    seconds: float


class Guest:
    """A guest that has booted; a context manager that ends it.

    ``image`` is a build's directory (``bzImage``, optionally ``modules``). ``out`` gets
    ``console.log`` and ``qemu.log``. Entering and every method raise
    :class:`KernelFault` when the kernel stopped, GuestLost when QEMU did, OutOfTime
    after the deadline, ToolFailed when QEMU could not be started.
    """

    qmp: Qmp  # from the moment QEMU runs

    def __init__(
        self,
        machine: Machine,
        image: Path,
        accel: str,
        out: Path,
        source: Source,
        *,
        deadline: float,
        slowdown: float = 1.0,
    ) -> None:
        """``deadline``: seconds for the guest's whole life under KVM.

        ``slowdown``: how many times longer the kernel takes than a plain one.
        """
        self.machine = machine
        self.accel = accel
        self.out = out.resolve()
        self.source = source
        self.hello: Hello | None = None
        self.boot_seconds = 0.0
        self.crashed = False  # on purpose; the guest has ended then
        self.scripts: list[str] = []
        self.on_host: list[str] = []  # shell lines a reproducer needs before the guest starts
        self._explained: Exception | None = None
        self.image = image.resolve()
        self.stretch = STRETCH[accel] * slowdown
        self._allowed = deadline * self.stretch
        self._end = time.monotonic() + self._allowed
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if isinstance(error, GuestLost) and error is not self._explained:
                self._lost(error)
        finally:
            self._stack.close()

    # What a scenario uses

    def sh(self, script: str, deadline: float = 10.0) -> Result:
        """Run a shell script in the guest, see :meth:`Channel.run`.

        When it runs past its deadline the kernel's blocked tasks are on the console.
        """
        if script not in self.scripts:
            self.scripts.append(script)
        self.watch()
        try:
            result = self._channel.run(script, deadline * self.stretch)
            if result.late:
                self._channel.trace()
        except (Silent, GuestLost) as error:
            self._fail(f"running {_headline(script)!r}", self._patience, error)
        return result

    def poll(
        self,
        read: Callable[[], T],
        want: Callable[[T], bool],
        deadline: float,
        pause_at_most: float = PAUSE_LAST,
    ) -> Polled[T]:
        """Read until ``want`` holds or ``deadline`` seconds (under KVM) are over.

        The pauses between two readings double up to ``pause_at_most`` seconds.
        """
        start = time.monotonic()
        end = start + deadline * self.stretch
        pause = PAUSE_FIRST
        while True:
            value = read()
            now = time.monotonic()
            if want(value) or now >= end:
                return Polled(value, want(value), now - start)
            self.watch()
            time.sleep(min(pause, end - now))
            pause = min(2 * pause, pause_at_most)

    def reboot(self) -> float:
        """Have the guest reboot itself; the seconds until its agent greets again.

        vng starts QEMU so that a reset ends it (-no-reboot), which is what shows a guest that
        resets by itself; it is let through this once.
        """
        self.qmp.set_reboot("reset")
        start = time.monotonic()
        # Later than the answer, so that the channel is quiet when the port goes.
        self.sh(f"(sleep 0.5; {RESTART}) >/dev/null 2>&1 &")
        self.hello = None
        self._greet()
        self.qmp.set_reboot("shutdown")
        return time.monotonic() - start

    def meminfo(self) -> dict[str, int]:
        """/proc/meminfo in bytes (in pages where it gives no unit)."""
        found = {}
        # Builtins: to start a program costs ten times as much under emulation.
        script = 'while read -r line; do echo "$line"; done </proc/meminfo'
        for line in self.sh(script).text.splitlines():
            name, _, value = line.partition(":")
            number, _, unit = value.strip().partition(" ")
            found[name] = int(number) * (1024 if unit == "kB" else 1)
        return found

    @property
    def changes(self) -> tuple[tuple[str, Mapping[str, Json]], ...]:
        """The QMP commands that changed something, in order."""
        return tuple(self.qmp.changes) if hasattr(self, "qmp") else ()

    def console(self) -> str:
        """The kernel log so far, from the first line."""
        return (self.out / "console.log").read_text("utf-8", "replace")

    def watch(self) -> None:
        """Raises when the guest cannot go on: QEMU ended, time is over, console flooded."""
        if self.crashed:
            return
        if self._child.poll() is not None:
            self._fail("running", 0.0, None)
        if time.monotonic() > self._end:
            raise OutOfTime(
                f"the guest answers, but was not done within {self._allowed:.0f} s",
                fix="run fewer things at once on this machine",
            )
        if (self.out / "console.log").stat().st_size > CONSOLE_LIMIT:
            raise KernelFault("flood", f"the console grew over {CONSOLE_LIMIT >> 20} MiB")

    @property
    def share(self) -> Path:
        """Where dumps are; the guest may write to it where the machine has a ``share``."""
        return self.out / DUMPS

    def crash(self, deadline: float, watch: Callable[[], object] = lambda: None) -> float:
        """Make the kernel panic and wait until its crash kernel has powered the guest off.

        The seconds that took; ``watch`` is called while waiting. Only the host goes on after
        that. Raises KernelFault when the crash kernel does not come up or does not end.
        """
        self.watch()
        self.scripts.append(CRASH)
        self.crashed = True
        start = time.monotonic()
        end = min(start + deadline * self.stretch, self._end)
        with suppress(Silent, GuestLost):  # it may be gone before it answers
            self._channel.start(CRASH)
        while self._child.poll() is None and time.monotonic() < end:
            watch()
            time.sleep(PAUSE_LAST)
        seconds = time.monotonic() - start
        status = self._child.poll()
        if status is not None:
            self._child.wait(END_DEADLINE)  # raises Interrupted if it was Ctrl-C that ended it
        fault = after_crash(self._ending("the crash kernel ran", seconds, status))
        if fault is not None:
            self._explained = fault
            raise fault
        return seconds

    # Starting and ending

    def _start(self) -> None:
        start = time.monotonic()
        places = Places(self._run_directory())
        modules = link_kernel(self.image, places)
        console = self.out / "console.log"
        console.write_bytes(b"")
        places.console.symlink_to(console)
        if self.machine.share:
            self.share.mkdir()
            places.share.symlink_to(self.share)
        argv = vng.argv(
            self.machine, places, accel=self.accel, command=f"sh {AGENT}", modules=modules,
            scripts=AGENT.parent,
        )
        self._child = self._stack.enter_context(
            process.spawn(
                argv,
                log=self.out / "qemu.log",
                env=vng.environment(places),
                limit=CONSOLE_LIMIT,
                work=True,
            )
        )
        self.qmp = self._connect(lambda: Qmp(places.qmp))
        self._stack.callback(self._quit)
        self._patience = ANSWER_DEADLINE * self.stretch
        self._channel = self._stack.enter_context(
            self._connect(lambda: Channel.connect(places.channel, self._patience))
        )
        self._greet()
        self.boot_seconds = time.monotonic() - start

    def _run_directory(self) -> Path:
        directory = Path(tempfile.mkdtemp(prefix="kv."))
        # The directory holds links and sockets only; QEMU may remove its pid file meanwhile.
        self._stack.callback(shutil.rmtree, directory, ignore_errors=True)
        return directory

    def _connect(self, connect: Callable[[], T]) -> T:
        end = time.monotonic() + QEMU_DEADLINE * self.stretch
        while True:
            try:
                return connect()
            except (FileNotFoundError, ConnectionRefusedError) as error:
                status = self._child.poll()
                if status is not None:
                    raise ToolFailed(
                        f"vng ended with status {status} before QEMU ran: "
                        + (self._said() or "it said nothing")
                    ) from error
                if time.monotonic() > end:
                    raise GuestLost("QEMU did not open its sockets") from error
                time.sleep(PAUSE_FIRST)

    def _greet(self) -> None:
        start = time.monotonic()
        end = min(start + BOOT_DEADLINE * self.stretch, self._end)
        while time.monotonic() < end:
            self.watch()
            try:
                self.hello = self._channel.greet(min(SLICE, end - time.monotonic()))
            except GuestLost as error:
                self._fail("booting", time.monotonic() - start, error)
            if self.hello:
                return
        self._fail("booting", time.monotonic() - start, None)

    def _quit(self) -> None:
        if self._child.poll() is None:
            self.qmp.quit()
        self.qmp.close()
        end = time.monotonic() + END_DEADLINE
        while self._child.poll() is None and time.monotonic() < end:
            time.sleep(PAUSE_FIRST)

    # When it stops

    def _fail(self, doing: str, waited: float, cause: Exception | None) -> NoReturn:
        if isinstance(cause, GuestLost):
            self._await_exit()
        status = self._child.poll()
        if status is not None:
            self._child.wait(END_DEADLINE)  # raises Interrupted if it was Ctrl-C that ended it
        self._explained = explain(self._ending(doing, waited, status))
        raise self._explained from cause

    def _ending(self, doing: str, waited: float, status: int | None) -> End:
        return End(
            doing=doing,
            waited=waited,
            accel=self.accel,
            greeted=self.hello is not None,
            exit_status=status,
            run_state="" if status is not None else self._run_state(),
            events=self.qmp.events(),
            console=self.console(),
            said=self._said(),
        )

    def _lost(self, error: GuestLost) -> None:
        """QMP broke off; raises what ended QEMU, nothing while QEMU lives."""
        self._await_exit()
        if self._child.poll() is not None:
            self._fail("the host talked QMP", 0.0, error)

    def _await_exit(self) -> None:
        """QEMU closes its sockets a moment before it is gone."""
        end = time.monotonic() + END_DEADLINE
        while self._child.poll() is None and time.monotonic() < end:
            time.sleep(PAUSE_FIRST)

    def _run_state(self) -> str:
        try:
            return self.qmp.status()
        except GuestLost:
            return ""

    def _said(self) -> str:
        """The last line of vng and QEMU themselves."""
        lines = (self.out / "qemu.log").read_text("utf-8", "replace").strip().splitlines()
        return lines[-1].strip() if lines else ""


def _headline(script: str) -> str:
    lines = script.strip().splitlines()
    return (lines[0] if lines else "")[:60]


def link_kernel(image: Path, places: Places) -> bool:
    """Put a build's kernel and modules below the run directory; True if it has modules."""
    if not (image / "bzImage").is_file():
        raise MachineError(f"no kernel image {image / 'bzImage'}")
    places.image.parent.mkdir()
    places.image.symlink_to((image / "bzImage").resolve())
    modules = image / "modules" / "lib" / "modules"
    if not modules.is_dir():
        return False
    places.modules.parent.mkdir()
    places.modules.symlink_to(modules.resolve())
    return True
