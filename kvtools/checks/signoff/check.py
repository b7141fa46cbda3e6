# SPDX-License-Identifier: GPL-2.0-or-later
"""The chain of Signed-off-by (Documentation/process/submitting-patches.rst, chapter 11)."""

from __future__ import annotations

from collections.abc import Iterator

from kvtools.checks.message import Trailer, trailers
from kvtools.checks.program import Finding, Request, run
from kvtools.mail import Mail


def check(request: Request) -> Iterator[Finding]:
    yield from signoffs(request.mail)


def signoffs(mail: Mail) -> Iterator[Finding]:
    found = trailers(mail.message)
    signed = [t for t in found if t.name == "Signed-off-by"]
    if not signed:
        yield Finding("NO_SIGNOFF", "there is no Signed-off-by")
        return
    for one in signed:
        if "@" not in one.address:
            yield Finding("BAD_ADDRESS", f"'{one.key}: {one.value}' names no address")
    yield from _author(mail, signed)
    yield from _codevelopers(found)
    seen: set[str] = set()
    for one in signed:
        if one.value.casefold() in seen:
            yield Finding("TWICE", f"'{one.key}: {one.value}' is there twice")
        seen.add(one.value.casefold())


def _author(mail: Mail, signed: list[Trailer]) -> Iterator[Finding]:
    if mail.author is None:
        return
    author = mail.author
    addresses = {one.address for one in signed}
    names = {one.person.casefold() for one in signed}
    if author.email.lower() in addresses:
        if not any(one.address == author.email.lower()
                   and one.person.casefold() == author.name.casefold() for one in signed):
            yield Finding("NAME_DIFFERS", f"{author} signs off under another name")
        return
    if author.name.casefold() in names:
        # People post from one address and sign with that of their employer.
        yield Finding("ADDRESS_DIFFERS", f"{author} signs off with another address than From:")
        return
    yield Finding("AUTHOR_SIGNOFF", f"the author, {author}, has not signed it off")


def _codevelopers(found: tuple[Trailer, ...]) -> Iterator[Finding]:
    for at, one in enumerate(found):
        if one.name != "Co-developed-by":
            continue
        after = found[at + 1] if at + 1 < len(found) else None
        if after is None or after.name != "Signed-off-by" or after.address != one.address:
            yield Finding("CODEVELOPER_SIGNOFF", f"'{one.key}: {one.value}' is not followed by the "
                          "Signed-off-by of the same person")


if __name__ == "__main__":
    run(check)
