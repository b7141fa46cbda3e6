# SPDX-License-Identifier: GPL-2.0-or-later
"""The messages of sparse, and of smatch, which is built on it; pure.

``FILE:LINE:COLUMN: warning: TEXT``, and of a type that does not fit two more lines of the same
place that say what was expected and what is there. smatch: ``FILE:LINE FUNCTION() warn: TEXT``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_MESSAGE = re.compile(r"(?P<file>[^\s:][^:]*):(?P<line>\d+):(?P<column>\d+): "
                      r"(?P<severity>warning|error): (?P<text>.*)$")
_MORE = re.compile(r"(?P<file>[^\s:][^:]*):(?P<line>\d+):\d+:    ?\s*(?P<text>\S.*)$")
_NOTE = re.compile(r"[^\s:][^:]*(?::\d+:\d+)?: note: in included file")
_SMATCH = re.compile(r"(?P<file>[^\s:][^:]*):(?P<line>\d+) (?P<function>\w+)\(\) "
                     r"(?P<severity>error|warn|warning): (?P<text>.*)$")
# What sparse knows of a variable by now, in brackets, is no part of its type.
_KNOWLEDGE = re.compile(r"\[(?:assigned|addressable|toplevel|tainted|unsigned|signed|usertype|"
                        r"explicitly-signed|initialized|register|modified|accessed)\] ?")


@dataclass(frozen=True, slots=True)
class Message:
    """One message; ``file`` as it was printed, ``function`` where the program tells it.

    ``text`` has the expected and the found type behind it, without what moves.
    """

    file: str
    line: int
    severity: str
    text: str
    function: str = ""
    lines: tuple[str, ...] = ()


def parse(output: str) -> tuple[Message, ...]:
    """Every message in the output, in order."""
    found: list[Message] = []
    for line in output.splitlines():
        if match := _MESSAGE.match(line):
            found.append(Message(match["file"], int(match["line"]), match["severity"],
                                 match["text"], lines=(line,)))
        elif _NOTE.match(line):
            continue
        elif found and (match := _MORE.match(line)) and _same(found[-1], match):
            last = found[-1]
            type_ = " ".join(_KNOWLEDGE.sub("", match["text"]).split())
            found[-1] = replace(last, text=f"{last.text}; {type_}", lines=(*last.lines, line))
    return tuple(found)


def _same(message: Message, match: re.Match[str]) -> bool:
    return message.file == match["file"] and message.line == int(match["line"])


def parse_smatch(output: str) -> tuple[Message, ...]:
    """What smatch itself has to say; the messages of sparse among it are left out."""
    return tuple(Message(m["file"], int(m["line"]), m["severity"], m["text"], m["function"],
                         (line,))
                 for line in output.splitlines() if (m := _SMATCH.match(line)))
