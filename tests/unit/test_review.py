# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools review``: comments below the lines they are about, threading, the base that fits."""

from __future__ import annotations

import email
import email.policy
import json
import mailbox
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import reports

from kvtools import bwrap
from kvtools.cli import main, prepare
from kvtools.cli.arguments import parser
from kvtools.errors import MachineError
from kvtools.model import CoverLetter, Patch, Person, Series, Status
from kvtools.process.spawner import SPAWNER
from kvtools.report import RunReport
from kvtools.review.candidates import order, told, tried
from kvtools.review.quoting import Comment, quoted
from kvtools.review.replies import replies, untested

ME = Person("Re Viewer", "rev@example.org")
IDENTITY = ["-c", "user.name=A U Thor", "-c", "user.email=author@example.org"]
BODY = """\
Because.

Signed-off-by: A U Thor <author@example.org>
---
 mm/a b.c | 4 +++-
 1 file changed, 3 insertions(+), 1 deletion(-)

diff --git a/mm/a b.c b/mm/a b.c
index 0123456..789abcd 100644
--- a/mm/a b.c\t
+++ b/mm/a b.c\t
@@ -10,4 +10,6 @@ int f(void)
 \tone;
-\ttwo;
+\tTWO;
+\tthree;
 \tfour;
+\tfive;
 \tsix;
@@ -90,2 +92,3 @@ int g(void)
 \tseven;
+\teight;
 \tnine;
"""


def test_a_comment_stands_below_its_line_and_the_rest_is_cut() -> None:
    text = quoted(BODY, [Comment("w1: five is wrong", "mm/a b.c", 14)])
    lines = text.splitlines()
    at = lines.index("w1: five is wrong")
    assert lines[at - 2] == "> +\tfive;"
    assert lines[0] == "> [ ... ]" and "> +\teight;" not in lines and lines[-1] == "[ ... ]"


@pytest.mark.parametrize(("line", "above"), [
    (10, ">  \tone;"), (11, "> +\tTWO;"), (13, ">  \tfour;"), (93, "> +\teight;")])
def test_lines_count_in_the_new_file(line: int, above: str) -> None:
    lines = quoted(BODY, [Comment("here", "mm/a b.c", line)]).splitlines()
    assert lines[lines.index("here") - 2] == above


def test_what_the_diff_does_not_show_stands_below_the_file_or_on_top() -> None:
    lines = quoted(BODY, [Comment("far away", "mm/a b.c", 500)]).splitlines()
    assert lines[lines.index("line 500: far away") - 2] == "> +++ b/mm/a b.c"
    assert quoted(BODY, [Comment("no place")]) == "no place\n"
    assert quoted(BODY, [Comment("elsewhere", "mm/z.c", 3)]) == "mm/z.c:3: elsewhere\n"


def patch(number: int, *, identity: bool = True, subject: str = "mm: a change") -> Patch:
    head = (f"From: A U Thor <author@example.org>\nTo: list@example.org\n"
            f"Cc: Some One <one@example.org>, rev@example.org\n"
            f"Subject: [PATCH {number}/2] {subject}\nDate: Wed, 25 Nov 2026 10:00:00 +0000\n")
    head += f"Message-Id: <p{number}@example.org>\nReferences: <cover@example.org>\n" if identity \
        else ""
    return Patch(number, subject, Person("A U Thor", "author@example.org"),
                 "Wed, 25 Nov 2026 10:00:00 +0000", "",
                 f"{head}\n{BODY}".encode())


def series(**more: Any) -> Series:
    cover = CoverLetter("t", "b", b"From: A U Thor <author@example.org>\nSubject: [PATCH 0/2] t\n"
                        b"Message-ID: <cover@example.org>\n\nb\n")
    return Series("s", "t", "dir", (patch(1, **more), patch(2, **more)), cover=cover)


def a_run(status: Status = Status.PASS, **details: Any) -> RunReport:
    boot = reports.outcome("boot:guest")
    build = reports.outcome("build:guest", status=status, details=details)
    return reports.report(reports.row(0, boot), reports.row(1, build, boot),
                          reports.row(2, reports.outcome("build:guest"), boot))


WARNED = {"new": ["gcc: mm/a b.c: f: five is unused"], "preexisting": ["gcc: old"],
          "warnings": [{"tool": "gcc", "file": "mm/a b.c", "function": "f",
                        "text": "five is unused", "line": 14}]}


def test_the_thread_holds_together() -> None:
    made = replies(series(), a_run(Status.WARN, **WARNED), ME, tag=False, now=0.0)
    assert [one.number for one in made] == [0, 1]  # of patch 2 there is nothing to say
    read = [email.message_from_bytes(one.message.as_bytes(), policy=email.policy.default)
            for one in made]
    assert read[0]["In-Reply-To"] == "<cover@example.org>"
    assert read[1]["In-Reply-To"] == "<p1@example.org>"
    assert read[1]["References"] == "<cover@example.org> <p1@example.org>"
    assert read[1]["Subject"] == "Re: [PATCH 1/2] mm: a change"
    assert read[1]["To"] == "A U Thor <author@example.org>"
    assert read[1]["Cc"] == "list@example.org, Some One <one@example.org>"
    assert len({m["Message-ID"] for m in read}) == 2
    body = read[1].get_content()
    assert "> +\tfive;\n\nbuild:guest: gcc: mm/a b.c: f: five is unused" in body
    assert "gcc: old" not in body
    assert "On Wed, 25 Nov 2026 10:00:00 +0000, A U Thor wrote:\n> " in body
    again = replies(series(), a_run(Status.WARN, **WARNED), ME, tag=False, now=9.0)
    assert [m.message["Message-ID"] for m in again] == [m["Message-ID"] for m in read]


def test_what_is_about_the_series_stands_in_the_summary_only() -> None:
    found = {"scope": "series", "findings": [{"rule": "MISSING", "message": "no base-commit"}]}
    check = reports.outcome("check:basecommit", Status.WARN, details=found)
    report = reports.report(reports.row(1), reports.row(2, check))
    made = replies(series(), report, ME, tag=False, now=0.0)
    assert [one.number for one in made] == [0]
    own = replace(check, details={"findings": found["findings"]})
    report = reports.report(reports.row(1), reports.row(2, own))
    assert [one.number for one in replies(series(), report, ME, tag=False, now=0.0)] == [0, 2]


def test_an_error_of_the_machine_is_not_put_on_the_author() -> None:
    made = replies(series(), a_run(Status.ERROR), ME, tag=True, now=0.0)
    assert [one.number for one in made] == [0]
    assert "Tested-by" in made[0].message.get_content()
    assert "Tested-by: Re" not in made[0].message.get_content()


@pytest.mark.parametrize(("status", "given"), [
    (Status.PASS, True), (Status.WARN, True), (Status.FAIL, False), (Status.ERROR, False)])
def test_a_tested_by_only_where_it_was_tested(status: Status, given: bool) -> None:
    made = replies(series(), a_run(status), ME, tag=True, now=0.0)
    assert (f"Tested-by: {ME}" in made[0].message.get_content()) is given
    assert not any(f"Tested-by: {ME}" in one.message.get_content() for one in
                   replies(series(), a_run(status), ME, tag=False, now=0.0))


def test_a_series_that_was_only_built_or_in_part_gets_none() -> None:
    built = reports.report(reports.row(1, reports.outcome("build:guest")),
                           reports.row(2, reports.outcome("build:guest")))
    assert "booted" in untested(series(), built)
    assert "patch 2 was not tested" in untested(series(), replace(built, rows=built.rows[:1]))


def test_without_a_message_id_the_reply_says_so() -> None:
    made = replies(series(identity=False), a_run(Status.WARN, **WARNED), ME, tag=False, now=0.0)
    assert [one.threaded for one in made] == [True, False]
    assert "In-Reply-To" not in made[1].message


def test_a_hostile_subject_adds_no_header_and_no_escape() -> None:
    bad = "=?utf-8?q?mm=3A_x=0D=0ABcc=3A_evil=40example=2Eorg=1B[2J?="
    made = replies(series(subject=bad), a_run(Status.WARN, **WARNED), ME, tag=False, now=0.0)
    raw = made[1].message.as_bytes()
    assert "Bcc" not in email.message_from_bytes(raw)
    assert b"\x1b" not in raw


# The base


def test_a_baseline_is_tried_last() -> None:
    names = ["debian-6.1", "debian-6.1/oracle", "debian-6.12"]
    assert order(names, names, []) == ["debian-6.1/oracle", "debian-6.12", "debian-6.1"]
    assert order(names, names[:1], []) == ["debian-6.1"]
    assert order(names, [], ["debian-6.12"]) == ["debian-6.12"]


def test_how_far_a_series_got() -> None:
    assert tried("b", "6.1", ()).whole
    assert told(tried("b", "6.1", ())) == "b 6.1: all applied"


Cli = Callable[..., tuple[int, str, str]]


def git(tree: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", tree, *IDENTITY, *words], check=True, text=True,
                          capture_output=True).stdout.strip()


@pytest.fixture(params=["confined", "trusted"])
def trust(request: pytest.FixtureRequest) -> list[str]:
    """What to add to the command line; confined is what a review is without."""
    if request.param == "trusted":
        return ["--trusted"]
    try:
        bwrap.probe()
    except MachineError as error:
        pytest.skip(str(error))
    return []


def test_a_thread_is_tested_and_answered(fakelinux: Path, tmp_path: Path, trust: list[str],
                                         monkeypatch: pytest.MonkeyPatch,
                                         capfd: pytest.CaptureFixture[str]) -> None:
    """From an mbox to replies that thread, on the fake tree."""
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("kvtools.git.identity", lambda: ME)
    (tmp_path / "tiny.toml").write_text(
        'description = "tiny"\narch = "x86_64"\ntarget = "tinyconfig"\nfragments = ["own"]\n')
    (tmp_path / "own.config").write_text("CONFIG_64BIT=y\n")
    path = fakelinux / "mm/page_alloc.c"
    path.write_text("static int never_used(void) { return 1; }\n" + path.read_text())
    git(fakelinux, "commit", "-qsam", "mm: add a function")
    text = git(fakelinux, "format-patch", "--stdout", "-1")
    box = mailbox.mbox(tmp_path / "thread.mbox")
    sent = email.message_from_string(text.partition("\n")[2])
    sent["Message-Id"] = "<one@example.org>"
    box.add(mailbox.mboxMessage(sent))
    box.close()
    arguments = ["review", str(tmp_path / "thread.mbox"), "--tree", str(fakelinux), "--base",
                 "HEAD~1", "--config", str(tmp_path / "tiny.toml"), "--only", "build", *trust,
                 "--tested-by", "--output", str(tmp_path / "replies")]
    started = programs(monkeypatch)
    assert main(arguments) == 0
    assert ("bwrap" in started, "make" in started) == ((False, True) if trust else (True, False))
    out, err = capfd.readouterr()
    assert "Nothing was sent" in out and "no kernel with the whole series was booted" in out, err
    written = sorted(p.name for p in (tmp_path / "replies").iterdir())
    assert written == ["0000-reply.eml", "0001-reply.eml", "replies.mbox"]
    reply = email.message_from_bytes((tmp_path / "replies/0001-reply.eml").read_bytes(),
                                     policy=email.policy.default)
    assert reply["In-Reply-To"] == "<one@example.org>"
    assert "> +static int never_used(void) { return 1; }\n\nbuild:tiny:" in reply.get_content()
    for path in (tmp_path / "replies").glob("*.eml"):
        assert str(tmp_path) not in path.read_text().replace("=\n", ""), path.read_text()
    assert main(arguments) == 2
    assert "not empty" in capfd.readouterr().err


def programs(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of all that is started from here on."""
    started: set[str] = set()
    real: Callable[..., Any] = SPAWNER.start

    def seen(argv: Any, **more: Any) -> Any:
        if "--version" not in argv:
            started.add(Path(str(argv[0])).name)
        return real(argv, **more)

    monkeypatch.setattr(SPAWNER, "start", seen)
    return started


@pytest.mark.parametrize("source", ["dir", "thread.mbox", "20180524-x@example.org", "v6.1..x"])
def test_what_is_reviewed_is_confined_whatever_it_is_given_as(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bwrap, "probe", lambda: ())
    words = ["review", source, "--output", "x"]
    assert prepare._untrusted(parser().parse_args(words))
    assert prepare._untrusted(parser().parse_args([*words, "--untrusted"]))
    assert not prepare._untrusted(parser().parse_args([*words, "--trusted"]))


def test_every_candidate_is_tried_and_told(fakelinux: Path, tmp_path: Path, trust: list[str],
                                           monkeypatch: pytest.MonkeyPatch,
                                           capfd: pytest.CaptureFixture[str]) -> None:
    """One takes both patches, one the first, one none; the replies again from the stored run."""
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("kvtools.git.identity", lambda: ME)
    names = ("mm/one.c", "mm/two.c")
    for name in names:
        (fakelinux / name).write_text("int value = 1;\n")
    git(fakelinux, "add", ".")
    git(fakelinux, "commit", "-qsm", "mm: two files")
    git(fakelinux, "tag", "whole")
    for tag, changed in (("part", names[1:]), ("nothing", names)):
        for name in changed:
            (fakelinux / name).write_text("long other = 7;\n")
        git(fakelinux, "commit", "-qsam", tag)
        git(fakelinux, "tag", tag)
        git(fakelinux, "reset", "-q", "--hard", "whole")
    for name in names:
        (fakelinux / name).write_text("int value = 2;\n")
        git(fakelinux, "commit", "-qsam", f"{name}: another value")
    patches = tmp_path / "patches"
    git(fakelinux, "format-patch", "-q", "--thread", "-o", str(patches), "whole")
    base = ["review", str(patches), "--tree", str(fakelinux), "--only", "apply",
            *trust]
    tries = [word for tag in ("nothing", "part", "whole") for word in ("--candidate", tag)]
    assert main([*base, *tries, "--output", str(tmp_path / "out"),
                 "--json", str(tmp_path / "run.json")]) == 0
    told = capfd.readouterr().err
    for said in ("tried nothing", "0 of 2 applied; patch 1: ", "tried part",
                 "1 of 2 applied; patch 2: ", "tried whole", "all applied"):
        assert said in told
    run = json.loads((tmp_path / "run.json").read_text())
    assert [(t["base"], t["applied"], t["of"]) for t in run["run"]["tried"]] == [
        ("nothing", 0, 2), ("part", 1, 2), ("whole", 2, 2)]
    # A try is no run.
    assert [p.name for p in (tmp_path / "home/state/runs").iterdir()] == [run["run"]["id"]]
    assert run["base"]["commit"] == git(fakelinux, "rev-parse", "whole")
    again = [*base, "--run", run["run"]["id"], "--output", str(tmp_path / "again")]
    assert main(again) == 0
    first, second = (email.message_from_bytes((tmp_path / name / "0000-reply.eml").read_bytes())
                     for name in ("out", "again"))
    assert first["Message-ID"] == second["Message-ID"]
    body = first.get_payload(decode=True).decode()
    rows = body.partition("Bases tried, and how many of the patches applied:\n\n")[2].splitlines()
    assert rows[0].startswith("  nothing 6.1.0  0 of 2  patch 1: "), body
    assert "  part 6.1.0     1 of 2  patch 2: " in body and "  whole 6.1.0    2 of 2\n" in body
    assert max(map(len, body.splitlines())) <= 72
    capfd.readouterr()
    assert main([*base, *tries[:4], "--output", str(tmp_path / "none")]) == 2
    assert "applies whole to none of these bases:\n  nothing" in capfd.readouterr().err
    assert not (tmp_path / "none").exists()
    assert [p.name for p in (tmp_path / "home/state/runs").iterdir()] == [run["run"]["id"]]
