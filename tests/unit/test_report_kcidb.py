# SPDX-License-Identifier: GPL-2.0-or-later
"""KCIDB: references hold, statuses mean what KCIDB means by them, the schema where it is here."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
from dataclasses import replace
from typing import Any

import pytest
import reports
import rich_reports

from kvtools.errors import KvtoolsError
from kvtools.model import Outcome, Status
from kvtools.report import RunReport, kcidb
from kvtools.report.kcidb import dangling, invalid, path, to_kcidb

RUNS = {
    "twelve": reports.twelve(),
    "rich": rich_reports.rich(),
    "hostile": rich_reports.hostile(),
    "base alone": reports.report(reports.row(0)),
    "no rows": replace(reports.report(), rows=()),
}
needs_schema = pytest.mark.skipif(
    importlib.util.find_spec("kcidb_io") is None,
    reason="no kcidb-io in the virtual environment (pip install '.[kcidb]')",
)


def document(report: RunReport) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(to_kcidb(report))
    return made


@needs_schema
@pytest.mark.parametrize("run", RUNS.values(), ids=list(RUNS))
def test_the_schema_holds(run: RunReport) -> None:
    from kcidb_io.schema import LATEST

    LATEST.validate(document(run))


@needs_schema
def test_the_schema_can_be_broken() -> None:
    made = document(reports.report())
    assert list(invalid(made)) == []
    for change in ({"origin": "No Capitals"}, {"status": "MAYBE"}, {"extra": 1}):
        broken = copy.deepcopy(made)
        broken["builds"][0].update(change)
        assert list(invalid(broken)) != []


@pytest.mark.parametrize("run", RUNS.values(), ids=list(RUNS))
def test_references_hold(run: RunReport) -> None:
    assert list(dangling(document(run))) == []


def test_a_dangling_reference_and_a_double_id_are_seen() -> None:
    made = document(reports.twelve())
    made["tests"][0]["build_id"] = "kvtools:nowhere"
    assert any("kvtools:nowhere, which is none of builds" in problem for problem in dangling(made))
    made = document(reports.twelve())
    del made["checkouts"][3]
    assert len(list(dangling(made))) == 1
    made["builds"].append(made["builds"][0])
    assert any("is there twice" in problem for problem in dangling(made))


def test_what_does_not_hold_together_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kcidb, "_id", lambda *parts: "kvtools:same")
    with pytest.raises(KvtoolsError, match="is there twice"):
        to_kcidb(reports.report())


def test_statuses() -> None:
    made = document(reports.twelve())
    by_path: dict[str, list[str]] = {}
    for test in made["tests"]:
        by_path.setdefault(test["path"], []).append(test["status"])
    assert by_path["kvtools.selftest.vmem.resize"] == ["SKIP"] * 10 + ["FAIL", "FAIL", "PASS"]
    assert by_path["kvtools.selftest.vmem.resize.shrink"] == ["FAIL", "FAIL"]
    assert "ERROR" in by_path["kvtools.selftest.kselftest_memory-hotplug"]
    assert [build["status"] for build in made["builds"]] == ["PASS"] * 13


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (reports.outcome(status=Status.WARN, details={"new": ["x"], "fixed": []}), "PASS"),
        (reports.outcome(status=Status.WARN, details={"new": [], "preexisting": ["x"]}), "FAIL"),
        (reports.skip("build:guest"), "SKIP"),
        (replace(reports.skip("build:guest"), details={"blocked_by": "apply"}), "MISS"),
    ],
    ids=["new warning", "fails on the base too", "not applicable", "could not run"],
)
def test_a_status_is_what_happened(outcome: Outcome, status: str) -> None:
    made = document(reports.report(reports.row(1, outcome)))
    assert made["builds"][0]["status"] == status


def test_a_test_belongs_to_the_build_of_its_config() -> None:
    row = reports.row(
        1, reports.outcome("build:a"), reports.outcome("build:b"), reports.outcome("boot:b"),
        reports.outcome("selftest:vmem.probe"), reports.outcome("selftest:vmem.probe@b"),
    )  # fmt: skip
    made = document(reports.report(row))
    builds = {build["id"]: build["config_name"] for build in made["builds"]}
    found = [(test["path"], builds[test["build_id"]]) for test in made["tests"]]
    assert found == [
        ("kvtools.boot.b", "b"),
        ("kvtools.selftest.vmem.probe", "a"),
        ("kvtools.selftest.vmem.probe_b", "b"),
    ]


def test_without_a_build_there_is_no_test() -> None:
    made = document(reports.report(reports.row(1, reports.outcome("boot:guest"))))
    assert made["tests"] == [] and made["checkouts"][0]["valid"] is True


def test_a_patch_that_does_not_apply_is_no_valid_checkout() -> None:
    failed = reports.outcome("apply", Status.FAIL, evidence=("error: patch failed: mm/slub.c:1",))
    row = replace(reports.row(1, failed), commit=None, tree=None)
    checkout = document(reports.report(row))["checkouts"][0]
    assert checkout["valid"] is False and "mm/slub.c" in checkout["log_excerpt"]


def test_ids_are_stable_and_of_this_run_alone() -> None:
    ids = [b["id"] for b in document(reports.twelve())["builds"]]
    assert ids == [b["id"] for b in document(reports.twelve())["builds"]]
    other = document(replace(reports.twelve(), id="20260302-000000-ab12"))["builds"]
    assert not set(ids) & {b["id"] for b in other}


def test_nothing_names_this_machine() -> None:
    assert "/state/outcomes" not in to_kcidb(reports.twelve())


def test_paths_are_words() -> None:
    for name in (rich_reports.EVIL, "..", "", "a b.c#d"):
        found = path(replace(reports.outcome("selftest:x"), name=name))
        assert re.fullmatch(r"[a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)*", found)
