# SPDX-License-Identifier: GPL-2.0-or-later
"""A report as JSON (schema 1, ``kvtools/schema/run.schema.json``) and back.

The JSON is the stored form of a run: :func:`from_json` of it gives everything the other
formats need. Text that is no valid Unicode is spelled out on the way (``\\xe9``), so the
output always encodes as UTF-8.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kvtools.errors import UserError
from kvtools.model import Expectation, Json, Outcome, Owner, Status, Step
from kvtools.report.model import (
    Accel,
    BaseHead,
    Host,
    Row,
    RunReport,
    SeriesHead,
    TriedBase,
    log_path,
    subtests,
)
from kvtools.report.printable import valid_unicode

SCHEMA = 1

OWN_DETAILS = frozenset({"owner", "evidence", "reproduce", "fingerprints", "directory"})
"""Keys of ``details`` that are fields of :class:`Outcome`; a step's own key of that name yields."""


def to_json(report: RunReport) -> dict[str, Json]:
    """The report in the published form: nothing in it but JSON values, all valid Unicode."""
    document: Json = plain(
        {
            "schema": SCHEMA,
            "series": dataclasses.asdict(report.series),
            "base": dataclasses.asdict(report.base),
            "run": _run_to_json(report),
            "patches": [_row_to_json(row) for row in report.rows],
            "status": report.status,
        }
    )
    assert isinstance(document, dict)
    return document


def dumps(report: RunReport, *, indent: int | None = 1) -> str:
    """:func:`to_json` as text ending in a newline, keys in the contract's order.

    On one line (``indent`` None) it takes a tenth of the time.
    """
    return json.dumps(to_json(report), ensure_ascii=False, allow_nan=False, indent=indent) + "\n"


def _run_to_json(report: RunReport) -> dict[str, Json]:
    return {
        "id": report.id,
        "started": report.started,
        "seconds": report.seconds,
        "own_seconds": report.own_seconds,
        "accel": report.accel.name,
        "accel_reason": report.accel.reason,
        "host": {
            "cores": report.host.cores,
            "memory": report.host.memory,
            "kvtools": report.host.kvtools,
            "tools": dict(report.host.tools),
        },
        "command": list(report.command),
        "expectations": [dataclasses.asdict(item) for item in report.expectations],
        "notices": list(report.notices),
        "tried": [dataclasses.asdict(item) for item in report.tried],
    }


def _row_to_json(row: Row) -> dict[str, Json]:
    outcomes = []
    for outcome in row.outcomes:
        outcomes.append(_outcome_to_json(outcome))
        outcomes.extend(_outcome_to_json(part) for part in subtests(outcome))
    return {
        "number": row.number,
        "subject": row.subject,
        "commit": row.commit,
        "tree": row.tree,
        "outcomes": outcomes,
    }


def _outcome_to_json(outcome: Outcome) -> dict[str, Json]:
    own = {
        "owner": outcome.owner,
        "evidence": list(outcome.evidence),
        "reproduce": list(outcome.reproduce),
        "fingerprints": list(outcome.fingerprints),
        "directory": outcome.directory,
    }
    return {
        "step": outcome.step,
        "name": outcome.name,
        "status": outcome.status,
        "seconds": outcome.seconds,
        "reused": outcome.reused,
        "summary": outcome.summary,
        "details": {**outcome.details, **own},
        "log": log_path(outcome),
    }


def plain(value: Any) -> Json:
    """``value`` with only JSON types in it; bytes are read as UTF-8, not-a-number is null."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return valid_unicode(str(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {valid_unicode(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=str)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return valid_unicode(str(value))


def from_json(document: Json, where: str = "report") -> RunReport:
    """The report that :func:`to_json` wrote; ``where`` names the document in errors.

    Raises :class:`UserError` when it is not a report of this schema.
    """
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        found = f"schema {schema!r}" if schema is not None else "no schema"
        raise UserError(
            f"{where}: not a kvtools report of schema {SCHEMA} ({found})",
            fix="give the JSON that kvtools test --json wrote, or run the series again",
        )
    try:
        return _report(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{where}: damaged kvtools report: {what}", fix="run the series again"
        ) from error


def loads(text: str, where: str = "report") -> RunReport:
    """:func:`from_json` of JSON text; raises :class:`UserError` for anything else."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise UserError(f"{where}: not JSON: {error}", fix="run the series again") from error
    return from_json(document, where)


def load(path: Path) -> RunReport:
    """The report stored in ``path``; raises :class:`UserError` naming it when there is none."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such report", fix="see kvtools runs") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}", fix="see kvtools runs") from error
    return loads(text, str(path))


def _report(document: Mapping[str, Json]) -> RunReport:
    run = document["run"]
    host = run["host"]
    return RunReport(
        id=str(run["id"]),
        started=str(run["started"]),
        seconds=float(run["seconds"]),
        status=Status(document["status"]),
        accel=Accel(run["accel"], run["accel_reason"]),
        host=Host(host["cores"], host["memory"], host["kvtools"], dict(host["tools"])),
        series=SeriesHead(**document["series"]),
        base=BaseHead(**document["base"]),
        rows=tuple(_row(row) for row in document["patches"]),
        command=tuple(run["command"]),
        expectations=tuple(Expectation(**item) for item in run["expectations"]),
        notices=tuple(run["notices"]),
        own_seconds=run.get("own_seconds"),
        tried=tuple(TriedBase(**item) for item in run.get("tried", ())),
    )


def _row(row: Mapping[str, Json]) -> Row:
    parts = [item for item in row["outcomes"] if "subtest_of" not in item["details"]]
    return Row(
        row["number"],
        row["subject"],
        row["commit"],
        row["tree"],
        tuple(_outcome(item) for item in parts),
    )


def _outcome(item: Mapping[str, Json]) -> Outcome:
    details = item["details"]
    directory = Path(details["directory"]) if details["directory"] else None
    log = item["log"]
    if log and directory and Path(log).is_relative_to(directory):
        log = str(Path(log).relative_to(directory))
    return Outcome(
        step=Step(item["step"]),
        name=item["name"],
        status=Status(item["status"]),
        seconds=float(item["seconds"]),
        summary=item["summary"],
        owner=Owner(details["owner"]) if details["owner"] else None,
        log=log,
        evidence=tuple(details["evidence"]),
        reproduce=tuple(details["reproduce"]),
        fingerprints=tuple(details["fingerprints"]),
        details={key: value for key, value in details.items() if key not in OWN_DETAILS},
        reused=bool(item["reused"]),
        directory=directory,
    )
