# SPDX-License-Identifier: GPL-2.0-or-later
"""The layouts that pahole prints, and what changed between two of them; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BEGIN = re.compile(r"(?P<kind>struct|union|class) (?P<name>\w+) \{$")
_MEMBER = re.compile(r"\t+(?P<text>\S.*?);\s*/\*\s+(?P<offset>\d+)(?::\s*(?P<bit>\d+))?\s+"
                     r"(?P<size>\d+) \*/$")
_CLOSES = re.compile(r"\t+\}(?P<text>[^;]*);\s*/\*\s+(?P<offset>\d+)(?::\s*(?P<bit>\d+))?\s+"
                     r"(?P<size>\d+) \*/$")
_OF_UNION = re.compile(r"\t+(?P<text>\S.*?);\s*/\*\s+(?P<size>\d+) \*/$")
_SIZE = re.compile(r"\t/\* size: (?P<size>\d+), ")
_HOLES = re.compile(r"\t/\* sum members: \d+,(?: sum bitfield members: [^*]*?)? "
                    r"holes: (?P<holes>\d+), sum holes: (?P<sum>\d+)")
_NAME = re.compile(r"\(\*\s*(?P<pointer>\w+)\)|(?P<last>\w+)(?:\s*\[[^\]]*\])*"
                   r"(?:\s*__attribute__.*|\s*:\s*\d+)?\s*$")


@dataclass(frozen=True, slots=True)
class Member:
    """A member, nested ones too; ``offset`` and ``size`` in bytes, ``bit`` in bits.

    ``name`` is empty for an anonymous structure or union; what is in it counts for itself.
    """

    name: str
    type: str
    offset: int
    size: int
    bit: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """A structure or union; ``size`` and ``hole`` (bytes lost in ``holes``) in bytes."""

    kind: str
    name: str
    size: int
    members: tuple[Member, ...]
    holes: int = 0
    hole: int = 0


def parse(output: str) -> dict[str, Layout]:
    """Every layout of the outermost level, by ``struct NAME``."""
    found: dict[str, Layout] = {}
    head: re.Match[str] | None = None
    members: list[Member] = []
    size, holes = 0, (0, 0)
    for line in output.splitlines():
        if match := _BEGIN.match(line):
            head, members, size, holes = match, [], 0, (0, 0)
        elif line.startswith("}") and head:
            name = f"{head['kind']} {head['name']}"
            # Of a union pahole does not print the size.
            size = size or max((m.offset + m.size for m in members), default=0)
            found[name] = Layout(head["kind"], head["name"], size, tuple(members), *holes)
            head = None
        elif match := _SIZE.match(line):
            size = int(match["size"])
        elif match := _HOLES.match(line):
            holes = (int(match["holes"]), int(match["sum"]))
        elif match := _CLOSES.match(line) or _MEMBER.match(line):
            members.append(_member(match, int(match["offset"]), int(match["bit"] or 0)))
        elif match := _OF_UNION.match(line):
            members.append(_member(match, 0, 0))
    return found


def _member(match: re.Match[str], offset: int, bit: int) -> Member:
    text = " ".join(match["text"].split())
    named = _NAME.search(text)
    name = (named["pointer"] or named["last"]) if named else ""
    type_ = text if named is None else (text[:named.start()] + text[named.end():]).strip()
    return Member(name, "" if match.re is _CLOSES else type_, offset, int(match["size"]), bit)


def moved(old: Layout, new: Layout) -> tuple[Member, ...]:
    """Named members of ``old`` that are gone, elsewhere or of another size in ``new``."""
    places = {(m.name, m.offset, m.bit, m.size) for m in new.members}
    return tuple(m for m in old.members
                 if m.name and (m.name, m.offset, m.bit, m.size) not in places)
