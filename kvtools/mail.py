# SPDX-License-Identifier: GPL-2.0-or-later
"""Patch mails (RFC 2822) and mailboxes as ``git mailinfo`` reads them. Pure.

The raw bytes are what is applied; what is decoded here only names, orders and explains.
"""

from __future__ import annotations

import base64
import binascii
import email
import email.utils
import quopri
import re
from dataclasses import dataclass, replace
from email.message import Message

from kvtools.model import Person

_GIT_FROM = re.compile(
    rb"From (?:[0-9a-f]{40}|[0-9a-f]{64}|git@z) \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\r?$"
)
_ANY_FROM = re.compile(rb"From .*\d?\d:\d\d(?::\d\d)?\b.*\b\d{4}\b")
_HEADER = re.compile(rb"[!-9;-~]+:(?: |\t|\r?$)")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_WORDS = re.compile(r"=\?[^?\s]+\?[bBqQ]\?[^?]*\?=(?:\s+=\?[^?\s]+\?[bBqQ]\?[^?]*\?=)*")
_WORD = re.compile(r"=\?([^?\s]+)\?([bBqQ])\?([^?]*)\?=")
_REPLY = re.compile(r"\s*(?:re|fwd?|aw|sv|antw|wg)\s*(?:\[\d+\])?\s*:\s*", re.IGNORECASE)
_BRACKET = re.compile(r"\s*\[([^\]]*)\]\s*")
_IN_BODY = re.compile(r"(From|Subject|Date):\s*(.*)", re.IGNORECASE)
_TRAILER = re.compile(
    r"^(base-commit|change-id|prerequisite-(?:change-id|patch-id|message-id)):[ \t]*(\S.*?)\s*$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject taken apart: ``[PATCH v3 02/10 mm] title``.

    ``number`` and ``total`` are None when it is not numbered, ``revision`` is None when
    it does not say one (which means 1).
    """

    title: str
    patch: bool = False
    reply: bool = False
    number: int | None = None
    total: int | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail. ``author`` is the in-body ``From:`` where there is one, None without any.

    ``message`` is the commit message below the subject, ``text`` the whole body, ``diff``
    the body's bytes from the diffstat on (transfer encoding undone, charset untouched).
    ``problem`` says why the mail cannot carry a patch (HTML, format=flowed), else "".
    """

    raw: bytes
    subject: Subject
    author: Person | None
    date: str
    message_id: str
    references: tuple[str, ...]
    message: str
    text: str
    diff: bytes
    problem: str = ""


def split_mbox(data: bytes) -> list[bytes]:
    """The messages of a mailbox, each with its ``From `` line; data without one is one mail.

    git's and b4's ``am`` files are not quoted; public-inbox writes mboxrd, others (mailman,
    mutt) mboxo: their ``>From `` lines are unquoted.
    """
    first = data.partition(b"\n")[0]
    if not first.startswith(b"From "):
        return [data] if data.strip() else []
    by_git = _GIT_FROM.match(first) is not None
    lines = data.split(b"\n")
    starts = [0]
    for at in range(1, len(lines) - 1):
        if not lines[at].startswith(b"From "):
            continue
        matches = _GIT_FROM.match(lines[at]) if by_git else _ANY_FROM.match(lines[at])
        if matches and not lines[at - 1].strip() and _HEADER.match(lines[at + 1]):
            starts.append(at)
    ends = [*starts[1:], len(lines)]
    mails = []
    for begin, end in zip(starts, ends, strict=True):
        raw = b"\n".join(lines[begin:end]) + (b"\n" if end < len(lines) else b"")
        mails.append(raw if by_git else _unquote(raw))
    return mails


def _unquote(raw: bytes) -> bytes:
    head, gap, body = raw.partition(b"\n\n")
    return head + gap + _QUOTED_FROM.sub(rb"\1", body)


def parse(raw: bytes) -> Mail:
    """Read one mail, with or without its mbox line."""
    body = raw.partition(b"\n")[2] if raw.startswith((b"From ", b">From ")) else raw
    message = email.message_from_bytes(body)
    headers = _headers(message)
    threads = headers.get("references", "") + headers.get("in-reply-to", "")
    content, problem = _content(message)
    mail = Mail(
        raw=raw,
        subject=parse_subject(headers.get("subject", "")),
        author=_person(headers.get("from", "")),
        date=headers.get("date", ""),
        message_id=headers.get("message-id", "").strip("<> \t"),
        references=tuple(re.findall(r"<([^<>\s]+)>", threads)),
        message="",
        text="".join(text for text, _ in content),
        diff=b"",
        problem=problem,
    )
    return _with_body(mail, content)


def parse_subject(text: str) -> Subject:
    """Take a decoded subject apart; like git, drop every leading ``[...]``."""
    reply = False
    while match := _REPLY.match(text):
        reply, text = True, text[match.end() :]
    tags: list[str] = []
    while match := _BRACKET.match(text):
        tags.append(match[1])
        text = text[match.end() :]
    words = " ".join(tags)
    counted = re.search(r"(?<![\w/])(\d{1,4})/(\d{1,4})(?![\w/])", words)
    revision = re.search(r"\b[vV](\d{1,4})\b", words) or re.search(r"PATCHv(\d{1,4})\b", words)
    return Subject(
        title=" ".join(text.split()),
        patch=bool(re.search(r"PATCH|\bRFC\b", words)),
        reply=reply,
        number=int(counted[1]) if counted else None,
        total=int(counted[2]) if counted else None,
        revision=int(revision[1]) if revision else None,
    )


def trailers(text: str) -> tuple[tuple[str, str], ...]:
    """(key, value) of git format-patch's and b4's trailers, in order, without repetition."""
    return tuple(dict.fromkeys((match[1], match[2]) for match in _TRAILER.finditer(text)))


def _headers(message: Message) -> dict[str, str]:
    """Decoded headers by lower-case name, the first of each."""
    found: dict[str, str] = {}
    for name, value in message.raw_items():
        found.setdefault(name.lower(), decode_header(str(value)))
    return found


def decode_header(value: str) -> str:
    """A header's value with its encoded words read; it may have line breaks that they hid."""
    raw = value.encode("utf-8", "surrogateescape")
    text = re.sub(r"\r?\n[ \t]+", " ", _decode(raw, None))
    return _WORDS.sub(_encoded_words, text).strip()


def _encoded_words(match: re.Match[str]) -> str:
    parts: list[tuple[str, bytes]] = []
    for charset, kind, payload in _WORD.findall(match[0]):
        data = _word_bytes(kind, payload)
        if parts and parts[-1][0] == charset.lower():
            # A character may be split between two words.
            parts[-1] = (parts[-1][0], parts[-1][1] + data)
        else:
            parts.append((charset.lower(), data))
    return "".join(_decode(data, charset) for charset, data in parts)


def _word_bytes(kind: str, payload: str) -> bytes:
    data = payload.encode("utf-8")
    if kind in "qQ":
        return quopri.decodestring(data, header=True)
    try:
        return base64.b64decode(data + b"=" * (-len(data) % 4))
    except binascii.Error:
        return data


def _decode(data: bytes, charset: str | None) -> str:
    """``data`` as text: by its charset, else UTF-8, else latin-1, which cannot fail."""
    for name in (charset, "utf-8"):
        try:
            if name:
                return data.decode(name)
        except (ValueError, LookupError):  # a charset may be any text
            continue
    return data.decode("latin-1")


def _content(message: Message) -> tuple[list[tuple[str, bytes]], str]:
    """(decoded text, bytes) of the text parts, and what makes them unfit for a patch."""
    parts: list[tuple[str, bytes]] = []
    problem = ""
    for part in message.walk():
        if part.is_multipart():
            continue
        kind = part.get_content_type()
        if kind == "text/html":
            problem = "is HTML mail"
        elif kind.startswith("text/"):
            payload = part.get_payload(decode=True)
            data = payload if isinstance(payload, bytes) else b""
            if message.is_multipart() and not data.endswith(b"\n"):
                data += b"\n"  # it belongs to the boundary, and the parts are joined
            charset = part.get_content_charset()
            parts.append((_decode(data, charset), data))
            if str(part.get_param("format", "")).lower() == "flowed":
                problem = problem or "is format=flowed mail, which rewraps lines"
    return parts, problem


def _person(value: str) -> Person | None:
    name, address = email.utils.parseaddr(value)
    if not address and not name:
        return None
    return Person(name or address.partition("@")[0], address)


def _with_body(mail: Mail, content: list[tuple[str, bytes]]) -> Mail:
    """``mail`` with its in-body headers obeyed and its message and diff told apart."""
    data = b"".join(part for _, part in content)
    rows = mail.text.split("\n")
    # A text and its bytes have the same newlines in every charset that git takes.
    raw_rows = data.split(b"\n")
    start, given = _in_body_headers(rows)
    end = next((at for at in range(start, len(rows)) if _breaks(rows[at])), len(rows))
    subject = mail.subject
    if "subject" in given:
        title = parse_subject(given["subject"]).title
        subject = replace(subject, title=title)
    return replace(
        mail,
        subject=subject,
        author=_person(given["from"]) if "from" in given else mail.author,
        date=given.get("date", mail.date),
        message="\n".join(rows[start:end]).strip("\n"),
        diff=b"\n".join(raw_rows[end:]),
    )


def _in_body_headers(rows: list[str]) -> tuple[int, dict[str, str]]:
    """Where the message begins, and the ``From:``, ``Subject:`` and ``Date:`` above it."""
    at = 0
    while at < len(rows) and not rows[at].strip():
        at += 1
    given: dict[str, str] = {}
    while at < len(rows) and (match := _IN_BODY.match(rows[at])):
        value = match[2]
        while at + 1 < len(rows) and rows[at + 1].startswith((" ", "\t")):
            at += 1
            value += " " + rows[at].strip()
        given.setdefault(match[1].lower(), _WORDS.sub(_encoded_words, value).strip())
        at += 1
    return at, given


def _breaks(row: str) -> bool:
    """git mailinfo's patchbreak(): where the commit message ends."""
    if row.startswith(("diff -", "Index: ")):
        return True
    if not row.startswith("---"):
        return False
    rest = row[3:]
    return not rest.strip() or (rest[0] == " " and len(rest) > 1 and not rest[1].isspace())
