# SPDX-License-Identifier: GPL-2.0-or-later
"""A report as text for a mail to a list: no line beyond 72 columns, nothing of this machine.

Plain ASCII where the text is ours; what a patch or a kernel said keeps its characters. Paths
of logs and hints at commands of this machine are left out: nobody else can follow them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from kvtools.model import Outcome, Status
from kvtools.report.layout import by_column, columns_of, heads, short_time
from kvtools.report.model import BASE_ROW, Row, RunReport, row_label
from kvtools.report.printable import abroad, pad, printable, shorten, width
from kvtools.report.text import (
    Problem,
    fault,
    grouped_problems,
    rows,
    series_lines,
    skip_lines,
    verdict_line,
)

COLUMNS = 72
_WRITES = ("--json", "--junit", "--html", "--mail", "--markdown", "--ktap", "--kcidb",
           "--patchwork", "--github", "--gitlab")
EVIDENCE_LINES = 12
ABBREVIATED = {
    Status.PASS: "ok",
    Status.WARN: "warn",
    Status.FAIL: "FAIL",
    Status.ERROR: "err",
    Status.SKIP: "-",
}
_FIRST_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def to_mail(report: RunReport) -> str:
    """The body of a mail, ending in a newline; it is the text and no mail headers."""
    series = report.series
    revision = f" v{series.revision}" if series.revision > 1 else ""
    blocks = [
        wrap(f"{series.title or series.name}{revision}"),
        wrap(verdict_line(report)),
        table(report),
        *(_problem(problem, heads(report.cells)) for problem in grouped_problems(report)),
        [piece for line in skip_lines(report) for piece in wrap(f"skipped: {line}", "  ")],
        [piece for line in series_lines(report) for piece in wrap(line, "  ")],
        list(tried(report)),
        list(tested(report)),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def table(report: RunReport) -> list[str]:
    """A line per patch with a column per cell, its head a letter explained below."""
    cells = columns_of(report.cells)
    if not cells:
        return []
    keys = [_key(number) for number in range(len(cells))]
    room = max(4, max(map(len, keys)))
    per_band = (COLUMNS - 6 - 20) // (room + 1)
    lines: list[str] = []
    for start in range(0, len(cells), per_band):
        band = range(start, min(start + per_band, len(cells)))
        subject = COLUMNS - 6 - len(band) * (room + 1)
        lines += [""] if lines else []
        lines.append(" " * (6 + subject) + "".join(f" {keys[i]:<{room}}" for i in band).rstrip())
        for row in report.rows:
            found = by_column(row.outcomes)
            words = "".join(f" {_word(found.get(cells[i])):<{room}}" for i in band)
            title = shorten(printable(_subject(report, row)), subject, ascii_only=True)
            lines.append(f"{row_label(row.number):>4}  {pad(title, subject)}{words}".rstrip())
    names = heads(cells)
    lines += ["", *(x for key, cell in zip(keys, cells, strict=True)
                    for x in wrap(f"  {key:<{room}} {names[cell]}", " " * (room + 3)))]
    return lines


def _key(number: int) -> str:
    """``a`` to ``z``, then ``aa`` and so on."""
    letters = len(_FIRST_LETTERS)
    before = _key(number // letters - 1) if number >= letters else ""
    return before + _FIRST_LETTERS[number % letters]


def _word(outcome: Outcome | None) -> str:
    return ABBREVIATED[outcome.status] if outcome else ""


def _subject(report: RunReport, row: Row) -> str:
    return row.subject or (report.base.name if row.number == BASE_ROW else "")


def _problem(problem: Problem, names: dict[str, str]) -> list[str]:
    outcome = problem.outcome
    whose = f" ({fault(outcome)})" if fault(outcome) else ""
    subject = f", {problem.subject}" if problem.subject else ""
    lines = wrap(f"{outcome.status}: {problem.where}, {names[outcome.cell]}{whose}{subject}", "  ")
    lines += wrap(f"  {outcome.summary}", "  ")
    for line in outcome.evidence[:EVIDENCE_LINES]:
        lines += wrap(f"  | {abroad(line)}", "  |   ")
    more = len(outcome.evidence) - EVIDENCE_LINES
    lines += [f"  | ... {more} more"] if more > 0 else []
    others = problem.numbers[1:]
    return lines + (wrap(f"  the same on {rows(others)}", "  ") if others else [])


def tried(report: RunReport) -> Iterator[str]:
    """The bases that were tried, and how many of the patches each took; none was, none is told."""
    if not report.tried:
        return
    names = [printable(f"{one.base} {one.version}".rstrip()) for one in report.tried]
    counts = ["-" if one.failed else f"{one.applied} of {one.of}" for one in report.tried]
    # A name that is too long for its column has a line that is wrapped.
    room, wide = min(36, max(map(width, names))), max(map(len, counts))
    yield "Bases tried, and how many of the patches applied:"
    yield ""
    for name, count, one in zip(names, counts, report.tried, strict=True):
        why = f"could not be tried: {one.why}" if one.failed else one.why
        yield from wrap(f"  {pad(name, room)}  {count:>{wide}}  {why}".rstrip(), "      ")


def tested(report: RunReport) -> Iterator[str]:
    """On what, with what and by which command, in lines of a mail."""
    base = report.base
    public = "" if base.public else " (not public)"
    tools = ", ".join(f"{name} {version}" for name, version in report.host.tools.items())
    guests = "no guests" if report.accel.name == "none" else f"{report.accel.name} guests"
    # Of one's own clone the origin is where it lies.
    origin = "" if base.origin.startswith("/") else f" ({base.origin})"
    yield from wrap(f"Tested on {base.name} {base.version}{origin}, commit", "  ")
    yield from wrap(f"  {base.commit}{public}", "  ")
    yield from wrap(
        f"by kvtools {report.host.kvtools} with {guests} on "
        f"{report.host.cores} cores" + (f", {tools}" if tools else "")
        + f", in {short_time(report.seconds)}",
        "  ",
    )
    if report.command:
        yield from wrap(f"  $ {shlex.join(_shared(report.command))}", "      ")


def _shared(command: Sequence[str]) -> list[str]:
    """The command without the files it wrote, and without where things lie on this machine."""
    words, skip = [], False
    for word in command:
        option, given, value = word.partition("=")
        if skip or option in _WRITES:
            skip = option in _WRITES and not given and not skip
            continue
        value = Path(value).name if given and value.startswith(("/", "~")) else value
        words.append(Path(word).name if word.startswith(("/", "~")) else option + given + value)
    return words


def wrap(text: str, indent: str = "") -> list[str]:
    """``text`` in lines of at most 72 columns: broken at spaces, and where there are none hard.

    Spaces within a line stay: logs are aligned by them.
    """
    rest, lines = printable(text), []
    while width(rest) > COLUMNS:
        fitting = _prefix(rest, COLUMNS)
        # A break in the indentation would make no progress, one far left a ragged text.
        at = rest.rfind(" ", len(indent) + COLUMNS // 3, fitting + 1)
        at = at if at > 0 else fitting
        lines.append(rest[:at].rstrip())
        rest = indent + rest[at:].lstrip()
    return [*lines, rest.rstrip()]


def _prefix(text: str, columns: int) -> int:
    """How many characters of ``text`` fit."""
    used = 0
    for number, char in enumerate(text):
        used += width(char)
        if used > columns:
            return number
    return len(text)

