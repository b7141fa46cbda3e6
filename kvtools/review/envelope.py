# SPDX-License-Identifier: GPL-2.0-or-later
"""A mail that answers another: who it is to, and how it threads (RFC 5322, 3.6.4). Pure.

Names and subjects come from the list: all go through :func:`printable` and are quoted as
addresses, so that none brings a header or a recipient with it.
"""

from __future__ import annotations

import email
import email.policy
import hashlib
import re
from email.message import EmailMessage, Message
from email.utils import formataddr, formatdate, getaddresses

from kvtools import mail
from kvtools.model import Person
from kvtools.report.printable import printable

LINE = 998
"""The longest line of a mail, bytes (RFC 5322, 2.1.1)."""
IDENTITIES = ("message-id", "in-reply-to", "references")

_ID = re.compile(r"<[^<>\s]+>")


class _Policy(email.policy.EmailPolicy):
    """The email package makes an encoded word of an id that is too long for a line, as b4's
    often are, and no mail program finds the parent by that: ids are folded only between them."""

    def fold(self, name: str, value: str) -> str:
        if name.lower() not in IDENTITIES:
            return str(super().fold(name, value))
        return f"{name}: " + f"{self.linesep} ".join(str(value).split()) + self.linesep

    def fold_binary(self, name: str, value: str) -> bytes:
        return self.fold(name, value).encode("utf-8" if self.utf8 else "ascii", "replace")


POLICY = _Policy()


def answer(raw: bytes, body: str, reviewer: Person, *, number: int,
           now: float) -> tuple[EmailMessage, bool]:
    """A reply to the mail ``raw``, and whether it threads: not without a Message-ID there.

    The same ``body`` for the same mail has the same Message-ID; ``now`` is seconds since 1970.
    """
    # Not with email.policy.default, which raises for an encoded word with a line break in it.
    original = email.message_from_bytes(_unboxed(raw))
    made = EmailMessage(policy=POLICY)
    made["From"] = _address(reviewer.name, reviewer.email)
    author = mail.parse(raw).author
    known = {reviewer.email.lower(), author.email.lower() if author else ""}
    to = _address(author.name, author.email) if author else ""
    others = _others(original, known)
    if not to and others:
        to = others.pop(0)
    made["To"] = to or _address(reviewer.name, reviewer.email)
    if others:
        made["Cc"] = ", ".join(others)
    subject = line(mail.decode_header(str(original.get("Subject", ""))))
    made["Subject"] = subject if re.match("re:", subject, re.IGNORECASE) else f"Re: {subject}"
    made["Date"] = formatdate(now, localtime=False)
    identity = _identity(original, "Message-ID")
    digest = hashlib.sha256(f"{identity}{number}{body}".encode()).hexdigest()[:24]
    made["Message-ID"] = f"<kvtools-{digest}@{reviewer.email.rpartition('@')[2]}>"
    if identity:
        made["In-Reply-To"] = identity
        made["References"] = " ".join([*_ancestors(original, identity), identity])
    long = any(len(row.encode()) > LINE for row in body.split("\n"))
    made.set_content(body, cte="quoted-printable" if long else "8bit")
    return made, bool(identity)


def line(text: str) -> str:
    """``text`` as one line without control characters."""
    return printable(" ".join(text.split()))


def _unboxed(raw: bytes) -> bytes:
    return raw.partition(b"\n")[2] if raw.startswith((b"From ", b">From ")) else raw


def _identity(original: Message, name: str) -> str:
    found = _ids(" ".join(map(str, original.get_all(name, []))))
    return found[0] if len(found) == 1 else ""


def _ids(text: str) -> list[str]:
    """Those that can be written as they are."""
    return [one for one in _ID.findall(text) if one.isascii() and one.isprintable()
            and len(one) < LINE - len("In-Reply-To: ")]


def _ancestors(original: Message, identity: str) -> list[str]:
    """References of the parent, else its In-Reply-To when that is one mail."""
    known = _ids(" ".join(map(str, original.get_all("References", []))))
    if not known and (parent := _identity(original, "In-Reply-To")):
        known = [parent]
    return [one for one in dict.fromkeys(known) if one != identity]


def _others(original: Message, known: set[str]) -> list[str]:
    """Everybody else; Reply-To stands for From, which a list or a relay may have replaced."""
    senders = original.get_all("Reply-To", []) or original.get_all("From", [])
    fields = [*senders, *original.get_all("To", []), *original.get_all("Cc", [])]
    found: dict[str, str] = {}
    for name, address in getaddresses([" ".join(str(field).split()) for field in fields]):
        # Decoded only now: a comma in an encoded word ends no address.
        if address.lower() not in known and (who := _address(mail.decode_header(name), address)):
            found.setdefault(address.lower(), who)
    return list(found.values())


def _address(name: str, address: str) -> str:
    """``Name <address>``, the name quoted where it has to be; "" when it is no address."""
    if not address.isascii() or not re.fullmatch(r"[^\s<>,;:\"()@\\]+@[^\s<>,;:\"()@\\]+", address):
        return ""
    return formataddr((line(name), address))
