# SPDX-License-Identifier: GPL-2.0-or-later
"""A report for KCIDB, kernelci's database of results, in its schema 5.3.

A row is a checkout, a build cell a build, a cell that ran in a guest a test of the build it ran
on, and so are its subtests. kcidb-io (the extra ``kvtools[kcidb]``) checks the schema where it
is installed; it accepts references to what is not there, so those are always checked here.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping

from kvtools.errors import KvtoolsError
from kvtools.model import Json, Outcome, Status, Step
from kvtools.report.jsonreport import plain
from kvtools.report.model import Row, RunReport, subtests
from kvtools.report.printable import abroad, printable

ORIGIN = "kvtools"
VERSION = {"major": 5, "minor": 3}
EXCERPT = 16384
"""The most characters of ``log_excerpt``."""

_IN_GUEST = (Step.BOOT, Step.SELFTEST, Step.DUMP)
_STATUSES = {
    Status.PASS: "PASS",
    Status.WARN: "PASS",
    Status.FAIL: "FAIL",
    Status.ERROR: "ERROR",
    Status.SKIP: "SKIP",
}
_REFERENCES = (("builds", "checkout_id", "checkouts"), ("tests", "build_id", "builds"))
_OBJECT = re.compile(r"[0-9a-f]{40}")


def to_kcidb(report: RunReport) -> str:
    """The JSON to submit; raises :class:`KvtoolsError` where it does not hold together.

    What a KCIDB reader sees is what happened: a cell that fails on the base too is FAIL there.
    Nothing in it names this machine's files; to submit it, ORIGIN has to be your own.
    """
    checkouts: list[dict[str, Json]] = []
    builds: list[dict[str, Json]] = []
    tests: list[dict[str, Json]] = []
    for row in report.rows:
        checkout = _checkout(report, row)
        checkouts.append(checkout)
        made = {o.name: _build(report, row, o, checkout["id"]) for o in _of(row, Step.BUILD)}
        builds += made.values()
        for outcome in row.outcomes:
            build = _build_of(outcome, made)
            if outcome.step in _IN_GUEST and build:
                tests += _tests(report, row, outcome, build["id"])
    document: dict[str, Json] = {"version": VERSION}
    document |= {"checkouts": checkouts, "builds": builds, "tests": tests}
    problems = [*dangling(document), *invalid(document)]
    if problems:
        raise KvtoolsError(f"the KCIDB report does not hold together: {problems[0]}")
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def dangling(document: Mapping[str, Json]) -> Iterator[str]:
    """References to an object that is not in the document, and ids that are there twice."""
    known: dict[str, set[str]] = {}
    for kind in ("checkouts", "builds", "tests"):
        ids = [item["id"] for item in document.get(kind, ())]
        known[kind] = set(ids)
        yield from (f"{kind}: {i} is there twice" for i in known[kind] if ids.count(i) > 1)
    for kind, key, target in _REFERENCES:
        for item in document.get(kind, ()):
            if item[key] not in known[target]:
                yield f"{kind}: {item['id']} refers to {item[key]}, which is none of {target}"


def invalid(document: Mapping[str, Json]) -> Iterator[str]:
    """What kcidb-io says against the document; nothing where it is not installed."""
    if importlib.util.find_spec("kcidb_io") is None:
        return
    latest = importlib.import_module("kcidb_io.schema").LATEST
    try:
        latest.validate(document)
    except Exception as error:  # jsonschema's, which is no dependency of ours
        yield " ".join(str(error).split("\n\n")[0].split())


def _of(row: Row, step: Step) -> list[Outcome]:
    return [outcome for outcome in row.outcomes if outcome.step is step]


def _build_of(outcome: Outcome, made: Mapping[str, dict[str, Json]]) -> dict[str, Json] | None:
    """A boot cell is named after its config, ``scenario@config`` too; else it is the first."""
    name = outcome.name if outcome.step is Step.BOOT else outcome.name.rpartition("@")[2]
    return made.get(name) or next(iter(made.values()), None)


def _id(report: RunReport, *parts: str) -> str:
    """Stable over a second report of the same run, unique over runs and machines."""
    text = "\0".join((report.id, report.started, report.base.commit, *parts))
    digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
    return f"{ORIGIN}:{digest[:32]}"


def _checkout(report: RunReport, row: Row) -> dict[str, Json]:
    base, series = report.base, report.series
    applied = next(iter(_of(row, Step.APPLY)), None)
    checkout: dict[str, Json] = {
        "id": _id(report, str(row.number)),
        "origin": ORIGIN,
        "tree_name": _text(base.name),
        "comment": _text(f"{row.number}: {row.subject}" if row.number else base.version),
        "valid": row.commit is not None,
        "misc": {
            "kvtools": {
                "run": _text(report.id),
                "patch": row.number,
                "series": _text(f"{series.name} v{series.revision}"),
                "commit": row.commit,
                "tree": row.tree,
                "base_is_public": base.public,
                "base_origin": _text(base.origin),
            }
        },
    }
    if _OBJECT.fullmatch(base.commit):
        checkout["git_commit_hash"] = base.commit
    if row.number == 0:
        checkout["patchset_hash"] = ""
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", report.started):
        checkout["start_time"] = report.started
    if applied:
        checkout |= _excerpt(applied)
    return checkout


def _build(
    report: RunReport, row: Row, outcome: Outcome, checkout_id: str
) -> dict[str, Json]:
    return {
        "id": _id(report, str(row.number), outcome.cell),
        "origin": ORIGIN,
        "checkout_id": checkout_id,
        "comment": _text(outcome.summary),
        "duration": max(outcome.seconds, 0.0),
        "config_name": _text(outcome.name),
        "compiler": _text(f"gcc {report.host.tools.get('gcc', '')}".strip()),
        "command": _text("; ".join(outcome.reproduce)),
        "status": _status(outcome),
        "misc": {"kvtools": {"reused": outcome.reused, "status": str(outcome.status)}},
        **_excerpt(outcome),
    }


def _tests(
    report: RunReport, row: Row, outcome: Outcome, build_id: str
) -> Iterator[dict[str, Json]]:
    for number, part in enumerate((outcome, *subtests(outcome))):
        whole = number == 0
        test: dict[str, Json] = {
            # A guest may give two subtests one name.
            "id": _id(report, str(row.number), outcome.cell, str(number)),
            "origin": ORIGIN,
            "build_id": build_id,
            "path": path(part),
            "comment": _text(part.summary),
            "status": _status(part),
            "environment": {
                "comment": _text(f"QEMU, accel {report.accel.name}"),
                "misc": {"qemu": _text(report.host.tools.get("qemu", ""))},
            },
            "misc": {"kvtools": {"reused": outcome.reused, "status": str(part.status)}},
            **_excerpt(part),
        }
        if whole or part.seconds:
            test["duration"] = max(part.seconds, 0.0)
        figures = plain(part.details.get("figures"))
        if figures:
            test["misc"]["kvtools"]["figures"] = _clean(figures)
        yield test


def path(outcome: Outcome) -> str:
    """``kvtools.selftest.vmem_resize.grow``: words of letters, digits, ``_`` and ``-``."""
    words = [re.sub(r"[^A-Za-z0-9_-]+", "_", word).strip("_") for word in outcome.name.split(".")]
    return ".".join(["kvtools", str(outcome.step), *filter(None, words)])


def _status(outcome: Outcome) -> str:
    """WARN of a failure that the base has too is FAIL: KCIDB asks whether the test passed."""
    if outcome.status is Status.WARN and "preexisting" in outcome.details:
        return "FAIL"
    if "blocked_by" in outcome.details:
        return "MISS"
    return _STATUSES[outcome.status]


def _excerpt(outcome: Outcome) -> dict[str, Json]:
    if not outcome.evidence:
        return {}
    return {"log_excerpt": "\n".join(_text(abroad(line)) for line in outcome.evidence)[:EXCERPT]}


def _clean(value: Json) -> Json:
    """JSON in which every text is printable: figures may hold what a guest said."""
    if isinstance(value, Mapping):
        return {_text(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    return printable(text)
