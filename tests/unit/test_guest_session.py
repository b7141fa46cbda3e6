# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests, faults and cells, with a stand-in for vng that serves the real sockets."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvtools import dmesg, ktap, paths, process, vng
from kvtools.errors import GuestLost, Interrupted, MachineError
from kvtools.events import no_tick
from kvtools.guest_session import (
    DROPPED,
    Guest,
    GuestRequest,
    KernelFault,
    Source,
    cell,
    faults,
    guest,
    run_cell,
    skipped,
)
from kvtools.guest_session.faults import End, OutOfTime, explain
from kvtools.guest_session.reproducer import BY_HAND, by_hand, qmp_line, reproducer
from kvtools.guest_session.shell import resize_line
from kvtools.model import Outcome, Owner, Status, Step
from kvtools.qmp import Event
from kvtools.scenarios import Subtest
from kvtools.scenarios.base import GUEST as SCRIPTS
from kvtools.scenarios.base import Guest as ScenarioGuest
from kvtools.scenarios.base import Scenario
from kvtools.vng import Machine, Places, VirtioMem

UNIT = Path(__file__).parent
FAKE = UNIT.parent / "data" / "guest_session" / "fake_vng.py"


@dataclass
class Fake:
    """How the next guests behave, and where their files go."""

    mode: str
    image: Path
    out: Path

    def guest(self, deadline: float = 30.0, slowdown: float = 1.0) -> Guest:
        source = Source(self.image, "HEAD")
        return Guest(Machine(), self.image, "kvm", self.out, source, deadline=deadline,
                     slowdown=slowdown)

    def cell(self, check: Callable[[ScenarioGuest], Iterator[Subtest]], name: str = "t") -> Outcome:
        scenario = Scenario(name, 1, (), Machine(), 30.0, check)
        request = GuestRequest(Step.SELFTEST, self.image, name, "kvm", self.image, "HEAD", self.out)
        return run_cell(scenario, request, no_tick)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake("ok", tmp_path / "image", tmp_path / "out")
    made.image.mkdir()
    made.out.mkdir()
    (made.image / "bzImage").write_bytes(b"kernel")

    def argv(machine: Machine, places: Places, **_: object) -> tuple[str, ...]:
        return (sys.executable, str(FAKE), str(UNIT), str(places.directory), made.mode)

    monkeypatch.setattr(vng, "argv", argv)
    monkeypatch.setattr(guest, "ANSWER_DEADLINE", 20.0)  # a fake answers at once, if a core is free
    monkeypatch.setattr(guest, "BOOT_DEADLINE", 20.0)
    return made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Short deadlines, for the modes of the fake that end by one."""

    def shorten(mode: str) -> None:
        if mode in ("boot-hang", "mute", "paused"):
            monkeypatch.setattr(guest, "BOOT_DEADLINE", 1.0)
        if mode == "hang":
            monkeypatch.setattr(guest, "ANSWER_DEADLINE", 2.4)

    return shorten


def test_a_guest_that_works(fake: Fake) -> None:
    with fake.guest() as running:
        assert running.hello
        assert running.hello.release == "6.1.0"
        assert running.boot_seconds > 0
        assert running.sh("echo hi; exit 2").stdout == b"hi\n"
        assert running.meminfo()["MemTotal"] % 1024 == 0
        assert running.qmp.status() == "running"
        assert "Linux version 6.1.0" in running.console()
        directory = fake.out.parent
    assert not list(directory.glob("kv.*"))
    assert running._child.poll() is not None


def test_a_guest_that_restarts_greets_again(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.mode = "restart"
    monkeypatch.setattr(guest, "RESTART", "true")  # the fake runs commands on this machine
    with fake.guest() as running:
        assert running.reboot() > 0
        assert running.hello and running.hello.uptime == 1.25
        actions = [words for name, words in running.changes if name == "set-action"]
        assert actions == [{"reboot": "reset"}, {"reboot": "shutdown"}]


def test_a_guest_that_does_not_come_again_is_the_kernels_fault(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "RESTART", "true")
    with pytest.raises(KernelFault, match="did not boot within"), fake.guest() as running:
        monkeypatch.setattr(guest, "BOOT_DEADLINE", 1.0)
        running.reboot()


def test_poll_ends_when_met_and_at_its_deadline(fake: Fake) -> None:
    numbers = iter(range(100))
    with fake.guest() as running:
        met = running.poll(lambda: next(numbers), lambda n: n == 3, 10.0)
        assert (met.value, met.met) == (3, True)
        missed = running.poll(lambda: 0, lambda n: n == 1, 0.1)
        assert (missed.value, missed.met) == (0, False)
        assert 0.1 <= missed.seconds < 2


def test_a_kernel_that_is_slow_by_its_config_has_longer(fake: Fake) -> None:
    with fake.guest(slowdown=4.0) as running:
        assert running.poll(lambda: 0, lambda n: n == 1, 0.2).seconds >= 0.8


@pytest.mark.parametrize(
    ("mode", "error", "text"),
    [
        ("boot-panic", KernelFault, "Kernel panic.* while booting"),
        ("boot-reset", KernelFault, "reset itself while booting; last .*Run /init"),
        ("boot-killed", GuestLost, "QEMU ended .* while booting.* no kernel fault"),
        ("boot-hang", KernelFault, "did not boot within 1 s; last .*Run /init"),
        ("mute", GuestLost, "printed nothing in 1 s under KVM; try --accel tcg"),
        ("paused", GuestLost, "QEMU is paused"),
        ("refused", MachineError, "vng ended with status 1 before QEMU ran: .*invalid accel"),
    ],
)
def test_a_boot_that_fails(
    fake: Fake, mode: str, error: type[Exception], text: str, impatient: Callable[[str], None]
) -> None:
    fake.mode = mode
    impatient(mode)
    with pytest.raises(error, match=text), fake.guest():
        raise AssertionError("it booted")


@pytest.mark.parametrize(
    ("mode", "error", "text"),
    [
        ("panic", KernelFault, "Kernel panic.* while running 'true'"),
        ("reset", KernelFault, "reset itself while running 'true'"),
        ("killed", GuestLost, "QEMU ended .* while running 'true'"),
        ("hang", KernelFault, "stopped answering for 2 s while running 'true'"),
    ],
)
def test_an_end_in_the_middle(
    fake: Fake, mode: str, error: type[Exception], text: str, impatient: Callable[[str], None]
) -> None:
    fake.mode = mode
    impatient(mode)
    with fake.guest() as running, pytest.raises(error, match=text):
        running.sh("true")


def test_out_of_time_is_not_the_kernels_fault(fake: Fake) -> None:
    with fake.guest() as running, pytest.raises(OutOfTime, match="the guest answers"):
        running._end = time.monotonic() + 0.05
        running.poll(lambda: 0, lambda n: n == 1, 60.0)


def test_a_flooded_console(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "CONSOLE_LIMIT", 10)
    with pytest.raises(KernelFault, match="the console grew"), fake.guest():
        pass


def test_ctrl_c(fake: Fake) -> None:
    try:
        with fake.guest() as running, pytest.raises(Interrupted):
            threading.Timer(0.1, process.stop_all).start()
            running.poll(lambda: 0, lambda n: n == 1, 60.0)
    finally:
        process.reopen()


def test_no_image(fake: Fake) -> None:
    (fake.image / "bzImage").unlink()
    with pytest.raises(MachineError, match="no kernel image"), fake.guest():
        pass


# Faults that need no guest


def end(**changes: object) -> End:
    given = {"doing": "x", "waited": 9.0, "accel": "tcg", "greeted": False, "exit_status": None,
             "run_state": "running", "events": (), "console": "[ 0.1] last words\n"}  # fmt: skip
    return End(**{**given, **changes})  # type: ignore[arg-type]


def test_a_silent_console_is_the_kernels_fault_under_tcg_only() -> None:
    assert isinstance(explain(end(console="", accel="tcg")), KernelFault)
    assert isinstance(explain(end(console="", accel="kvm")), GuestLost)
    assert isinstance(explain(end(console="x", accel="kvm")), KernelFault)


def test_a_host_that_quits_qemu_is_no_guest_that_ends() -> None:
    quit_ = Event("SHUTDOWN", {"guest": False, "reason": "host-signal"})
    assert isinstance(explain(end(exit_status=0, events=(quit_,))), GuestLost)
    off = Event("SHUTDOWN", {"guest": True, "reason": "guest-shutdown"})
    found = explain(end(exit_status=0, events=(off,)))
    assert isinstance(found, KernelFault)
    assert found.kind == "guest-shutdown"


# Cells


def passes(running: ScenarioGuest) -> Iterator[Subtest]:
    running.sh("true")
    yield Subtest("one", Status.PASS, "fine", {"size": 4})
    yield Subtest("two", Status.SKIP, "not here")


def fails(running: ScenarioGuest) -> Iterator[Subtest]:
    yield Subtest("one", Status.PASS)
    yield Subtest("two", Status.FAIL, "4 is not 5")


def test_pass(fake: Fake) -> None:
    outcome = fake.cell(passes)
    assert (outcome.status, outcome.owner, outcome.cell) == (Status.PASS, None, "selftest:t")
    assert outcome.summary == "1 of 2 subtests passed, 1 skipped: two: not here"
    assert outcome.fingerprints == ()
    assert [s["status"] for s in outcome.details["subtests"]] == ["PASS", "SKIP"]
    assert outcome.details["splats"] == []
    assert outcome.details["release"] == "6.1.0"
    for name in ("console.log", "qemu.log", "ktap.log"):
        assert (fake.out / name).is_file()
    json.dumps(outcome.details)


def test_fail(fake: Fake) -> None:
    outcome = fake.cell(fails)
    assert (outcome.status, outcome.owner) == (Status.FAIL, Owner.KERNEL)
    assert outcome.summary == "two: 4 is not 5"
    assert outcome.fingerprints == ("subtest:two",)
    assert outcome.evidence == ("two: 4 is not 5",)


def test_a_splat_fails_what_passed(fake: Fake) -> None:
    fake.mode = "splat"
    outcome = fake.cell(passes)
    assert (outcome.status, outcome.owner) == (Status.FAIL, Owner.KERNEL)
    assert outcome.summary == "WARNING in plug_it on the console"
    assert outcome.fingerprints == ("warning: WARNING in plug_it",)
    assert any("WARNING: CPU: 1" in line for line in outcome.evidence)


@pytest.mark.parametrize(
    ("mode", "status", "owner", "mark"),
    [
        ("panic", Status.FAIL, Owner.KERNEL, "panic: Kernel panic"),
        ("reset", Status.FAIL, Owner.KERNEL, "guest:guest-reset"),
        ("killed", Status.ERROR, Owner.MACHINE, None),
        ("refused", Status.ERROR, Owner.MACHINE, None),
    ],
)
def test_who_ended_it(
    fake: Fake, mode: str, status: Status, owner: Owner, mark: str | None
) -> None:
    fake.mode = mode
    outcome = fake.cell(passes)
    assert (outcome.status, outcome.owner) == (status, owner)
    marks = outcome.fingerprints
    assert [m.startswith(mark) for m in marks] == [True] if mark else marks == ()
    assert (fake.out / str(outcome.log)).is_file()


def test_nothing_checked_and_nothing_but_skips(fake: Fake) -> None:
    assert fake.cell(lambda running: iter(())).status is Status.FAIL
    skip = Subtest("a", Status.SKIP, "no hot-pluggable memory")
    outcome = fake.cell(lambda running: iter((skip,)))
    assert (outcome.status, outcome.summary) == (Status.SKIP, "no hot-pluggable memory")


def test_what_is_aside_makes_no_pass(fake: Fake) -> None:
    def run(*tested: Subtest, aside: Status = Status.PASS) -> tuple[Status, str]:
        dimm = Subtest("dimm", aside, "plugged", aside=True)
        outcome = fake.cell(lambda running: iter((dimm, *tested, replace(dimm, name="restored"))))
        return outcome.status, outcome.summary

    skip = Subtest("a.sh", Status.SKIP, "no hot-pluggable memory")
    other = Subtest("b.sh", Status.SKIP, "no NUMA")
    good = Subtest("c.sh", Status.PASS)
    assert run(skip) == (Status.SKIP, "no hot-pluggable memory")
    assert run(skip, other)[0] is Status.SKIP
    assert run(skip, aside=Status.FAIL)[0] is Status.FAIL
    assert run()[0] is Status.FAIL
    assert run(good, skip) == (
        Status.PASS, "3 of 4 subtests passed, 1 skipped: a.sh: no hot-pluggable memory"
    )  # fmt: skip
    two = "2 skipped: a.sh: no hot-pluggable memory (and 1 more)"
    assert run(good, skip, other)[1].endswith(two)
    assert run(good) == (Status.PASS, "3 of 3 subtests passed")


@pytest.mark.parametrize(
    ("mode", "status", "owner", "marks", "text"),
    [
        ("reset", Status.FAIL, Owner.KERNEL, ("guest:guest-reset",), "the guest reset itself"),
        ("killed", Status.ERROR, Owner.MACHINE, (), "QEMU ended (vng exit status -9)"),
    ],
)
def test_who_ended_it_while_the_host_talked_qmp(
    fake: Fake, mode: str, status: Status, owner: Owner, marks: tuple[str, ...], text: str
) -> None:
    def talks(running: Any) -> Iterator[Subtest]:
        running._channel._ask("run 1 true", "running")  # the fake ends after its answer
        while True:
            running.qmp.status()
        yield

    fake.mode = mode
    outcome = fake.cell(talks)
    assert (outcome.status, outcome.owner, outcome.fingerprints) == (status, owner, marks)
    assert outcome.summary.startswith(f"{text} while the host talked QMP")


def test_a_silent_qmp_of_a_living_qemu_stays_what_it_is(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "END_DEADLINE", 0.1)
    with pytest.raises(GuestLost, match="did not answer x"), fake.guest():
        raise GuestLost("QEMU did not answer x")


def test_skipped() -> None:
    outcome = skipped(Step.SELFTEST, "vmem.probe", "this kernel has no CONFIG_VIRTIO_MEM")
    assert outcome.status is Status.SKIP
    assert outcome.cell == "selftest:vmem.probe"


def test_the_ktap_log_reads_back() -> None:
    subtests = [*passes_offline(), Subtest("three", Status.FAIL, "4 is not 5")]
    tests = ktap.parse(cell.ktap(subtests)).subtests
    assert [(t.name, t.status) for t in tests] == [(s.name, s.status) for s in subtests]


def passes_offline() -> list[Subtest]:
    return [Subtest("one", Status.PASS, "fine", {"size": 4}), Subtest("two", Status.SKIP, "no")]


# Reproducers and keys


def test_by_hand(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(process, "which", lambda name: Path("/v/bin", name))
    machine = Machine(virtio_mem=(VirtioMem(),))
    lines = by_hand(machine, fake.image, "tcg", BY_HAND)
    assert lines[0] == "mkdir -p /tmp/kv/boot"
    assert lines[1].startswith("ln -sf ")
    assert lines[2].startswith("PATH=/v/bin:$PATH vng --run /tmp/kv/boot/bzImage")
    assert "virtio-mem-pci" in lines[2]
    assert "--exec" not in lines[2]


def test_a_reproducer_names_no_directory_that_is_renamed(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(process, "which", lambda name: Path("/v/bin", name))
    ours = SimpleNamespace(
        machine=Machine(), image=fake.image, accel="tcg", out=fake.out, changes=(),
        share=fake.out / "dumps", source=Source(fake.image, "0123456789abcdef"),
        on_host=[f"mkdir -p {fake.out}/selftests"],
        scripts=[f"sh {SCRIPTS / 'kselftest.sh'} {fake.out}/selftests x"],
    )  # fmt: skip
    stable = paths.home().cache / "by-hand" / "0123456789ab" / "selftests"
    lines = reproducer(ours)  # type: ignore[arg-type]
    assert lines[:2] == (f"mkdir -p {stable}", "mkdir -p /tmp/kv/boot")
    assert lines[-3] == f"# guest scripts: {SCRIPTS}"
    assert lines[-1] == f"sh {SCRIPTS}/kselftest.sh {stable} x"
    assert str(fake.out) not in "\n".join(lines)
    ours.scripts = ["true"]
    assert not any("guest scripts" in line for line in reproducer(ours))  # type: ignore[arg-type]


def test_the_qmp_lines_run(tmp_path: Path) -> None:
    from fake_qemu import FakeQemu

    fake = FakeQemu(tmp_path / "qmp", lambda command, arguments: {"done": command})
    line = resize_line(Places(tmp_path), "vmem0", 1 << 30)
    result = process.run(["sh", "-c", line], deadline=20.0)
    fake.die()
    assert '"done": "qom-set"' in result.text
    (seen,) = fake.seen
    assert seen[1]["value"] == 1 << 30
    assert "kvtools" not in line
    assert qmp_line("quit", {}).startswith("python3 -c ")


# A guest that is made to crash


def crashing(running: ScenarioGuest) -> Iterator[Subtest]:
    seconds = running.crash(3.0)
    yield Subtest("crashed", Status.PASS, figures={"seconds": seconds})


@pytest.mark.parametrize(
    ("mode", "status", "owner", "words"),
    [
        ("crash-ok", Status.PASS, None, "1 of 1 subtests passed"),
        ("crash-splat", Status.FAIL, Owner.KERNEL, "WARNING in second_kernel on the console"),
        ("crash-oops", Status.FAIL, Owner.KERNEL, "Kernel panic: no memory for it"),
        ("crash-nothing", Status.FAIL, Owner.KERNEL, "no crash kernel ran"),
        ("crash-hang", Status.FAIL, Owner.KERNEL, "after the crash, while the crash kernel ran"),
        ("crash-killed", Status.ERROR, Owner.MACHINE, "not because the guest did"),
    ],
)
def test_a_crash_that_was_asked_for(
    fake: Fake, mode: str, status: Status, owner: Owner | None, words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(guest, "CRASH", "crash-now")
    fake.mode = mode
    outcome = fake.cell(crashing)
    assert (outcome.status, outcome.owner) == (status, owner), outcome.summary
    assert words in outcome.summary
    asked = [s for s in outcome.details["splats"] if "sysrq triggered" in s["title"]]
    assert not asked


def test_the_panic_is_a_fault_where_nobody_asked_for_it_or_twice() -> None:
    once = "[    5.000000] Kernel panic - not syncing: sysrq triggered crash\n"
    boot = "[    0.000000] Linux version 6.1.0\n"
    (splat,) = dmesg.parse(once)
    assert splat.title == faults.CRASH_TITLE
    assert faults.unasked([splat]) == []
    assert faults.unasked(dmesg.parse(once + boot + once))
    assert isinstance(explain(replace(AT_END, console=once)), KernelFault)


AT_END = End("it ran", 1.0, "kvm", True, -9, "", (), "")


def passes_with_dumps(running: ScenarioGuest) -> Iterator[Subtest]:
    running.share.mkdir(exist_ok=True)
    for name in ("a.kdump", "b.elf", "a.report", "bzImage"):
        (running.share / name).write_bytes(b"12345")
    yield Subtest("one", Status.PASS)
    if (running.out / "fail").exists():
        yield Subtest("two", Status.FAIL, "no")


@pytest.mark.parametrize("keep", [False, True])
def test_dumps_stay_on_fail_and_where_they_are_to_be_kept(fake: Fake, keep: bool) -> None:
    scenario = Scenario("t", 1, (), Machine(), 30.0, passes_with_dumps)
    request = GuestRequest(
        Step.DUMP, fake.image, "t", "kvm", fake.image, "HEAD", fake.out, keep=keep
    )
    good = run_cell(scenario, request, no_tick)
    left = {path.name for path in (fake.out / "dumps").iterdir()}
    assert left == {"a.report"} | ({"a.kdump", "b.elf"} if keep else set())
    assert good.details.get(DROPPED) == (None if keep else {"a.kdump": 5, "b.elf": 5})
    (fake.out / "fail").touch()
    bad = run_cell(scenario, replace(request, keep=False), no_tick)
    assert bad.status is Status.FAIL and DROPPED not in bad.details
    left = {path.name for path in (fake.out / "dumps").iterdir()}
    assert left == {"a.kdump", "b.elf", "a.report"}
