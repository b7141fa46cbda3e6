# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs end when they must, with all they started, and nothing of their output hurts."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from kvtools import process
from kvtools.errors import Interrupted, MachineError, ToolFailed, ToolMissing, ToolTimeout
from kvtools.process import environ, keeper

# A grandchild in a session of its own, forked twice, that has let go of the pipes: what
# virtme-run and a daemonised QEMU look like. It is known by its first argument; "deaf" ones
# ignore SIGTERM.
DAEMON = textwrap.dedent("""
    import os, signal, sys, time
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if sys.argv[2] == "deaf":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.closerange(0, 20)
            time.sleep(300)
        os._exit(0)
    os.close(writer)
    os.read(reader, 1)  # the end: the grandchild has let go of everything
    if sys.argv[2] != "leave":
        time.sleep(300)
""")


def tagged(tag: str) -> list[int]:
    """The living processes with ``tag`` in their arguments."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if tag.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def until(condition: Callable[[], object], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def tag(request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"tag-{os.getpid()}-{abs(hash(request.node.name))}-{time.monotonic_ns()}"
    yield name
    for pid in tagged(name):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def opened() -> Iterator[None]:
    yield
    process.reopen()


def test_result_is_whole() -> None:
    done = process.run(
        ["sh", "-c", "cat; echo oops >&2; exit 3"], deadline=10, stdin=b"in\xff", check=False
    )
    assert (done.returncode, done.stdout, done.stderr, done.lost) == (3, b"in\xff", b"oops\n", 0)
    assert done.text == "in\udcff"


def test_large_stdin_does_not_deadlock() -> None:
    data = os.urandom(1 << 20)
    assert process.run(["cat"], deadline=20, stdin=data).stdout == data


def test_stdin_nobody_reads() -> None:
    process.run(["true"], deadline=10, stdin=b"x" * (1 << 20))


def test_failure_names_program_status_and_last_line() -> None:
    with pytest.raises(ToolFailed, match=r"^sh ended with status 4: second$"):
        process.run(["sh", "-c", "echo first >&2; echo second >&2; exit 4"], deadline=10)
    with pytest.raises(ToolFailed, match="killed by SIGSEGV"):
        process.run(["sh", "-c", "kill -SEGV $$"], deadline=10)


def test_missing_program_and_its_fix() -> None:
    with pytest.raises(ToolMissing) as caught:
        process.run(["no-such-program"], deadline=10)
    assert str(caught.value).startswith("no-such-program is not installed; ")
    assert "doctor" in caught.value.fix


def test_what_else_keeps_a_program_from_starting(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    with pytest.raises(MachineError, match="interpreter"):
        process.run([script], deadline=10)
    with pytest.raises(MachineError, match="no such directory"):
        process.run(["true"], deadline=10, cwd=tmp_path / "gone")
    script.chmod(0o644)
    with pytest.raises(MachineError, match="Permission denied"):
        process.run([script], deadline=10)
    with pytest.raises(MachineError, match="null byte"):
        process.run(["true", "a\0b"], deadline=10)


def test_deadline_kills_the_whole_tree(tag: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ToolTimeout, match=r"did not end within 0.7 s"):
        process.run([sys.executable, "-c", DAEMON, tag, "deaf"], deadline=0.7)
    assert tagged(tag) == []
    assert time.monotonic() - begun < 6


def test_daemon_left_behind_dies_with_a_good_end(tag: str) -> None:
    process.run([sys.executable, "-c", DAEMON, tag, "leave"], deadline=20)
    assert tagged(tag) == []


def test_control_the_daemon_survives_without_us(tag: str) -> None:
    subprocess.run([sys.executable, "-c", DAEMON, tag, "leave"], check=True, timeout=20)
    assert len(tagged(tag)) == 1


def test_a_cleared_environment_is_no_way_out(tag: str) -> None:
    with pytest.raises(ToolTimeout):
        process.run(["sh", "-c", f"env -i sleep 300.{tag[-9:]} & wait"], deadline=0.3)
    assert tagged(f"300.{tag[-9:]}") == []


def test_background_writer_does_not_hold_run_up() -> None:
    begun = time.monotonic()
    assert process.run(["sh", "-c", "sleep 300 & echo done"], deadline=60).text == "done\n"
    assert time.monotonic() - begun < 5


PARENT = textwrap.dedent("""
    import sys, threading, time
    from pathlib import Path
    from kvtools import process
    argv = [sys.executable, "-c", *sys.argv[1:4]]
    threading.Thread(target=process.run, args=(argv,), kwargs={"deadline": 300}).start()
    try:
        with process.spawn(argv, log=Path(sys.argv[4])):
            time.sleep(300)
    finally:
        process.stop_all()
""")


def parent(tag: str, log: Path, kind: str = "stay") -> subprocess.Popen[bytes]:
    """A kvtools of its own that runs two trees of three processes each."""
    started = subprocess.Popen(
        [sys.executable, "-c", PARENT, DAEMON, tag, kind, str(log)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        # Under nohup all of this ignores SIGHUP, and kvtools would be right to do so.
        preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_DFL),
    )
    assert until(lambda: len(tagged(tag)) >= 5), "the trees did not come up"
    return started


def test_sigkill_of_kvtools_leaves_nothing(tag: str, tmp_path: Path) -> None:
    started = parent(tag, tmp_path / "log", "deaf")
    started.kill()
    started.wait()
    assert until(lambda: not tagged(tag), 2.0), f"still alive: {tagged(tag)}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_to_kvtools_leave_nothing(tag: str, tmp_path: Path, number: int) -> None:
    started = parent(tag, tmp_path / "log")
    started.send_signal(number)
    started.wait(10)
    assert until(lambda: not tagged(tag), 2.0), f"still alive: {tagged(tag)}"


def test_a_killed_keeper_is_replaced(tag: str) -> None:
    process.run(["true"], deadline=10)
    assert until(_keepers), "no keeper runs"
    first = _keepers()
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    assert until(lambda: not first & _keepers())
    process.run(["true"], deadline=10)
    assert until(_keepers)


def _keepers() -> set[int]:
    """The children of this process that read a program from a descriptor."""
    mine = set()
    for pid in tagged("/dev/fd/"):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if fields[1] == str(os.getpid()) and fields[0] != "Z":
            mine.add(pid)
    return mine


def test_keeper_is_not_found_by_name_nor_marked() -> None:
    process.run(["true"], deadline=10)
    assert until(_keepers)
    (pid,) = _keepers()
    assert b"kvtools" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert b"KVTOOLS" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert until(lambda: _ignored(pid) & 0x4003 == 0x4003)  # HUP bit 0, INT 1, TERM 14


def _ignored(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(dict(line.split(":\t", 1) for line in lines)["SigIgn"], 16)


def test_tokens_differ_and_outer_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVTOOLS_SPAWN", "outer.1;")
    seen = [process.run(["printenv", "KVTOOLS_SPAWN"], deadline=10).text.strip() for _ in range(2)]
    assert all(mark.startswith("outer.1;") and mark.endswith(";") for mark in seen)
    assert seen[0] != seen[1]


def test_marked_finds_only_the_marked() -> None:
    token = f"test-{os.getpid()}-{time.monotonic_ns()}"
    with subprocess.Popen(["sleep", "60"], env={"MARK": token}) as sleeper:
        assert until(lambda: keeper.marked(token.encode()) == {sleeper.pid})
        assert keeper.kill_marked(token.encode(), grace=5) == []
        assert sleeper.wait(5) == -signal.SIGTERM
    assert keeper.marked(token.encode()) == set()


def test_survivors_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_send", lambda who, number: None)
    token = f"test-{os.getpid()}-{time.monotonic_ns()}"
    with subprocess.Popen(["sleep", "60"], env={"MARK": token}) as sleeper:
        assert until(lambda: bool(keeper.marked(token.encode())))
        assert keeper.kill_marked(token.encode(), grace=0.05, patience=0.1) == [sleeper.pid]
        sleeper.kill()


def test_stop_all_interrupts_threads_and_later_starts(tag: str, opened: None) -> None:
    caught: list[BaseException] = []

    def work() -> None:
        try:
            process.run([sys.executable, "-c", DAEMON, tag, "stay"], deadline=60)
        except MachineError as error:
            caught.append(error)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    assert until(lambda: len(tagged(tag)) >= 4)
    process.stop_all()
    for worker in workers:
        worker.join(10)
    assert tagged(tag) == []
    assert [type(error) for error in caught] == [Interrupted, Interrupted]
    with pytest.raises(Interrupted):
        process.run(["true"], deadline=10)
    process.reopen()
    process.run(["true"], deadline=10)


def test_keyboard_interrupt_in_the_caller_kills(tag: str) -> None:
    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.run(["sh", "-c", f"echo {tag}; exec sleep 300"], deadline=60, on_line=stop)
    assert tagged(tag) == []


def test_output_is_capped_in_memory_and_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = process.run(
        ["sh", "-c", "echo first; head -c 30000000 /dev/zero; echo last"],
        deadline=60,
        log=log,
        limit=200_000,
    )
    for kept in (done.stdout, log.read_bytes()):
        assert len(kept) < 201_000
        assert kept.startswith(b"first\n") and kept.endswith(b"last\n")
        assert b"[kvtools: 29800011 bytes of output left out here]" in kept
    assert done.lost == 29_800_011


def test_output_at_the_limit_is_whole() -> None:
    done = process.run(["head", "-c", "1000", "/dev/zero"], deadline=10, limit=1000)
    assert (len(done.stdout), done.lost) == (1000, 0)


def test_log_is_appended_in_order(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process.run(["sh", "-c", "echo a; echo b >&2"], deadline=10, log=log, merge=True)
    process.run(["echo", "c"], deadline=10, log=log)
    assert log.read_text() == "a\nb\nc\n"


def test_lines_of_any_kind() -> None:
    seen: list[str] = []
    script = "printf 'one\\r\\ntw'; sleep 0.2; printf 'o\\n\\377\\nend'"
    process.run(["sh", "-c", script], deadline=10, on_line=seen.append)
    assert seen == ["one", "two", "\udcff", "end"]


def test_a_line_without_end_is_cut() -> None:
    seen: list[str] = []
    script = "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo next"
    process.run(["sh", "-c", script], deadline=10, on_line=seen.append)
    assert (len(seen[0]), seen[1:]) == (65536, ["next"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk_is_named() -> None:
    with pytest.raises(MachineError, match="disk full while writing /dev/full"):
        process.run(["echo", "x"], deadline=10, log=Path("/dev/full"))
    with process.spawn(["sh", "-c", "echo x; exec sleep 300"], log=Path("/dev/full")) as child:
        with pytest.raises(MachineError, match="disk full"):
            child.wait(10)
        with pytest.raises(MachineError, match="disk full"):
            child.poll()


def test_log_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="cannot write"):
        process.run(["echo", "x"], deadline=10, log=tmp_path / "no" / "log")


def test_child_runs_beside_and_dies_with_its_block(tag: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"echo up {tag}; sleep 300"
    with process.spawn(["sh", "-c", script], log=log) as child:
        assert until(lambda: b"up" in log.read_bytes())
        assert child.poll() is None
    assert child.poll() in (-signal.SIGTERM, 128 + signal.SIGTERM), "the shell's or its sleep's"
    assert tagged(tag) == []
    child.kill()


def test_child_wait(tag: str, tmp_path: Path) -> None:
    with process.spawn(["sh", "-c", "echo x; exit 7"], log=tmp_path / "log") as child:
        assert child.wait(10) == 7
    assert (tmp_path / "log").read_text() == "x\n"
    with (
        process.spawn([sys.executable, "-c", DAEMON, tag, "stay"], log=tmp_path / "2") as child,
        pytest.raises(ToolTimeout),
    ):
        child.wait(0.5)
    assert tagged(tag) == []


def test_child_gets_descriptors(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with process.spawn(
        ["sh", "-c", f"echo hello >/dev/fd/{writer}"], log=tmp_path / "log", pass_fds=[writer]
    ) as child:
        child.wait(10)
    os.close(writer)
    assert os.read(reader, 100) == b"hello\n"
    os.close(reader)


def test_a_fork_without_exec_gets_its_own_keeper(tag: str) -> None:
    process.run(["true"], deadline=10)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            process.run(["true"], deadline=10)
            code = 0 if until(_keepers) else 2
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def test_foreground_hands_on_the_status_and_cleans_up(tag: str) -> None:
    assert process.foreground(["sh", "-c", f": {tag}; exit 5"]) == 5
    process.foreground([sys.executable, "-c", DAEMON, tag, "leave"])
    assert tagged(tag) == []


def test_environment_is_clean() -> None:
    caller = {
        "GIT_DIR": "/x",
        "GIT_INDEX_FILE": "/x",
        "GIT_SSH_COMMAND": "ssh -4",
        "MAKEFLAGS": "-j",
        "KBUILD_OUTPUT": "/x",
        "ARCH": "arm64",
        "CFLAGS": "-O0",
        "LC_MESSAGES": "de_DE",
        "LANG": "de_DE",
        "HOME": "/home/u",
        "PATH": "/usr/bin::.:/venv/bin",
    }
    assert environ.cleaned(caller, first=Path("/venv/bin")) == {
        "GIT_SSH_COMMAND": "ssh -4",
        "HOME": "/home/u",
        "PATH": "/venv/bin:/usr/bin:/usr/local/sbin:/usr/sbin:/sbin",
        "LC_ALL": "C.UTF-8",
    }


def test_environment_of_the_caller_is_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    script = 'echo "$A $LC_ALL ${GIT_DIR-none}"'
    done = process.run(["sh", "-c", script], deadline=10, env={"A": "1"})
    assert done.text == "1 C.UTF-8 none\n"


def test_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert process.which("tool") is None
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "tool").chmod(0o755)
    assert process.which("tool") == tmp_path / "tool"


@pytest.mark.parametrize(
    "word", ["plain", "two words", "it's", "$HOME `x` \\", "new\nline", "tab\t'", "\udcff", "", "ä"]
)
def test_command_line_survives_bash(word: str, tmp_path: Path) -> None:
    line = process.command_line(["printf", "%s.%s.", word, "x"], cwd=tmp_path, env={"A": word})
    assert "\n" not in line
    done = process.run(["bash", "-c", f'{line}; pwd; echo "$A"'], deadline=10)
    assert done.stdout.startswith(os.fsencode(word) + b".x." + os.fsencode(tmp_path))


def test_command_line_form() -> None:
    line = process.command_line(["make", "-j2", "a b"], cwd="/src", env={"V": "1 2"})
    assert line == "cd /src && V='1 2' make -j2 'a b'"
    assert shlex.split(process.command_line(["a", "b c"])) == ["a", "b c"]


def test_the_time_of_programs_that_work_counts_once_when_they_overlap(tmp_path: Path) -> None:
    before = process.worked()
    process.run(["sleep", "0.2"], deadline=10)
    assert process.worked() == before, "git and the like are kvtools' own time"
    start = time.monotonic()
    with process.spawn(["sleep", "0.4"], log=tmp_path / "log", work=True):
        process.run(["sleep", "0.3"], deadline=10, work=True)
    both = process.worked() - before
    assert 0.3 <= both <= time.monotonic() - start
    assert process.worked() - before == both, "nothing runs any more"
