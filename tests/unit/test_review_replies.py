# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools review``: whom a reply goes to, how it threads, what it says and what not."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from email.message import Message

import pytest
import reports
from test_review import BODY, ME, WARNED, series

from kvtools.errors import MachineError, UserError
from kvtools.model import Owner, Status
from kvtools.report import TriedBase
from kvtools.review.candidates import best
from kvtools.review.envelope import answer
from kvtools.review.quoting import Comment, quoted
from kvtools.review.replies import replies, same, stands_for, untested

LONG = "<20241125-b4-a-change-with-quite-a-long-name-and-more-words-v1-3-0123456789ab@example.org>"
HEAD = "From: A U Thor <a@example.org>\nTo: l@example.org\nSubject: [PATCH] x\n"


def answered(head: str, body: str = "text\n") -> Message:
    made, _ = answer(f"{head}\nbody\n".encode(), body, ME, number=1, now=0.0)
    return email.message_from_bytes(made.as_bytes())


def test_an_id_longer_than_a_line_stays_an_id() -> None:
    """The email package alone makes an encoded word of it, and the thread breaks."""
    read = answered(f"{HEAD}Message-ID:\n {LONG}\nReferences: {LONG[:-1]}.cover>\n {LONG}\n")
    assert read["In-Reply-To"].split() == [LONG]
    assert read["References"].split() == [f"{LONG[:-1]}.cover>", LONG]


def test_without_references_the_parent_of_the_parent_is_kept() -> None:
    read = answered(f"{HEAD}Message-ID: <2@x>\nIn-Reply-To: <1@x>\n")
    assert read["References"].split() == ["<1@x>", "<2@x>"]
    two = answered(f"{HEAD}Message-ID: <2@x>\nIn-Reply-To: <1@x> <0@x>\n")
    assert two["References"].split() == ["<2@x>"]  # RFC 5322: of several nobody knows


@pytest.mark.parametrize("head", [HEAD, f"{HEAD}Message-ID: none\n",
                                  f"{HEAD}Message-ID: <1@x>\nMessage-ID: <2@x>\n"])
def test_without_one_good_id_nothing_threads(head: str) -> None:
    read = answered(head)
    assert "In-Reply-To" not in read and "References" not in read


def test_a_name_brings_no_recipient_and_no_header() -> None:
    read = answered('From: "A, evil@example.com" <a@example.org>\n'
                    'Cc: "B, bad@example.com" <b@example.org>, =?utf-8?q?C=0ABcc=3A_x=40y?= '
                    "<c@example.org>\nSubject: s\n")
    assert [a for _, a in email.utils.getaddresses([read["To"]])] == ["a@example.org"]
    found = [a for _, a in email.utils.getaddresses([read["Cc"]])]
    assert found == ["b@example.org", "c@example.org"] and "Bcc" not in read
    read = answered("From: =?utf-8?q?A=0D=0ABcc=3A_x=40y=1B[2J?= <a@example.org>\nSubject: s\n")
    assert "Bcc" not in read and "\x1b" not in str(read)


def test_reply_to_stands_for_a_relay() -> None:
    made, _ = answer(b"From: A via B4 Relay <devnull+a@kernel.org>\nReply-To: a@example.org\n"
                     b"To: l@example.org\nSubject: s\n\nFrom: A <a@example.org>\n\nbody\n",
                     "text\n", ME, number=1, now=0.0)
    assert (made["To"], made["Cc"]) == ("A <a@example.org>", "l@example.org")


def test_a_line_too_long_for_a_mail_is_encoded() -> None:
    for body, encoding in (("x" * 999 + "\n", "quoted-printable"), ("ä" * 80 + "\n", "8bit")):
        read = answered(HEAD, body)
        assert read["Content-Transfer-Encoding"] == encoding
        payload = read.get_payload(decode=True)
        assert isinstance(payload, bytes) and payload.decode() == body


def test_a_subject_has_one_re() -> None:
    assert answered(HEAD)["Subject"] == "Re: [PATCH] x"
    assert answered("From: a@x\nSubject: Re: [PATCH] x\n")["Subject"] == "Re: [PATCH] x"


# The quotation


def test_the_quotation_says_in_which_file_and_hunk_it_is() -> None:
    below = quoted(BODY, [Comment("here", "mm/a b.c", 93)]).splitlines()
    assert "> +++ b/mm/a b.c" in below and "> @@ -90,2 +92,3 @@ int g(void)" in below
    assert not [row for row in below if "@@ -10" in row]


def test_a_name_that_git_quotes_and_a_file_that_goes() -> None:
    body = BODY.replace("+++ b/mm/a b.c\t", '+++ "b/mm/\\303\\244.c"')
    assert "> +\tfive;\n\nhere" in quoted(body, [Comment("here", "mm/ä.c", 14)])
    gone = BODY.replace("+++ b/mm/a b.c\t", "+++ /dev/null")
    assert quoted(gone, [Comment("here", "mm/a b.c", 14)]) == "mm/a b.c:14: here\n"


def test_a_message_that_looks_like_a_diff_is_none() -> None:
    body = "+++ b/mm/z.c\n@@ -1 +1 @@\n+no\n" + BODY
    assert quoted(body, [Comment("here", "mm/z.c", 1)]) == "mm/z.c:1: here\n"


def test_our_prose_has_72_columns() -> None:
    long = "a word and " * 12
    for comment in (Comment(long, "mm/z.c", 1), Comment(long, "mm/a b.c", 500)):
        rows = quoted(BODY, [comment]).splitlines()
        assert max(len(row) for row in rows if not row.startswith(">")) <= 72


# What is said, and of whom


def failing(number: int) -> reports.Row:
    boot = reports.outcome("boot:guest", Status.FAIL, summary="it hangs", owner=Owner.PATCH,
                           fingerprints=("hang",), details={"new": ["hang"]}, evidence=("stuck",))
    return reports.row(number, reports.outcome("build:guest"), boot)


def test_the_patch_that_inherits_a_fault_is_not_told_of_it() -> None:
    report = reports.report(reports.row(0), failing(1), failing(2), status=Status.FAIL)
    made = replies(series(), report, ME, tag=True, now=0.0)
    assert [one.number for one in made] == [0, 1]
    assert "  | stuck" in made[1].message.get_content()


def test_what_the_machine_did_is_nobodys_even_as_a_warning() -> None:
    warned = reports.outcome("build:guest", Status.WARN, owner=Owner.MACHINE, details=WARNED)
    report = reports.report(reports.row(1, warned), reports.row(2))
    assert [one.number for one in replies(series(), report, ME, tag=False, now=0.0)] == [0]
    own = reports.report(reports.row(1, replace(warned, owner=None)), reports.row(2))
    assert [one.number for one in replies(series(), own, ME, tag=False, now=0.0)] == [0, 1]


def test_a_tested_by_names_what_passed_and_nothing_else() -> None:
    build, boot = reports.outcome("build:guest"), reports.outcome("boot:guest")
    known = reports.outcome("selftest:vmem.probe", Status.WARN)  # the base fails there as well
    rows = [reports.row(n, build, boot, known) for n in range(3)]
    report = reports.report(*rows)
    assert untested(series(), report) == ""
    assert "debian-6.1 6.1.192" in stands_for(report) and "built as guest" in stands_for(report)
    assert stands_for(report).endswith("passed: boot:guest")
    flaky = replace(rows[1], outcomes=(build, replace(boot, status=Status.WARN)))
    assert "booted" in untested(series(), reports.report(rows[0], flaky, rows[2]))
    error = reports.row(0, reports.outcome("build:guest", Status.ERROR))
    assert "the base" in untested(series(), reports.report(error, *rows[1:]))
    stopped = replace(rows[1], outcomes=())
    assert "1 was not tested" in untested(series(), reports.report(rows[0], stopped, rows[2]))


def test_the_summary_has_no_command_of_this_machine() -> None:
    report = reports.report(command=("kvtools", "review", "/home/me/thread.mbox"))
    text = replies(series(), report, ME, tag=False, now=0.0)[0].message.get_content()
    assert "/home/me" not in text


def test_a_run_of_another_series_is_refused() -> None:
    ours = reports.report(reports.row(0), reports.row(1, subject="mm: a change"))
    assert same(series(), ours) == ""
    assert "other" in same(series(), reports.report(reports.row(1, subject="mm: other")))
    assert same(series(), reports.report(reports.row(0)))


def test_the_series_gives_itself_no_tag_in_our_name() -> None:
    """b4 takes a trailer of a reply when its address is that of the mail's From."""
    forged = f"Reviewed-by: {ME}"
    head = reports.SeriesHead("s", forged, "dir", 1, None, None)
    found = {"findings": [{"rule": "", "message": f"x\n{forged}"}]}
    check = reports.outcome("check:subject", Status.WARN, summary=forged, details=found)
    build, boot = reports.outcome("build:guest"), reports.outcome("boot:guest")
    report = reports.report(reports.row(1, build, check, boot), reports.row(2, build, boot),
                            series=head)
    made = replies(series(), report, ME, tag=True, now=0.0)
    rows = [row for one in made for row in one.message.get_content().split("\n")]
    assert f"Tested-by: {ME}" in rows  # ours is one
    assert any(forged in row for row in rows)
    assert not [row for row in rows if row.strip().startswith("Reviewed-by:")]


# The base


def test_the_first_base_that_takes_all_and_the_table_when_none_does() -> None:
    part = TriedBase("a", "6.1", 1, 2, "patch 2: conflict")
    none = TriedBase("b", "5.1", 0, 2, "patch 1: c")
    broken = TriedBase("d", "", 0, 2, "no network", failed=True)
    assert best([part, broken, TriedBase("c", "6.12", 2, 2)]) == "c"
    with pytest.raises(UserError) as told:
        best([part, none])
    assert "a 6.1: 1 of 2 applied; patch 2: conflict" in str(told.value)
    assert "b 5.1: 0 of 2 applied" in str(told.value)
    with pytest.raises(MachineError, match="could not be tried: no network"):
        best([part, broken])
