# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools submit``: the gate, and the whole road to mails on the fake tree, with the real b4."""

from __future__ import annotations

import email
import mailbox
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
import reports

from kvtools import maintainers
from kvtools.cli import main
from kvtools.errors import UserError
from kvtools.model import Base, CoverLetter, Series, Status
from kvtools.report import RunReport
from kvtools.report.model import Row
from kvtools.submit import gate, letter, recipients, revisions
from kvtools.submit.gate import Applied

IDENTITY = ["-c", "user.name=A U Thor", "-c", "user.email=author@example.org"]
PATCHES = (Applied(1, "mm: one", "c1", "t1"), Applied(2, "mm: two", "c2", "t2"))


def base(commit: str, *, public: bool = True) -> Base:
    return Base("debian-6.1", Path("/repo"), commit, "t0", "6.1.1", "somewhere", public)


def a_run(*, status: Status = Status.PASS, more: tuple[Row, ...] = ()) -> RunReport:
    cells = [reports.outcome("build:guest"), reports.outcome("boot:guest")]
    cells.append(reports.outcome("selftest:vmem.resize", status=status))
    rows = [Row(p.number, p.subject, p.commit, p.tree, tuple(cells)) for p in PATCHES]
    return reports.report(Row(0, "the base"), *rows, *more)


# The gate


def test_what_passed_and_did_not_change_may_go() -> None:
    report = a_run()
    assert gate.refusals(report, base(report.base.commit), PATCHES) == []


@pytest.mark.parametrize("status", [Status.WARN, Status.SKIP])
def test_a_warning_and_a_skip_are_no_reason(status: Status) -> None:
    report = a_run(status=status)
    assert gate.refusals(report, base(report.base.commit), PATCHES) == []


@pytest.mark.parametrize("status", [Status.FAIL, Status.ERROR])
def test_a_failure_is_named(status: Status) -> None:
    report = a_run(status=status)
    reasons = gate.refusals(report, base(report.base.commit), PATCHES)
    assert len(reasons) == 2 and f"patch 1: selftest:vmem.resize {status}" in reasons[0]


@pytest.mark.parametrize(("patches", "says"), [
    ((PATCHES[0], replace(PATCHES[1], tree="t3")), "patch 2 has changed since run"),
    ((PATCHES[0], replace(PATCHES[1], commit="c3")), "message or the author of patch 2"),
    ((*PATCHES, Applied(3, "mm: three", "c3", "t3")), "patch 3 was not tested"),
    (PATCHES[:1], "1 patches that are not in the series"),
])
def test_what_changed_since_the_run_is_named(patches: tuple[Applied, ...], says: str) -> None:
    report = a_run()
    reasons = gate.refusals(report, base(report.base.commit), patches)
    assert len(reasons) == 1 and says in reasons[0]


def test_no_run_another_base_and_a_patch_that_was_only_applied() -> None:
    assert "nothing was tested" in gate.refusals(None, base("b"), PATCHES)[0]
    assert "another base" in gate.refusals(a_run(), base("other"), PATCHES)[0]
    report = a_run()
    bare = [replace(row, outcomes=(reports.outcome("apply"),)) for row in report.rows]
    report = replace(report, rows=tuple(bare))
    assert "tested nothing there" in gate.refusals(report, base(report.base.commit), PATCHES)[0]


def test_the_newest_run_of_the_same_patches_is_taken() -> None:
    same, other = a_run(), a_run()
    other = replace(other, id="other", rows=(*other.rows[:2], replace(other.rows[2], tree="t9")))
    older = replace(same, id="older")
    assert gate.matching([older, same, other], PATCHES) is same
    assert gate.matching([other], PATCHES) is other  # to say what changed since
    strange = replace(same, rows=tuple(replace(row, tree="t8") for row in same.rows))
    assert gate.matching([strange], PATCHES) is None


def checks_only(report: RunReport, status: Status = Status.PASS) -> RunReport:
    cells = (reports.outcome("check:checkpatch", status=status, summary="4 errors"),)
    return replace(report, id="narrow", rows=tuple(
        replace(row, outcomes=cells if row.number == 2 else ()) for row in report.rows))


def test_a_run_that_built_nothing_is_refused() -> None:
    narrow = replace(a_run(), rows=tuple(
        replace(row, outcomes=(reports.outcome("check:checkpatch"),)) for row in a_run().rows))
    reasons = gate.refusals(narrow, base(narrow.base.commit), PATCHES)
    assert len(reasons) == 1 and "built no kernel" in reasons[0]
    assert not gate.built(narrow) and gate.built(a_run())


def test_a_later_run_of_few_cells_hides_nothing_and_counts() -> None:
    whole, here = a_run(), base(a_run().base.commit)
    narrow = checks_only(whole)
    assert gate.matching([whole, narrow], PATCHES) is whole
    assert gate.refusals(whole, here, PATCHES, [narrow]) == []
    failed = checks_only(whole, Status.FAIL)
    assert gate.refusals(whole, here, PATCHES, [failed]) == [
        "patch 2: check:checkpatch FAIL: 4 errors"]
    assert gate.refusals(whole, here, PATCHES, [failed, narrow]) == []  # mended, run again
    other = replace(failed, rows=tuple(replace(r, commit="c9") for r in failed.rows))
    assert gate.refusals(whole, here, PATCHES, [other]) == []  # of a message that is no more


def test_what_was_left_out_is_a_warning() -> None:
    report = a_run()
    assert gate.absent(report) == [f"run {report.id}: no check ran"]
    bare = [replace(row, outcomes=row.outcomes[:1] if row.number < 2 else (
        reports.skip("build:guest"), reports.outcome("check:checkpatch"))) for row in report.rows]
    assert gate.absent(replace(report, rows=tuple(bare))) == [
        f"run {report.id}: no guest was booted", f"run {report.id}: patch 2 not built"]


def test_only_the_first_changed_patch_is_named() -> None:
    report = a_run()
    reworded = (Applied(1, "mm: one", "c8", "t1"), Applied(2, "mm: two", "c9", "t2"))
    edited = (Applied(1, "mm: one", "c8", "t8"), Applied(2, "mm: two", "c9", "t9"))
    for patches, says in ((reworded, "the message or the author of patch 1"),
                          (edited, "patch 1 has changed")):
        reasons = gate.refusals(report, base(report.base.commit), patches)
        assert len(reasons) == 1 and says in reasons[0]


# Recipients, changes, the letter


def test_recipients_once_each_with_reasons_and_lists_last() -> None:
    said = {1: "An Other <a@x.org> (maintainer:MM)\nlinux-mm@kvack.org (open list:MM)\n",
            2: "Re Viewer <r@x.org> (reviewer:VIRTIO)\nAn Other <A@x.org> (maintainer:MM)\n"}
    found = recipients.arrange((n, one) for n, text in said.items()
                               for one in maintainers.parse(text))
    assert [(one.address, one.is_to, one.is_list) for one in found] == [
        ("a@x.org", True, False), ("r@x.org", False, False), ("linux-mm@kvack.org", False, True)]
    assert found[0].reasons == {"maintainer:MM": (1, 2)}


RANGE_DIFF = """\
1:  aaaaaaa = 1:  bbbbbbb mm: one
2:  ccccccc ! 3:  ddddddd mm: two
    @@ Commit message
         mm: two
    -    because
    +    because of it
    @@ mm/a.c
     @@
    -+old
    ++new
3:  eeeeeee < -:  ------- mm: three
-:  ------- > 2:  fffffff mm: zero
4:  aaaaaab ! 4:  aaaaaac mm: four
    @@ mm/b.c: context
     -context
"""


def test_the_draft_says_what_a_reviewer_has_to_look_at() -> None:
    assert revisions.draft(RANGE_DIFF) == [
        "patch 3 (was 2): message and code changed: mm: two",
        "patch 3 of the last revision is gone: mm: three",
        "patch 2 is new: mm: zero",
        "patch 4: context changed: mm: four",
    ]
    assert revisions.draft("1:  aaaaaaa = 1:  bbbbbbb mm: one\n") == []


def test_the_last_revision_is_linked() -> None:
    cover = b"Message-Id: <20261125-a-very-long-change-id@example.org>\n\nx\n"
    link = revisions.link(cover, 1)
    assert link == ["Link to v1: https://lore.kernel.org/r/20261125-a-very-long-change-id@example.org"]
    assert f"- {link[0]}\n" in letter.render(series("Why."), a_run(), [], revision=2, changes=link)
    assert revisions.link(b"Subject: x\n\nx\n", 1) == []


B4_SAID = """\
mm: one
  + Reviewed-by: A <a@x.org>
    via: https://lore.kernel.org/all/r@x.org
---
  mm: one
    + Reviewed-by: A <a@x.org>
---
Trailers updated.
"""


def test_trailers_taken_once_and_those_left_are_told() -> None:
    took = revisions.taken(B4_SAID)
    assert took == ["mm: one: Reviewed-by: A <a@x.org>"]
    replies = []
    for title, trailer in (("one", "Reviewed-by: A <a@x.org>"), ("two", "Acked-by: B <b@x.org>"),
                           ("two", "> Acked-by: C <c@x.org>")):
        reply = EmailMessage()
        reply["Subject"], reply["In-Reply-To"] = f"Re: [PATCH 1/2] mm: {title}", "<p@x.org>"
        reply.set_content(f"Fine.\n\n{trailer}\n")
        replies.append(reply)
    sent = EmailMessage()
    sent["Subject"], sent["In-Reply-To"] = "[PATCH 2/2] mm: two", "<c@x.org>"
    sent.set_content("Acked-by: D <d@x.org>\n")  # it had that when it was sent
    assert revisions.left([*replies, sent], took) == ["mm: two: Acked-by: B <b@x.org>"]


def series(body: str) -> Series:
    return Series("s", "mm: a title", "dir", (), cover=CoverLetter("mm: a title", body, b""))


def test_the_summary_is_what_the_author_wrote() -> None:
    body = ("Why.\n\n# mount\n\nA U Thor (2):\n  mm: one\n  mm: two\n\n mm/a.c | 2 ++\n\n"
            "base-commit: 0123\n-- \n2.39\n")
    assert letter.summary(series(body)) == "Why.\n\n# mount"
    assert letter.kept_by_b4("Why.\n# mount\n") == "Why.\n># mount\n"
    assert letter.summary(series("It has three parts (3):\nnot a shortlog\n")).endswith("shortlog")


def test_the_letter_warns_of_a_base_nobody_has(tmp_path: Path) -> None:
    report = a_run()
    public = replace(report, base=replace(report.base, public=True))
    own = replace(report, base=replace(report.base, public=False))
    assert "not public" not in letter.render(series("Why."), public, [], revision=1, changes=[])
    text = letter.render(series("Why."), own, [], revision=2, changes=["patch 1 is new: mm: one"])
    assert text.startswith("mm: a title\n\nWARNING: the base is not public")
    assert "Configs: guest\nBooted: guest\nScenarios: vmem.resize\nChecks: none\n" in text
    assert "not public" in text and "Why.\n\nChanges in v2:\n\n- patch 1 is new" in text
    assert max(map(len, text.splitlines())) <= 72
    template = tmp_path / "mine"
    template.write_text("{{ title }}\n{{ no_such_value }}\n")
    with pytest.raises(UserError, match="no_such_value"):
        letter.render(series("Why."), own, [], revision=1, changes=[], template=template)


# The whole road

Cli = Callable[..., tuple[int, str, str]]
FAKE_SCRIPT = """#!/usr/bin/perl
print "Mem Maint <mm\\@example.org> (maintainer:MEMORY MANAGEMENT)\\n";
print "linux-mm\\@example.org (open list:MEMORY MANAGEMENT)\\n";
"""


def git(tree: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", tree, *IDENTITY, *words], check=True, text=True,
                          capture_output=True).stdout.strip()


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str]) -> Cli:
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path / "home"))
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "HOME"):  # b4 keeps things there
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)  # not in a clone with an identity of its own
    monkeypatch.delenv("GIT_AUTHOR_NAME", raising=False)
    (tmp_path / "tiny.toml").write_text(
        'description = "tiny"\narch = "x86_64"\ntarget = "tinyconfig"\nfragments = ["own"]\n')
    (tmp_path / "own.config").write_text("CONFIG_64BIT=y\n")

    def run(*args: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(a) for a in args])
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.fixture
def patches(fakelinux: Path, tmp_path: Path) -> Path:
    """Two patches with a cover letter, on a tree with a get_maintainer.pl."""
    script = fakelinux / "scripts/get_maintainer.pl"
    script.write_text(FAKE_SCRIPT)
    git(fakelinux, "add", "-Af", ".")
    git(fakelinux, "commit", "-qm", "a script")
    for number in (1, 2):
        path = fakelinux / "mm/page_alloc.c"
        path.write_text(path.read_text() + f"int added_{number};\n")
        git(fakelinux, "commit", "-qsam", f"mm: add {number}\n\nBecause of {number}.")
    out = tmp_path / "series"
    git(fakelinux, "format-patch", "-q", "--cover-letter", "-o", str(out), "HEAD~2")
    cover = out / "0000-cover-letter.patch"
    text = cover.read_text().replace("*** SUBJECT HERE ***", "mm: add things")
    cover.write_text(text.replace("*** BLURB HERE ***", "They are needed.\n\n# insmod things"))
    return out


def trailers_thread(mails: Path, path: Path) -> Path:
    """The mails as sent, and a reply to the second patch."""
    box = mailbox.mbox(path)
    sent = [email.message_from_bytes(p.read_bytes()) for p in sorted(mails.glob("*.eml"))]
    for one in sent:
        box.add(mailbox.mboxMessage(one))
    reply = EmailMessage()
    reply["From"], reply["Subject"] = "Re Viewer <rev@example.org>", f"Re: {sent[2]['Subject']}"
    reply["Date"], reply["Message-Id"] = sent[2]["Date"], "<reply@example.org>"
    reply["In-Reply-To"] = reply["References"] = sent[2]["Message-Id"]
    reply.set_content("Fine.\n\nReviewed-by: Re Viewer <rev@example.org>\n")
    box.add(mailbox.mboxMessage(reply))
    box.close()
    return path


@pytest.mark.long
def test_from_a_run_to_two_revisions(cli: Cli, patches: Path, fakelinux: Path,
                                     tmp_path: Path) -> None:
    tree = ["--tree", fakelinux, "--base", git(fakelinux, "rev-parse", "HEAD~2")]
    git(fakelinux, "remote", "add", "origin", "https://git.kernel.org/linux.git")
    git(fakelinux, "update-ref", "refs/remotes/origin/master", "HEAD~2")
    out = tmp_path / "v1"
    code, _, err = cli("submit", "prepare", patches, *tree, "--output", out)
    assert code == 1 and "nothing was tested" in err
    assert not out.exists()
    test = ["test", patches, *tree, "--config", tmp_path / "tiny.toml", "--only", "build"]
    assert cli(*test)[0] == 0

    code, told, err = cli("submit", "prepare", patches, *tree, "--output", out)
    assert code == 0, err
    assert "3 mails" in told and "Nothing was sent" in told and "not public" not in told
    sent = [email.message_from_bytes(p.read_bytes()) for p in sorted((out / "mails").iterdir())]
    assert [m["Subject"] for m in sent] == [
        "[PATCH 0/2] mm: add things", "[PATCH 1/2] mm: add 1", "[PATCH 2/2] mm: add 2"]
    assert all("mm@example.org" in m["To"] for m in sent)
    assert "linux-mm@example.org" in sent[0]["Cc"]
    assert sent[1]["In-Reply-To"] == sent[0]["Message-Id"]
    body = sent[0].get_payload(decode=True).decode()
    assert "They are needed.\n\n# insmod things" in body
    assert "build:tiny" in body and f"base-commit: {tree[3]}" in body
    assert "(patch 1, 2)" in (out / "recipients.txt").read_text()

    # The mails make the tree that was tested.
    git(fakelinux, "checkout", "-q", "-b", "again", "HEAD~2")
    git(fakelinux, "am", "-q", *(str(p) for p in sorted((out / "mails").iterdir())[1:]))
    assert git(fakelinux, "rev-parse", "again^{tree}") == git(fakelinux, "rev-parse", "main^{tree}")
    code, told, _ = cli("submit", "send", out)
    assert code == 0 and "Nothing was sent" in told

    # The second revision: a change, refused until it is tested, with a reviewer's trailer.
    second = next(patches.glob("0002-*"))
    second.write_text(second.read_text().replace("+int added_2;", "+int added_again;"))
    more = ["--previous", out / "mails", "--replies",
            trailers_thread(out / "mails", tmp_path / "thread.mbox"), "--output", tmp_path / "v2"]
    code, _, err = cli("submit", "prepare", patches, *tree, *more)
    assert code == 1 and "patch 2 has changed since run" in err
    assert cli(*test)[0] == 0
    code, told, err = cli("submit", "prepare", patches, *tree, *more)
    assert code == 0, err
    again = [email.message_from_bytes(p.read_bytes())
             for p in sorted((tmp_path / "v2/mails").iterdir())]
    assert again[0]["Subject"] == "[PATCH v2 0/2] mm: add things"
    assert again[0]["X-Change-ID"] == sent[0]["X-Change-ID"]
    assert "patch 2: code changed: mm: add 2" in again[0].get_payload(decode=True).decode()
    assert "not taken, the patch changed since or has it: mm: add 2: Reviewed-by" in told
    assert "- Link to v1: https://lore" in again[0].get_payload(decode=True).decode()
    assert b"Reviewed-by: Re Viewer" not in again[2].get_payload(decode=True)  # it is another patch
    assert "range-diff.txt" in {p.name for p in (tmp_path / "v2").iterdir()}
    b4(tmp_path / "v2/mails", tmp_path)

    # Once prepared nothing may be slipped in.
    git(tmp_path / "v2/tree", "commit", "-q", "--amend", "-m", "mm: another")
    code, _, err = cli("submit", "send", tmp_path / "v2")
    assert code == 2 and "changed after they were checked" in err


@pytest.mark.long
def test_a_resend_and_trailers_of_an_unchanged_patch(cli: Cli, patches: Path, fakelinux: Path,
                                                     tmp_path: Path) -> None:
    tree = ["--tree", fakelinux, "--base", git(fakelinux, "rev-parse", "HEAD~2")]
    test = ["test", patches, *tree, "--config", tmp_path / "tiny.toml", "--only", "build"]
    assert cli(*test)[0] == 0
    # Who sends is not who wrote them.
    (tmp_path / "HOME/.gitconfig").write_text("[user]\nname = Se Nder\nemail = se@example.org\n")
    first = ["submit", "prepare", patches, *tree, "--output", tmp_path / "v1"]
    (tmp_path / "bad").write_text("{{ no_such }}")
    code, _, err = cli(*first, "--template", tmp_path / "bad")
    assert code == 2 and "no_such" in err
    assert cli(*first)[0] == 0  # what the bad template left is cleared
    code, _, err = cli(*first)
    assert code == 2 and "holds a submission" in err
    thread = trailers_thread(tmp_path / "v1/mails", tmp_path / "thread.mbox")
    code, told, err = cli("submit", "prepare", patches, *tree, "--output", tmp_path / "again",
                          "--previous", tmp_path / "v1/mails", "--resend", "--replies", thread)
    assert code == 0, err
    assert "from a reply, mm: add 2: Reviewed-by: Re Viewer" in told and "not taken" not in told
    assert "is not public" in told  # no remote and no tag has the base
    assert "no guest was booted" in told and "Link to" not in told
    assert "stopped" not in cli("runs")[1]  # looking at the store is no run
    mails = sorted((tmp_path / "again/mails").iterdir())
    assert mails[0].read_text().count("WARNING: the base is not public") == 1
    assert "[PATCH RESEND 2/2] mm: add 2" in mails[2].read_text()
    assert "Reviewed-by: Re Viewer <rev@example.org>" in mails[2].read_text()


def b4(mails: Path, tmp_path: Path) -> None:
    """``b4 am`` takes all patches and the cover letter."""
    box = mailbox.mbox(tmp_path / "sent.mbox")
    for path in sorted(mails.iterdir()):
        box.add(mailbox.mboxMessage(email.message_from_bytes(path.read_bytes())))
    box.close()
    done = subprocess.run(["b4", "--offline-mode", "-n", "am", "-m", tmp_path / "sent.mbox", "-o",
                           tmp_path / "am"], text=True, capture_output=True, check=True)
    assert "Total patches: 2" in done.stderr and "Cover:" in done.stderr, done.stderr


@pytest.mark.parametrize(("arguments", "says"), [
    (["prepare", "--output", "x", "--resend"], "--previous"),
    (["prepare", "--output", "x", "--run", "no-such"], "no run"),
    (["send", "/no/such"], "no submission"),
])
def test_bad_input_is_one_line(cli: Cli, patches: Path, fakelinux: Path, arguments: list[str],
                               says: str) -> None:
    given = [*arguments]
    if arguments[0] == "prepare":
        given += [str(patches), "--tree", str(fakelinux), "--base", "HEAD~2"]
    code, _, err = cli("submit", *given)
    assert code == 2, err
    assert says in err and "Traceback" not in err
