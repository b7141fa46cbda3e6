# SPDX-License-Identifier: GPL-2.0-or-later
"""Our own series on its base, and the oracle."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
from harness import ORACLE, ROOT, Run

SCENARIOS = (
    "vmem.probe", "vmem.resize", "vmem.granularity", "vmem.partial-section",
    "vmem.shrink-to-zero", "vmem.flap", "vmem.numa", "vmem.reboot",
    "vmem.stress", "vmem.two-devices", "balloon.offline", "kselftest:memory-hotplug",
)  # fmt: skip
KNOWN = ("vmem.pressure", "vmem.pinned")  # the in-tree driver fails them: kbuild/bases
NOT_IN_TREE = {"vmem.sysfs": "state_control", "vmem.module": "built in"}


def test_every_chosen_patch_applies_builds_boots_and_passes(short_path: Run) -> None:
    assert short_path.code == 0, short_path.stdout
    assert short_path.data["status"] in ("PASS", "WARN")
    rows = [row["number"] for row in short_path.data["patches"]]
    assert rows[0] == 0 and len(rows) == 3
    for number in rows[1:]:
        statuses = short_path.statuses(number)
        for cell in ("apply", "build:guest", "boot:guest", "selftest:kselftest:memory-hotplug"):
            assert statuses[cell] == "PASS", (number, cell, short_path.stdout)


def test_the_baseline_has_no_driver_and_says_so(short_path: Run) -> None:
    cell = short_path.outcome(0, "selftest:vmem.probe")
    assert cell["status"] == "SKIP"
    assert "VIRTIO_MEM" in cell["summary"]


def test_the_json_of_a_real_run_follows_the_schema(short_path: Run, oracle: Run) -> None:
    schema = json.loads((ROOT / "kvtools/schema/run.schema.json").read_text())
    for run in (short_path, oracle):
        jsonschema.validate(run.data, schema)


def test_the_oracle_passes_every_scenario(oracle: Run) -> None:
    assert oracle.code == 0, oracle.stdout
    statuses = oracle.statuses(0)
    assert {c: statuses[f"selftest:{c}"] for c in SCENARIOS} == dict.fromkeys(SCENARIOS, "PASS")
    assert statuses["boot:guest"] == "PASS"
    for name in KNOWN:
        outcome = oracle.outcome(0, f"selftest:{name}")
        assert outcome["status"] == "WARN", oracle.stdout
        assert outcome["summary"].startswith("known on this base: "), outcome["summary"]
    for name, reason in NOT_IN_TREE.items():
        outcome = oracle.outcome(0, f"selftest:{name}")
        assert outcome["status"] == "SKIP" and reason in outcome["summary"], outcome


def test_what_did_not_change_is_not_run_again(
    oracle: Run, kvtest: Callable[..., Run]
) -> None:
    again = kvtest(*ORACLE)
    assert all(o["reused"] for row in again.data["patches"] for o in row["outcomes"])
    assert again.data["run"]["seconds"] < 10
    assert again.statuses(0) == oracle.statuses(0)


def test_a_stored_run_can_be_read_again(
    oracle: Run, kvtools: Callable[..., Any], tmp_path: Path
) -> None:
    run_id = oracle.data["run"]["id"]
    assert run_id in kvtools("runs").stdout
    cell = kvtools("report", run_id, "--cell", "base:selftest:vmem.resize")
    assert "vng" in cell.stdout, "no reproducer"
    log = kvtools("report", run_id, "--cell", "base:boot:guest", "--log")
    assert "Linux version 6.1" in log.stdout
    junit = tmp_path / "junit.xml"
    assert kvtools("report", run_id, "--junit", junit).returncode == 0
    names = {case.get("name") for case in ET.parse(junit).getroot().iter("testcase")}
    assert any("vmem.resize" in (name or "") for name in names)
