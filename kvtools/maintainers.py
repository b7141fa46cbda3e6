# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``scripts/get_maintainer.pl`` of a kernel tree answers. Pure.

Source: MAINTAINERS of the tree; the roles are those that the script prints with ``--roles``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

COMMAND = ("perl", "scripts/get_maintainer.pl", "--no-git", "--no-git-fallback",
           "--no-rolestats", "--roles", "--email")
"""To be run at the top of the tree, with a patch as its last word; MAINTAINERS alone decides."""

_LINE = re.compile(r"(?P<who>.*?<?(?P<address>[^<>\s]+@[^<>\s]+?)>?)\s+\((?P<role>.*)\)$")
_MAINTAINS = re.compile(r"\b(?:maintainer|supporter)\b")
_LIST = re.compile(r"\blist\b")


@dataclass(frozen=True, slots=True)
class Named:
    """One line of the answer: ``who`` as in a header, ``role`` as the script says it."""

    who: str
    address: str
    role: str

    @property
    def maintains(self) -> bool:
        return bool(_MAINTAINS.search(self.role))

    @property
    def is_list(self) -> bool:
        return bool(_LIST.search(self.role))


def parse(text: str) -> Iterator[Named]:
    """The people and lists in the script's output."""
    for row in text.splitlines():
        match = _LINE.match(row.strip())
        if match:
            yield Named(match["who"].strip(), match["address"].lower(), match["role"])
