# SPDX-License-Identifier: GPL-2.0-or-later
"""An untrusted series: hostile patches on the fake kernel tree, confined and, as control, not.

Every attack that a Makefile can make is in :data:`ATTACKS` with a way to see that it succeeded;
each is run twice, and without the sandbox it must succeed, or the test proves nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from kvtools import bwrap, checks, git, kconfig, plan, process, toolchain
from kvtools.accel import Accel
from kvtools.cli import arguments, prepare
from kvtools.cli.test import EXIT
from kvtools.errors import KvtoolsError, MachineError, ToolMissing, UserError
from kvtools.events import discard
from kvtools.model import Base, Config, ConfigUse, Outcome, Patch, Person, Series, Status, Step
from kvtools.process.spawner import SPAWNER
from kvtools.quarantine import choice, limits, steps, wire
from kvtools.quarantine.residue import disarm
from kvtools.report import RunReport
from kvtools.report.formats import writer
from kvtools.report.text import render
from kvtools.request import RunRequest
from kvtools.session import Session
from kvtools.steps.apply import ApplyRequest
from kvtools.store import Store

ROOT = Path(__file__).parents[2]
WHO = Person("A U Thor", "author@example.org")
DATE = "Thu, 24 May 2018 15:12:14 +0200"
MIB = 1 << 20
SMALL = limits.Limits(memory=900 * MIB, tasks=60, disk=24 * MIB, file=64 * MIB)
GUEST = "CONFIG_64BIT=y\nCONFIG_SPARSEMEM=y\nCONFIG_VIRTIO=y\n"


@pytest.fixture(scope="session")
def confined() -> None:
    """Skips where bwrap cannot run: a container without user namespaces or mount()."""
    try:
        bwrap.probe()
    except MachineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def chain() -> toolchain.Toolchain:
    return toolchain.probe("x86_64", ROOT)


def patch(number: int, diff: str | bytes, subject: str = "", who: Person = WHO) -> Patch:
    subject = subject or f"patch {number}"
    raw = diff.encode() if isinstance(diff, str) else diff
    mail = (f"From: {who}\nDate: {DATE}\nSubject: [PATCH] {subject}\n\nbody\n---\n").encode() + raw
    return Patch(number, subject, who, DATE, "body", mail)


def new_file(path: str, text: str, mode: str = "100644") -> str:
    """A diff that makes a file; of mode 120000 a symbolic link."""
    lines = text.split("\n")
    end = "" if lines[-1] else lines.pop()
    body = "".join(f"+{line}\n" for line in lines)
    return (f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n"
            f"@@ -0,0 +1,{len(lines)} @@\n{body}"
            + ("\\ No newline at end of file\n" if text and text[-1] != "\n" else end))


@dataclass
class House:
    """A base that a series is tested on, and what an attacker would like to have."""

    root: Path
    base: Base
    chain: toolchain.Toolchain
    kept: Path  # a home with a key and a file that nobody may change
    limits: limits.Limits = SMALL
    connections: list[str] = field(default_factory=list)
    port: int = 0

    def makefile(self, command: str) -> str:
        """A diff that has make run a command whenever it is read, and end if that says refused."""
        script = new_file("scripts/evil.sh", f"{command}\n")
        return (script + "diff --git a/Makefile b/Makefile\n--- a/Makefile\n+++ b/Makefile\n"
                + hunk(self.tree / "Makefile",
                       "EVIL := $(if $(sub_make_done),$(if $(findstring refused,$(shell sh "
                       "$(dir $(lastword $(MAKEFILE_LIST)))scripts/evil.sh)),$(error refused)))"))

    @property
    def tree(self) -> Path:
        return self.root / "linux"

    def request(self, *patches: Patch, **more: Any) -> RunRequest:
        asked = kconfig.fragment(GUEST, "test")
        config = Config("guest", "x86_64", "tinyconfig", GUEST, asked.requested, asked.optional,
                        "digest")
        known: tuple[checks.Check, ...] = more.pop("known", ())
        uses = [plan.CheckUse(c.name, str(c.scope)) for c in known]
        return RunRequest(
            run_id=more.pop("run_id", "run"), base=self.base,
            series=Series("evil", "a series", "m@example.org", patches),
            plan=plan.make(len(patches), [ConfigUse("guest")], (), checks=uses,
                           only=["build", *(["check"] if uses else [])]),
            configs={"guest": config}, toolchain=self.chain, accel=Accel("tcg", "test"), jobs=2,
            checks={c.name: c for c in known}, **{"untrusted": True, **more})

    def run(self, *patches: Patch, **more: Any) -> RunReport:
        store = Store(self.root / "state")
        request = self.request(*patches, **more)
        store.claim_run(request.run_id)
        return Session(store, request, ("kvtools",), discard).run()


def hunk(path: Path, line: str) -> str:
    """A hunk that puts a line at the head of a file."""
    first = path.read_text().split("\n")[0]
    return f"@@ -1 +1,2 @@\n+{line}\n {first}\n"


@pytest.fixture
def house(fakelinux: Path, tmp_path: Path, chain: toolchain.Toolchain, confined: None,
          monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    repo = tmp_path / "base" / "linux.git"
    commit = git.rev_parse(fakelinux, "HEAD")
    git.borrow(fakelinux, repo, commit)
    base = Base("fake", repo, commit, git.tree_of(repo, commit), "6.1", "test", False)
    kept = tmp_path / "kept"
    (kept / ".ssh").mkdir(parents=True)
    (kept / ".ssh/id_ed25519").write_text("SECRET-KEY\n")
    (kept / "canary").write_text("alive\n")
    monkeypatch.setattr("kvtools.bases.room.need", lambda *_: None)
    made = House(tmp_path, base, chain, kept)
    monkeypatch.setattr(limits, "default_limits", lambda: made.limits)
    with socket.create_server(("127.0.0.1", 0)) as server:
        made.port = server.getsockname()[1]
        listener = threading.Thread(target=_listen, args=(server, made.connections), daemon=True)
        listener.start()
        yield made
        server.shutdown(socket.SHUT_RDWR)
        listener.join(5)


def _listen(server: socket.socket, connections: list[str]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        connections.append("connected")
        connection.close()


def named(report: RunReport, number: int) -> bool:
    """Whether the report blames the patch, in the matrix's text and in the mail."""
    what = re.compile(rf"(FAIL|ERROR):? +patch(es)? [\d,-]*\b{number}\b")
    texts = "".join(render(report, 100)), writer("mail")(report)
    assert all(map(what.search, texts)), "\n\n".join(texts)
    return EXIT[report.status] == 1


def statuses(report: RunReport) -> dict[str, list[str]]:
    return {str(row.number): [f"{o.cell} {o.status}" for o in row.outcomes] for row in report.rows}


def test_a_harmless_series_passes_as_it_does_unconfined(house: House) -> None:
    one = patch(1, new_file("Documentation/x", "text\n"))
    found = house.run(one)
    assert statuses(found) == {"0": ["build:guest PASS"], "1": ["apply PASS", "build:guest PASS"]}
    plain = house.run(one, untrusted=False, run_id="plain")
    assert statuses(plain) == statuses(found)
    ours, theirs = found.rows[1], plain.rows[1]
    assert (ours.commit, ours.tree) == (theirs.commit, theirs.tree)
    digests = {row.outcomes[-1].details["image_sha256"] for row in (ours, theirs)}
    assert len(digests) == 1
    assert not any(o.reused for row in plain.rows for o in row.outcomes), "of another trust"


# What the patches of an attacker try

NAUGHTY = "\x1b]0;owned\x07<script>alert(1)</script> \u202egnp.exe"

ATTACKS: dict[str, str] = {
    "reads a key": 'cat "$KEPT/.ssh/id_ed25519" >&2',
    "opens a socket": "python3 -c 'import socket,sys; socket.create_connection("
                      '("127.0.0.1", int(sys.argv[1])), 2)\' "$PORT"',
    "writes outside": 'echo dead > "$KEPT/canary"',
    "writes through a link of the tree": 'echo dead > "$TREE/Documentation/out/linked"',
    "changes the git configuration": 'git -C "$TREE" config filter.evil.smudge '
                                     '"touch $KEPT/filtered; cat"',
    "plants a hook": 'mkdir -p "$REPO/hooks"; echo "#!/bin/sh" > "$REPO/hooks/post-checkout"',
    "changes the source that git believes in": 'echo >> "$TREE/COPYING"',
    "kills a process": 'kill -9 "$VICTIM"',
}


def succeeded(house: House, report: RunReport, victim: subprocess.Popen[bytes]) -> set[str]:
    """Which attacks of :data:`ATTACKS` reached what they wanted; ``filter`` came of one."""
    build = report.rows[1].outcomes[-1]
    assert build.directory and build.log
    log = (build.directory / build.log).read_text("utf-8", "replace")
    assert "the script ran to its end" in log, "the attack itself was not made"
    job = house.base.repo.parent / "jobs"
    worktree = next(job.glob(f"{'untrusted' if CAUTIOUS in str(report.command) else ''}*/src"))
    found = {
        "reads a key": "SECRET-KEY" in log,
        "opens a socket": bool(house.connections),
        "writes outside": (house.kept / "canary").read_text() != "alive\n",
        "writes through a link of the tree": (house.kept / "linked").exists(),
        "changes the git configuration": "evil" in (house.base.repo / "config").read_text(),
        "plants a hook": (house.base.repo / "hooks/post-checkout").exists(),
        "changes the source that git believes in": "dirty" in log,
        "kills a process": victim.poll() is not None,
        "filter": (house.kept / "filtered").exists(),
    }
    assert worktree.is_dir()
    return {name for name, hit in found.items() if hit}


CAUTIOUS = "untrusted"


def aims(house: House, victim: int) -> list[str]:
    """The lines of a script that set what :data:`ATTACKS` reach for."""
    values = {"KEPT": house.kept, "PORT": house.port, "TREE": "$(dirname $(dirname $0))",
              "REPO": house.base.repo, "VICTIM": victim}
    return [f'{name}="{value}"' for name, value in values.items()]


def attack(house: House, **more: Any) -> set[str]:
    with subprocess.Popen(["sleep", "300"]) as victim:
        lines = aims(house, victim.pid)
        lines += [f"( {command} ) || :" for command in ATTACKS.values()]
        lines.append('git -C "$TREE" --no-optional-locks diff --quiet -- COPYING 2>/dev/null || '
                     '[ -n "$(tail -c 2 "$TREE/COPYING" | tr -d "\\n")" ] || echo dirty >&2')
        lines.append("echo the script ran to its end >&2")
        evil = house.makefile("\n".join(lines)) + new_file(".gitattributes", "* filter=evil\n")
        evil += new_file("Documentation/out", str(house.kept), "120000")
        try:
            report = house.run(patch(1, evil, NAUGHTY), patch(2, new_file("x", "x\n")), **more)
            return succeeded(house, report, victim)
        finally:
            victim.kill()


def test_what_a_makefile_does_stays_inside(house: House) -> None:
    assert attack(house) == set()


@pytest.mark.parametrize("what", ["reads a key", "opens a socket", "writes outside",
                                  "kills a process"])
def test_a_makefile_that_insists_fails_and_its_patch_is_named(house: House, what: str) -> None:
    with subprocess.Popen(["sleep", "300"]) as victim:
        script = "\n".join([*aims(house, victim.pid), f"( {ATTACKS[what]} ) || echo refused"])
        try:
            report = house.run(patch(1, house.makefile(script)), patch(2, new_file("x", "x\n")))
        finally:
            victim.kill()
    cell = report.rows[1].outcomes[-1]
    assert (cell.cell, cell.status) == ("build:guest", Status.FAIL), cell
    assert report.status is Status.FAIL and named(report, 1)


def test_the_same_makefile_unconfined_reaches_everything(house: House) -> None:
    """The control: every attack above is a real one."""
    assert attack(house, untrusted=False) == {*ATTACKS, "filter"}


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("while :; do sleep 60 & done", "processes"),
        ("head -c 100M /dev/zero > fill; sleep 60", "of disk"),
        ("yes >&2", "of disk"),  # the log of it
        ("for i in 1 2 3 4; do python3 -c 'import time; x = b\"x\" * (120 << 20); "
         "time.sleep(60)' & done; wait", "of memory"),
    ],
    ids=["forks", "disk", "output", "memory"],
)
def test_what_uses_too_much_is_stopped_and_named(
    house: House, command: str, what: str
) -> None:
    house.limits = replace(SMALL, memory=400 * MIB)
    report = house.run(patch(1, house.makefile(command)))
    cell = report.rows[1].outcomes[-1]
    assert (cell.cell, cell.status) == ("build:guest", Status.FAIL), cell
    assert what in cell.summary
    assert report.status is Status.FAIL and named(report, 1)
    assert report.rows[0].outcomes[0].status is Status.PASS, "the near miss: an ordinary build"
    assert (house.kept / "canary").read_text() == "alive\n"
    assert alive_below(house.root) == [], "all that it forked is gone"


def alive_below(root: Path) -> list[str]:
    """The command lines of processes that work somewhere below ``root``."""
    found = []
    for process_ in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process_ / "cwd").readlink().is_relative_to(root):
                found.append((process_ / "cmdline").read_bytes().decode("utf-8", "replace"))
    return found


@pytest.mark.parametrize("path", ["../../kept/canary", "/etc/kvtools-canary", ".git/config",
                                  ".git/hooks/post-checkout", "mm/.git/hooks/post-index-change",
                                  ".GIT/hooks/post-checkout"])
def test_a_path_out_of_the_tree_does_not_apply(house: House, path: str) -> None:
    hook = new_file(path, "#!/bin/sh\necho dead > canary\n", "100755")
    report = house.run(patch(1, new_file("x", "x\n")), patch(2, hook))
    assert [statuses(report)[n][0] for n in "12"] == ["apply PASS", "apply FAIL"]
    assert named(report, 2)
    repo = house.base.repo
    assert not [p for p in repo.rglob("hooks/post-*") if p.suffix != ".sample"]
    assert (house.kept / "canary").read_text() == "alive\n"
    assert not Path("/etc/kvtools-canary").exists()


def test_a_patch_through_a_link_of_another_does_not_apply(house: House) -> None:
    link = new_file("Documentation/out", str(house.kept), "120000")
    report = house.run(patch(1, link), patch(2, new_file("Documentation/out/canary2", "dead\n")))
    assert [statuses(report)[n][0] for n in "12"] == ["apply PASS", "apply FAIL"]
    assert named(report, 2)
    worktree = next((house.base.repo.parent / "jobs").glob("untrusted-*/src"))
    git.checkout(worktree, report.rows[1].commit or "")
    assert (worktree / "Documentation/out").resolve() == house.kept, "it did lead there"
    assert not (house.kept / "canary2").exists()


def test_the_report_of_it_shows_no_markup_and_no_escape_sequences(house: House) -> None:
    evil = patch(1, house.makefile("printf '\\033]0;owned\\007<script>alert(1)</script>' >&2"
                                   "; exit 1") + new_file("<script>alert(1)</script>", "x\n"),
                 NAUGHTY)
    broken = "diff --git a/mm/page_alloc.c b/mm/page_alloc.c\n--- a/mm/page_alloc.c\n" \
             "+++ b/mm/page_alloc.c\n" + hunk(house.tree / "mm/page_alloc.c",
                                              "#error \x1b[31m<script>alert(1)</script>")
    name = '/mm/\\033[31m<script>alert(1).c"'  # as git quotes it
    gone = (f'diff --git "a{name} "b{name}\n--- "a{name}\n+++ "b{name}\n@@ -1 +1 @@\n-a\n+b\n')
    author = Person("\x1b[31m<script>alert(1)</script>", "evil@example.org")
    report = house.run(evil, patch(2, broken), patch(3, gone, NAUGHTY, author))
    assert statuses(report)["2"][-1] == "build:guest FAIL"
    assert statuses(report)["3"][0] == "apply FAIL"
    assert all(named(report, n) for n in (2, 3))
    assert "script>alert(1).c" in report.rows[3].outcomes[0].summary, "the name got that far"
    for name in ("html", "mail", "markdown", "ktap", "junit", "github", "gitlab", "patchwork"):
        text = writer(name)(report)
        assert not re.search("[\x1b\x07\u202e]", text), name
        assert "<script>alert(1)" not in text or name != "html"
    assert "\x1b" not in "\n".join(render(report, 100))


# What is started, and under which names it is stored


def test_nothing_of_the_series_is_started_outside(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    real: Callable[..., Any] = SPAWNER.start

    def seen(argv: Any, **more: Any) -> Any:
        started.append(Path(str(argv[0])).name)
        return real(argv, **more)

    monkeypatch.setattr(SPAWNER, "start", seen)
    folder = house.root / "mine"
    folder.mkdir()
    (folder / "check.toml").write_text('description = "x"\nscope = "patch"\n')
    (folder / "check").write_text("#!/bin/sh\necho '{\"note\": \"'$(id -u) $HOME'\"}'\n")
    (folder / "check").chmod(0o755)
    report = house.run(patch(1, new_file("x", "x\n")), known=(checks.load(folder),))
    assert set(started) == {"git", "bwrap"}
    check = next(o for o in report.rows[1].outcomes if o.step is Step.CHECK)
    assert check.status is Status.PASS
    assert check.details["notes"] == [f"{os.getuid()} {bwrap.HOME}"]
    started.clear()
    house.run(patch(1, new_file("x", "x\n")), untrusted=False, run_id="plain")
    assert "make" in started, "the control: a trusted run does"


def test_only_an_untrusted_series_has_confined_steps(house: House) -> None:
    request = house.request(patch(1, new_file("x", "x\n")))
    assert choice.steps_of(replace(request, untrusted=False)) == choice.Steps()
    names = ("apply", "before", "check", "build", "guest")
    confined = choice.steps_of(request)
    assert all(isinstance(getattr(confined, n).__self__, steps.Quarantine) for n in names)


def test_outcomes_and_objects_of_one_series_are_not_those_of_another(house: House) -> None:
    one, two = patch(1, new_file("x", "x\n")), patch(1, new_file("y", "y\n"))
    house.run(one)
    again = house.run(one, run_id="again")
    assert all(o.reused for row in again.rows for o in row.outcomes)
    objects = next((house.base.repo.parent / "jobs").glob("untrusted-*/o"))
    (objects / "poison.o").touch()
    other = house.run(two, run_id="other")
    assert not any(o.reused for row in other.rows for o in row.outcomes)
    assert not (objects / "poison.o").exists()


def test_apart_names_an_untrusted_series_and_no_trusted_one(house: House) -> None:
    one, two = house.request(patch(1, "a")), house.request(patch(1, "b"))
    assert len({one.apart, two.apart, ""}) == 3
    assert replace(one, untrusted=False).apart == ""


# The command line


def parsed(*words: str) -> Any:
    return arguments.parser().parse_args(["test", *words])


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["20180524-x@example.org"], True),
        (["https://lore.kernel.org/all/20180524-x@example.org/"], True),
        (["20180524-x@example.org", "--trusted"], False),
        (["patches/virtio-mem"], False),
        (["patches/virtio-mem", "--untrusted"], True),
        (["v6.1..mine@home"], False),
    ],
)
def test_what_comes_from_outside_is_untrusted(
    words: list[str], answer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bwrap, "probe", lambda: ())
    assert prepare._untrusted(parsed(*words)) is answer


def test_a_command_that_cannot_confine_refuses_a_message_id() -> None:
    with pytest.raises(UserError, match="does not confine"):
        prepare._untrusted(arguments.parser().parse_args(["shell", "--series", "x@example.org"]))


@pytest.mark.parametrize(
    ("program", "kind", "says"),
    [
        (None, ToolMissing, "not installed"),
        ("echo 'bwrap: No permissions to create new namespace' >&2; exit 1", MachineError,
         "No permissions"),
        ("while [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\"", MachineError, "seen"),
    ],
    ids=["absent", "forbidden", "pretends"],
)
def test_without_a_bwrap_that_works_an_untrusted_series_is_refused(
    program: str | None, kind: type[KvtoolsError], says: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if program:
        (tmp_path / "bwrap").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "bwrap").chmod(0o755)
    for name in ("sh", "grep", "env"):
        (tmp_path / name).symlink_to(f"/bin/{name}")
    monkeypatch.setattr(process, "which", lambda name: tmp_path / name if program else None)
    monkeypatch.setattr(bwrap, "argv", lambda *a, real=bwrap.argv, **k: (
        str(tmp_path / "bwrap"), *real(*a, **k)[1:]))
    bwrap.probe.cache_clear()
    try:
        with pytest.raises(kind, match=says) as caught:
            prepare._untrusted(parsed("patches/virtio-mem", "--untrusted"))
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 3
    finally:
        bwrap.probe.cache_clear()


def test_the_sysctls_of_this_machine_are_read_only_inside(confined: None) -> None:
    """root without a capability may write many of them: core_pattern would be an escape."""
    script = "cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern"
    done = process.run(bwrap.argv(bwrap.View(), ["sh", "-c", script], shut=bwrap.probe()),
                       deadline=20, check=False)
    assert done.returncode != 0
    if os.access("/proc/sys/kernel/core_pattern", os.W_OK):  # the control, where it can be made
        process.run(["sh", "-c", script], deadline=20)


# What comes back


def test_what_is_left_behind_is_disarmed(tmp_path: Path) -> None:
    out, secret = tmp_path / "out", tmp_path / "secret"
    (out / "below").mkdir(parents=True)
    secret.mkdir(mode=0o700)
    (out / "log").symlink_to("/etc/passwd")
    (out / "below/dir").symlink_to(secret)
    os.mkfifo(out / "below/pipe")
    (out / "tool").write_text("#!/bin/sh\n")
    (out / "tool").chmod(0o4755)
    (out / "good").write_text("x")
    assert sorted(disarm(out)) == ["below/dir", "below/pipe", "log"]
    assert sorted(p.name for p in out.rglob("*")) == ["below", "good", "tool"]
    assert (out / "tool").stat().st_mode & 0o7777 == 0o644
    assert secret.stat().st_mode & 0o777 == 0o700


SOUND = Outcome(Step.BUILD, "guest", Status.PASS, 1.0, "fine", log="build.log", details={"a": 1})


def test_an_outcome_comes_back_as_it_was() -> None:
    assert wire.outcome(wire.message(wire.of_outcome(SOUND))["outcome"]) == SOUND


@pytest.mark.parametrize(
    "change",
    [
        {"log": "../../../etc/shadow"}, {"log": "/etc/shadow"}, {"log": ""}, {"summary": 5},
        {"status": "GOOD"}, {"evidence": [1]}, {"details": [1]}, {"seconds": "1"},
        {"directory": "/etc"}, {"reused": True}, {"more": 1},
    ],
    ids=lambda change: "-".join(f"{k}" for k in change),
)
def test_an_outcome_that_is_none_is_garbled(change: dict[str, Any]) -> None:
    data = {**wire.message(wire.of_outcome(SOUND))["outcome"], **change}
    with pytest.raises(wire.Garbled):
        wire.outcome(data)


@pytest.mark.parametrize("line", [b"", b"[" * 100_000, b"[1]", b"\xff"])
def test_a_line_that_is_no_message_is_garbled(line: bytes) -> None:
    with pytest.raises(wire.Garbled):
        wire.message(line)


@pytest.mark.parametrize(
    "change",
    [{"commit": "--output=/tmp/x"}, {"commit": "0" * 40}, {"tree": "0" * 40}, {"commit": None}],
    ids=["option", "unknown", "tree", "none"],
)
def test_an_apply_that_names_another_commit_is_garbled(
    fakelinux: Path, change: dict[str, Any]
) -> None:

    parent = git.rev_parse(fakelinux, "HEAD")
    (fakelinux / "x").touch()
    commit = git.commit_all(fakelinux, "x", when="2018-05-24T15:12:14Z", who=WHO)
    request = ApplyRequest(fakelinux, parent, patch(1, ""), fakelinux)
    right = {"commit": commit, "tree": git.tree_of(fakelinux, commit)}
    steps._is_commit(request, replace(SOUND, details=right))
    with pytest.raises(wire.Garbled):
        steps._is_commit(request, replace(SOUND, details={**right, **change}))
