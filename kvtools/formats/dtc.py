# SPDX-License-Identifier: GPL-2.0-or-later
"""The messages of dtc and of yamllint (``--format parsable``); pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DTC = re.compile(r"(?P<file>[^\s:][^:]*):(?P<line>\d+)(?:\.\d+(?:-\d+(?:\.\d+)?)?)?: "
                  r"(?P<severity>Warning|ERROR|Error)(?: \((?P<check>\w+)\))?:? (?P<text>.*)$")
_SYNTAX = re.compile(r"Error: (?P<file>[^\s:][^:]*):(?P<line>\d+)\.\d+(?:-\d+(?:\.\d+)?)? "
                     r"(?P<text>.*)$")
_YAML = re.compile(r"(?P<file>[^\s:][^:]*):(?P<line>\d+):\d+: \[(?P<severity>warning|error)\] "
                   r"(?P<text>.*?)(?: \((?P<check>[\w-]+)\))?$")


@dataclass(frozen=True, slots=True)
class Message:
    """``check`` is the rule's name, ``syntax`` when it has none."""

    file: str
    line: int
    severity: str
    check: str
    text: str


def parse(output: str) -> tuple[Message, ...]:
    """What dtc complains of, in order."""
    found = []
    for line in output.splitlines():
        if match := _SYNTAX.match(line):
            found.append(Message(match["file"], int(match["line"]), "error", "syntax",
                                 match["text"]))
        elif match := _DTC.match(line):
            found.append(_message(match))
    return tuple(found)


def parse_yamllint(output: str) -> tuple[Message, ...]:
    """What yamllint complains of, in order."""
    return tuple(_message(match) for line in output.splitlines() if (match := _YAML.match(line)))


def _message(match: re.Match[str]) -> Message:
    return Message(match["file"] or "", int(match["line"] or 0), match["severity"].lower(),
                   match["check"] or "syntax", match["text"])
