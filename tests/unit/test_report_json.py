# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON form: the published schema holds, nothing is lost on the way back, bytes survive."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import reports
from jsonschema import Draft202012Validator

import kvtools
from kvtools.errors import UserError
from kvtools.model import Status
from kvtools.report import RunReport, dumps, from_json, load, loads, to_json
from kvtools.report.jsonreport import plain

SCHEMA = json.loads((Path(kvtools.__file__).parent / "schema" / "run.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def document() -> dict[str, Any]:
    return copy.deepcopy(to_json(reports.twelve()))


def build_of(doc: dict[str, Any], row: int = 3) -> dict[str, Any]:
    return next(o for o in doc["patches"][row]["outcomes"] if o["step"] == "build")


def test_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "made",
    [reports.twelve(), reports.report(), reports.report(reports.row(0), status=Status.SKIP)],
    ids=["twelve", "two", "empty"],
)
def test_output_is_valid(made: RunReport) -> None:
    VALIDATOR.validate(json.loads(dumps(made)))


def test_the_contract() -> None:
    doc = document()
    assert set(doc) == {"schema", "series", "base", "run", "patches", "status"}
    assert doc["schema"] == 1 and doc["status"] == "FAIL"
    assert {"id", "seconds", "accel"} <= set(doc["run"])
    assert doc["run"]["accel"] == "tcg"
    assert [row["number"] for row in doc["patches"]] == list(range(13))
    assert set(build_of(doc)) == {
        "step", "name", "status", "seconds", "reused", "summary", "details", "log",
    }  # fmt: skip
    assert build_of(doc)["log"] == "/state/outcomes/03/build.log"
    assert build_of(doc)["details"]["warnings"][0]["line"] == 1612
    assert build_of(doc, 0)["reused"] is True


def test_subtests_are_outcomes_of_their_own() -> None:
    row = document()["patches"][10]["outcomes"]
    found = {o["name"]: o for o in row if o["name"].startswith("vmem.resize")}
    assert list(found) == ["vmem.resize", "vmem.resize.grow", "vmem.resize.shrink"]
    assert [o["status"] for o in found.values()] == ["FAIL", "PASS", "FAIL"]
    assert found["vmem.resize.grow"]["seconds"] == 0.4
    assert found["vmem.resize.grow"]["details"]["figures"] == {
        "requested": 1 << 30,
        "plugged": 1 << 30,
    }
    assert found["vmem.resize.grow"]["details"]["owner"] is None
    assert found["vmem.resize.shrink"]["details"]["owner"] == "patch"
    assert found["vmem.resize.shrink"]["summary"] == "stopped at 256 MiB of 0"


@pytest.mark.parametrize(
    ("word", "status"),
    [("XFAIL", "PASS"), ("XPASS", "FAIL"), ("SKIP", "SKIP"), ("pass", "PASS"), ("huh", "ERROR")],
)
def test_words_of_subtests(word: str, status: str) -> None:
    parts = [{"name": "a", "status": word}, {"name": "b", "status": "PASS"}]
    made = reports.outcome("selftest:x", details={"subtests": parts})
    listed = to_json(reports.report(reports.row(1, made)))["patches"][0]["outcomes"]
    assert [(o["name"], o["status"]) for o in listed[1:]] == [("x.a", status), ("x.b", "PASS")]


def test_one_subtest_is_the_scenario_itself() -> None:
    made = reports.outcome("selftest:x", details={"subtests": [{"name": "a", "status": "PASS"}]})
    assert len(to_json(reports.report(reports.row(1, made)))["patches"][0]["outcomes"]) == 1


def test_round_trip() -> None:
    first = to_json(reports.twelve())
    back = from_json(json.loads(json.dumps(first)))
    assert to_json(back) == first
    assert from_json(to_json(back)) == back


def test_round_trip_gives_equal_records() -> None:
    made = reports.report()
    assert loads(dumps(made)) == made


def test_bytes_and_surrogates_become_utf8() -> None:
    bad = b"M\xfcller \xff".decode("utf-8", "surrogateescape")
    made = reports.outcome(
        summary=bad,
        evidence=(bad, "\ud800"),
        log=bad,
        directory=Path("/x") / bad,
        details={bad: b"\xfe", "set": {2, 1}, "nan": float("nan"), "path": Path("/p")},
    )
    text = dumps(reports.report(reports.row(1, made, subject=bad)))
    assert "\\\\xfcller \\\\xff" in text
    doc = json.loads(text.encode("utf-8"))
    VALIDATOR.validate(doc)
    details = doc["patches"][0]["outcomes"][0]["details"]
    assert details["M\\xfcller \\xff"] == "\\xfe"
    assert details["evidence"][1] == "\\ud800"
    assert (details["set"], details["nan"], details["path"]) == ([1, 2], None, "/p")
    assert to_json(loads(text)) == doc


def test_plain_knows_only_json() -> None:
    assert plain({1: (Status.PASS, float("inf"), True)}) == {"1": ["PASS", None, True]}
    assert type(plain(Status.PASS)) is str


def test_a_field_of_the_record_wins_over_a_key_of_the_step() -> None:
    made = reports.outcome(evidence=("line",), details={"evidence": "mine", "other": 1})
    details = to_json(reports.report(reports.row(1, made)))["patches"][0]["outcomes"][0]["details"]
    assert details["evidence"] == ["line"] and details["other"] == 1


def _drop(*path: Any) -> Callable[[dict[str, Any]], None]:
    def change(doc: Any) -> None:
        for key in path[:-1]:
            doc = doc[key]
        del doc[path[-1]]

    return change


def _put(value: Any, *path: Any) -> Callable[[dict[str, Any]], None]:
    def change(doc: Any) -> None:
        for key in path[:-1]:
            doc = doc[key]
        doc[path[-1]] = value

    return change


OUTCOME = ("patches", 3, "outcomes", 1)
BROKEN = {
    "another schema": _put(2, "schema"),
    "no status": _drop("status"),
    "an unknown key": _put(1, "extra"),
    "an unknown status": _put("MAYBE", *OUTCOME, "status"),
    "an unknown step": _put("bake", *OUTCOME, "step"),
    "no reused": _drop(*OUTCOME, "reused"),
    "reused as a word": _put("yes", *OUTCOME, "reused"),
    "negative seconds": _put(-1, *OUTCOME, "seconds"),
    "an unknown key of an outcome": _put(1, *OUTCOME, "extra"),
    "no owner": _drop(*OUTCOME, "details", "owner"),
    "an unknown owner": _put("nobody", *OUTCOME, "details", "owner"),
    "evidence as a string": _put("x", *OUTCOME, "details", "evidence"),
    "a negative number": _put(-1, "patches", 3, "number"),
    "a short commit": _put("abc", "patches", 3, "commit"),
    "no accel": _drop("run", "accel"),
    "local time": _put("2026-03-01T10:15:00+02:00", "run", "started"),
    "revision 0": _put(0, "series", "revision"),
    "no cores": _put(0, "run", "host", "cores"),
    "an unknown key of the base": _put("/x", "base", "repo"),
    "patches as a mapping": _put({}, "patches"),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=list(BROKEN))
def test_broken_documents_are_refused(change: Callable[[dict[str, Any]], None]) -> None:
    doc = document()
    assert VALIDATOR.is_valid(doc)
    change(doc)
    assert not VALIDATOR.is_valid(doc)


def test_utc_may_be_written_either_way() -> None:
    made = replace(reports.report(), started="2026-03-01T10:15:00+00:00")
    VALIDATOR.validate(to_json(made))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "run.json: not JSON"),
        ("[]", "not a kvtools report of schema 1 (no schema)"),
        ('{"schema": 9}', "not a kvtools report of schema 1 (schema 9)"),
        ('{"schema": 1}', "damaged kvtools report: no 'run'"),
        ('{"schema": 1, "run": 5}', "damaged kvtools report"),
    ],
)
def test_reading_something_else(text: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        loads(text, "run.json")
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_load_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(UserError, match="no such report"):
        load(path)
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match="cannot be read"):
        load(path)
    path.write_text(dumps(reports.report()), encoding="utf-8")
    assert load(path) == reports.report()
