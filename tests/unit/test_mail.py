# SPDX-License-Identifier: GPL-2.0-or-later
"""Patch mails and mailboxes."""

from __future__ import annotations

import base64
import quopri
from pathlib import Path

import pytest

from kvtools import mail
from kvtools.model import Person

DATA = Path(__file__).parents[1] / "data" / "series"

DIFF = b"""---
 mm/page.c | 2 +-
 1 file changed, 1 insertion(+), 1 deletion(-)

diff --git a/mm/page.c b/mm/page.c
--- a/mm/page.c
+++ b/mm/page.c
@@ -1,2 +1,2 @@
-line 1
+LINE 1
 line 2
--\x20
2.39.5
"""
HEAD = b"""From: Anne Author <anne@example.org>
Date: Wed, 23 May 2018 17:20:00 +0200
Subject: [PATCH] mm: title
"""


def body_of(head: bytes, body: bytes) -> mail.Mail:
    return mail.parse(head + b"\n" + body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[PATCH] mm: a", mail.Subject("mm: a", patch=True)),
        ("[PATCH 1/2] mm: a", mail.Subject("mm: a", True, False, 1, 2, None)),
        ("[PATCH v3 02/10 mm] mm: a", mail.Subject("mm: a", True, False, 2, 10, 3)),
        ("[PATCH mm-unstable v12 1/9] a", mail.Subject("a", True, False, 1, 9, 12)),
        ("[RFC PATCH 0/3] a", mail.Subject("a", True, False, 0, 3, None)),
        ("[RFC 1/3] a", mail.Subject("a", True, False, 1, 3, None)),
        ("[PATCHv2 1/3] a", mail.Subject("a", True, False, 1, 3, 2)),
        ("Re: [PATCH 1/2] mm: a", mail.Subject("mm: a", True, True, 1, 2, None)),
        ("RE: Re: AW: a", mail.Subject("a", reply=True)),
        ("[PATCH] [media] foo: x", mail.Subject("foo: x", patch=True)),
        ("mm:   spaced\tout", mail.Subject("mm: spaced out")),
        ("mm: array[1/2] stays", mail.Subject("mm: array[1/2] stays")),
        ("Revert \"a\"", mail.Subject("Revert \"a\"")),
        ("[PATCH 5.10 005/120] a", mail.Subject("a", True, False, 5, 120, None)),
    ],
)
def test_subject(text: str, expected: mail.Subject) -> None:
    assert mail.parse_subject(text) == expected


def test_plain_mail() -> None:
    read = body_of(HEAD, b"Why it is so.\n\nSigned-off-by: Anne <anne@example.org>\n" + DIFF)
    assert read.author == Person("Anne Author", "anne@example.org")
    assert read.date == "Wed, 23 May 2018 17:20:00 +0200"
    assert read.message == "Why it is so.\n\nSigned-off-by: Anne <anne@example.org>"
    assert read.diff == DIFF
    assert read.raw.endswith(DIFF) and read.problem == ""


def test_in_body_from_is_the_author() -> None:
    body = "From: Jürgen Groß <jg@example.org>\nSubject: [PATCH] mm: other\n title\n\nWhy.\n"
    read = body_of(HEAD, body.encode() + DIFF)
    assert read.author == Person("Jürgen Groß", "jg@example.org")
    assert read.subject.title == "mm: other title"
    assert read.message == "Why."


def test_a_from_further_down_is_prose() -> None:
    read = body_of(HEAD, b"Why.\nFrom: nobody <no@example.org>\n" + DIFF)
    assert read.author == Person("Anne Author", "anne@example.org")
    assert "From: nobody" in read.message


@pytest.mark.parametrize(
    "name",
    [
        "Jürgen Groß".encode(),
        "Jürgen Groß".encode("latin-1"),
        b"=?UTF-8?q?J=C3=BCrgen=20Gro=C3=9F?=",
        b"=?iso-8859-1?Q?J=FCrgen_Gro=DF?=",
        b"=?UTF-8?B?" + base64.b64encode("Jürgen Groß".encode()) + b"?=",
        b"=?UTF-8?B?SsM=?=\n =?UTF-8?B?vHJnZW4gR3Jvw58=?=",  # u umlaut split between words
        b'"=?UTF-8?q?J=C3=BCrgen=20Gro=C3=9F?="',
    ],
)
def test_names_in_every_encoding(name: bytes) -> None:
    read = mail.parse(b"From: " + name + b" <jg@example.org>\nSubject: [PATCH] x\n\nWhy.\n" + DIFF)
    assert read.author == Person("Jürgen Groß", "jg@example.org")


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        (b"quoted-printable", quopri.encodestring),
        (b"base64", base64.encodebytes),
        (b"8bit", bytes),
    ],
)
def test_transfer_encodings(encoding: bytes, encode: object) -> None:
    body = "Größe.\n".encode() + DIFF
    head = HEAD + b"Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: " + encoding
    assert callable(encode)
    read = body_of(head + b"\n", encode(body))
    assert read.message == "Größe." and read.diff == DIFF


def test_latin1_without_a_charset() -> None:
    body = DIFF.replace(b"LINE 1", b"L\xefNE 1")
    read = body_of(HEAD, b"Gr\xf6\xdfe.\n" + body)
    assert read.message == "Größe."
    assert read.diff == body
    declared = HEAD + b"Content-Type: text/plain; charset=iso-8859-15\n"
    assert body_of(declared, b"\xa4 10\n" + body).message == "€ 10"


def test_mail_that_cannot_carry_a_patch() -> None:
    html = HEAD + b"Content-Type: text/html; charset=utf-8\n"
    assert body_of(html, b"<pre>diff</pre>\n").problem == "is HTML mail"
    flowed = HEAD + b"Content-Type: text/plain; charset=utf-8; format=flowed\n"
    assert "format=flowed" in body_of(flowed, DIFF).problem
    both = HEAD + b'Content-Type: multipart/alternative; boundary="x"\n'
    html = b"--x\nContent-Type: text/html\n\n<b>\n--x--\n"
    body = b"--x\nContent-Type: text/plain\n\n" + DIFF + html
    assert body_of(both, body).problem == "is HTML mail"


def test_attached_patch() -> None:
    head = HEAD + b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="x"\n'
    body = (
        b"--x\nContent-Type: text/plain; charset=UTF-8\n\nWhy.\n"
        b"--x\nContent-Type: text/x-patch; name=a.patch\n\n" + DIFF + b"--x--\n"
    )
    read = body_of(head, body)
    assert read.message == "Why." and b"+LINE 1" in read.diff and read.problem == ""


def test_trailers() -> None:
    text = (
        "Why.\n\nprerequisite-patch-id: abc\nprerequisite-change-id: one:v2\n"
        "base-commit: 0123456789\nchange-id: 2018-x\nbase-commit: 0123456789\n> base-commit: fff\n"
    )
    assert mail.trailers(text) == (
        ("prerequisite-patch-id", "abc"),
        ("prerequisite-change-id", "one:v2"),
        ("base-commit", "0123456789"),
        ("change-id", "2018-x"),
    )


def test_references_and_id() -> None:
    head = HEAD + b"Message-Id: <a@b>\nReferences: <r1@x>\n <r2@x>\nIn-Reply-To: <r3@x>\n"
    read = body_of(head, DIFF)
    assert read.message_id == "a@b"
    assert read.references == ("r1@x", "r2@x", "r3@x")


def test_empty_and_odd_input_never_raises() -> None:
    for raw in (b"", b"\n", b"\xff\xfe\x00", b"From \n", b"Subject:", b"x" * 1000, b"diff --git"):
        assert mail.parse(raw).raw == raw
    assert mail.split_mbox(b"") == [] and mail.split_mbox(b"\n\n") == []


def test_git_mailbox_is_not_unquoted() -> None:
    one = b"From " + b"a" * 40 + b" Mon Sep 17 00:00:00 2001\n" + HEAD
    body = b"\n>From here.\nFrom there.\nFrom b@c Wed May 23 17:50:00 2018\n" + DIFF
    mails = mail.split_mbox(one + body + b"\n" + one + b"\nTwo.\n" + DIFF)
    assert mails[0] == one + body + b"\n"
    assert mails[1] == one + b"\nTwo.\n" + DIFF
    assert mail.split_mbox(HEAD + body) == [HEAD + body]


def test_mailboxes_of_archives() -> None:
    lore = mail.split_mbox((DATA / "thread.mbox").read_bytes())
    assert len(lore) == 10
    assert b"\nFrom here on, it is loud." in lore[0]
    assert b"\n> From here on, it is loud." in lore[2] and b"\nFrom my seat" in lore[2]
    mailman = mail.split_mbox((DATA / "mailman.mbox").read_bytes())
    assert len(mailman) == 4
    assert b"\nFrom here on, it is loud." in mailman[1]
    assert [mail.parse(raw).subject.number for raw in mailman] == [0, 1, 2, 3]
    b4 = mail.split_mbox((DATA / "b4.mbx").read_bytes())
    assert [mail.parse(raw).author for raw in b4] == [
        Person("Änne Author", "anne@example.org"),
        Person("Jürgen Groß", "jg@example.org"),
        Person("Änne Author", "anne@example.org"),
    ]
