# SPDX-License-Identifier: GPL-2.0-or-later
"""What Coccinelle prints: reports of a semantic patch, and its grep query; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_REPORT = re.compile(r"(?P<file>[^\s:][^:]*):(?P<line>\d+):(?P<from>\d+)(?:-(?P<to>\d+))?: "
                     r"(?:(?P<severity>ERROR|WARNING)[:,]? )?(?P<text>.*)$")
_LINES = re.compile(r"\blines? \d+(?:(?:, ?| and |,)\d+)*")
_QUERY = "Grep query"
_OPTIONS = re.compile(r"^//+\s*Options:[ \t]*(?P<options>.*)$", re.MULTILINE)
_CONFIDENCE = re.compile(r"^//+\s*Confidence:[ \t]*(?P<level>\w+)", re.MULTILINE)
_REQUIRES = re.compile(r"^//+\s*Requires:[ \t]*(?P<version>[\d.]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Report:
    """One place that a semantic patch reports; ``severity`` is error, warning or empty."""

    file: str
    line: int
    severity: str
    text: str


def parse(output: str) -> tuple[Report, ...]:
    """The reports of ``spatch -D report``, in order."""
    return tuple(Report(m["file"], int(m["line"]), (m["severity"] or "").lower(), m["text"])
                 for line in output.splitlines() if (m := _REPORT.match(line)))


def without_lines(text: str) -> str:
    """A report without the numbers of other lines in it."""
    return _LINES.sub("another line", text)


@dataclass(frozen=True, slots=True)
class Script:
    """What a semantic patch says of itself: options, confidence, the spatch it needs.

    ``reports``: it has a report mode. ``ocaml``: parts of it are compiled by OCaml.
    """

    options: tuple[str, ...]
    confidence: str
    requires: str
    reports: bool
    ocaml: bool = False


def script(text: str) -> Script:
    """Read the head of a semantic patch of the kernel (scripts/coccinelle)."""
    options, confidence = _OPTIONS.search(text), _CONFIDENCE.search(text)
    requires = _REQUIRES.search(text)
    return Script(tuple(options["options"].split()) if options else (),
                  confidence["level"].lower() if confidence else "",
                  requires["version"] if requires else "",
                  re.search(r"^virtual\b.*\breport\b", text, re.MULTILINE) is not None,
                  re.search(r"^@\s*\w+:ocaml\b", text, re.MULTILINE) is not None)


def query(output: str) -> tuple[frozenset[str], ...]:
    """The words a file needs to have by ``spatch --parse-cocci``: one of each set.

    Empty when there is no query, that is, when any file may match.
    """
    lines = output.splitlines()
    if _QUERY not in lines:
        return ()
    text = lines[lines.index(_QUERY) + 1] if lines.index(_QUERY) + 1 < len(lines) else ""
    parts = (part.strip().strip("()") for part in text.split("&&"))
    return tuple(frozenset(word.strip(" ()") for word in part.split("||"))
                 for part in parts if part.strip())


def worth_trying(needed: tuple[frozenset[str], ...], words: frozenset[str]) -> bool:
    """Whether a file with these words can match."""
    return all(not words.isdisjoint(alternatives) for alternatives in needed)
