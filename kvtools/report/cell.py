# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything about one cell: what it says, why, its log with the telling lines marked, and
the shell commands that reproduce it without kvtools."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence

from kvtools.errors import UserError
from kvtools.model import Finding, Json, Outcome
from kvtools.report.excerpt import around, find, pieces
from kvtools.report.figures import table, tabled
from kvtools.report.jsonreport import plain
from kvtools.report.model import Row, RunReport, log_path, subtests
from kvtools.report.printable import pad, printable, width
from kvtools.report.select import resolve
from kvtools.report.text import fault

CONTEXT = 3
TAIL = 10
MANY = 12
MOST = 32 << 20
"""Bytes of a log that are read: a runaway guest must not take all memory here."""

MARK = ">"
_VERDICT_KEYS = ("blocked_by", "blocked_by_patch")


def show(report: RunReport, wanted: str, *, whole: bool = False) -> str:
    """:func:`describe` of the cell named ``ROW:CELL``, with its log read from the disk.

    ``whole`` prints all of the log instead of what surrounds the evidence. Raises
    :class:`UserError` when there is no such cell.
    """
    number, cell = resolve(report, wanted)
    row = report.row(number)
    outcome = row.outcome(cell) if row else None
    log = read_log(outcome) if outcome else None
    return describe(report, number, cell, log=log, whole=whole)


def read_log(outcome: Outcome) -> str | None:
    """The main log as text, raw bytes kept as surrogates; None when it is gone.

    Of one beyond :data:`MOST` bytes the beginning and the end, with a line between that says so.
    """
    path = log_path(outcome)
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= MOST:
                data = file.read(MOST)
            else:
                data = file.read(MOST // 2)
                file.seek(size - MOST // 2)
                data += b"\n[%d bytes left out]\n" % (size - 2 * (MOST // 2)) + file.read(MOST // 2)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None
    return data.decode("utf-8", "surrogateescape")


def describe(
    report: RunReport, row: int, cell: str, *, log: str | None = None, whole: bool = False
) -> str:
    """One cell as text. ``row`` is 0 for the base, ``cell`` a column, ``log`` the log's text.

    Raises :class:`UserError` when that cell was not run.
    """
    line = report.row(row)
    outcome = line.outcome(cell) if line else None
    if line is None or outcome is None:
        raise UserError(f"run {report.id} has no cell {row}:{cell}", fix="see kvtools report RUN")
    blocks = [
        _facts(report, line, outcome),
        _subtests(outcome),
        "\n".join(table(tabled(subtests(outcome)))),
        _details(outcome),
        _log(outcome, log, whole),
        _reproducer(outcome),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _facts(report: RunReport, row: Row, outcome: Outcome) -> str:
    where = f"{row.label}: {row.subject}" if row.subject else row.label
    seconds = f"{outcome.seconds:.1f} s" + (", of an earlier run" if outcome.reused else "")
    facts = {
        "cell": outcome.cell,
        "patch": where,
        "commit": row.commit or "",
        "tree": row.tree or "",
        "status": f"{outcome.status}  {fault(outcome)}".rstrip(),
        "summary": outcome.summary,
        "time": seconds,
        "run": report.id,
        "accel": report.accel.name if outcome.step.value in ("boot", "selftest", "dump") else "",
    }
    if row.number == 0:
        facts["patch"] = f"{where} ({report.base.name}, {report.base.origin})"
    return "\n".join(f"{key:<8} {printable(value)}" for key, value in facts.items() if value)


def _subtests(outcome: Outcome) -> str:
    parts = subtests(outcome)
    if not parts:
        return ""
    in_table = tabled(parts)
    names = [printable(part.name) for part in parts]
    room = max(map(width, names))
    lines = ["subtests"]
    for name, part in zip(names, parts, strict=True):
        seconds = f"{part.seconds:7.1f}s" if part.seconds else " " * 8
        text = f"  {part.status:<5} {seconds}  {pad(name, room)}  {printable(part.summary)}"
        lines.append(text.rstrip())
        shown = {} if part in in_table else part.details.get("figures", {})
        lines += [f"{'':16}  {line}" for line in tree(shown)]
    return "\n".join(lines)


def _details(outcome: Outcome) -> str:
    shown = {
        key: value
        for key, value in outcome.details.items()
        if value not in (None, "", [], (), {})
        and key not in _VERDICT_KEYS
        and not (key == "subtests" and subtests(outcome))
    }
    if outcome.fingerprints:
        shown["fingerprints"] = list(outcome.fingerprints)
    return "\n".join(["details", *(f"  {line}" for line in tree(plain(shown)))]) if shown else ""


def tree(value: Json) -> Iterator[str]:
    """JSON data as indented lines: scalars beside their key, lists with dashes."""
    if isinstance(value, Mapping):
        finding = _finding(value)
        if finding:
            yield finding
            return
        for key, item in value.items():
            yield from _labelled(f"{printable(str(key))}:", item)
    elif isinstance(value, (list, tuple)):
        for item in value[:MANY]:
            yield from _labelled("-", item)
        if len(value) > MANY:
            yield f"[{len(value) - MANY} more in the JSON]"
    else:
        yield _scalar(value)


def _labelled(label: str, item: Json) -> Iterator[str]:
    lines = list(tree(item))
    if not isinstance(item, (Mapping, list, tuple)) or (label == "-" and len(lines) == 1):
        yield f"{label} {lines[0] if lines else ''}".rstrip()
        return
    yield label
    yield from (f"  {line}" for line in lines)


def _scalar(value: Json) -> str:
    return printable(value) if isinstance(value, str) else json.dumps(value)


def _finding(value: Mapping[str, Json]) -> str:
    """A :class:`kvtools.model.Finding` in the form compilers print, which editors can follow."""
    if set(value) != set(Finding.__dataclass_fields__):
        return ""
    function = f" [{value['function']}]" if value["function"] else ""
    text = f"{value['file']}:{value['line']}: {value['severity']}: {value['text']}{function}"
    return printable(text)


def _log(outcome: Outcome, log: str | None, whole: bool) -> str:
    path = log_path(outcome)
    head = f"log      {printable(str(path))}" if path else ""
    if log is None:
        gone = [head + "  (not there any more)"] if path and outcome.directory else [head]
        told = [f"{MARK} {printable(line)}" for line in outcome.evidence]
        return "\n".join([*filter(None, gone), *told])
    lines = log.splitlines()
    found = find(lines, outcome.evidence)
    chosen = set(range(len(lines)))
    if not whole:
        chosen = around(found.marked, len(lines), context=CONTEXT, tail=TAIL)
    extra = [f"{MARK} {printable(line)}" for line in found.unseen]
    return "\n".join([head, *extra, *_excerpt(lines, chosen, found.marked)])


def _excerpt(lines: Sequence[str], chosen: set[int], marked: frozenset[int]) -> Iterator[str]:
    room = len(str(len(lines)))
    for piece in pieces(chosen):
        if piece.left_out:
            yield f"  {'':{room}}  [{piece.left_out} lines left out]"
        mark = MARK if piece.index in marked else " "
        yield f"{mark} {piece.index + 1:{room}}  {printable(lines[piece.index])}".rstrip()
    rest = len(lines) - max(chosen, default=-1) - 1
    if rest:
        yield f"  {'':{room}}  [{rest} lines left out]"


def _reproducer(outcome: Outcome) -> str:
    """The commands as they are to be pasted, one per line and without decoration."""
    if not outcome.reproduce:
        return ""
    commands = [printable(line) for command in outcome.reproduce for line in command.split("\n")]
    return "\n".join(["reproduce with", *commands])
