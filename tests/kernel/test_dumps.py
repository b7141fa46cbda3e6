# SPDX-License-Identifier: GPL-2.0-or-later
"""The dump cells on real kernels: they pass on the oracle and fail by content on broken ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from harness import DATA, Run

from kvtools import vmcore

CELLS = ("dump:dump.vmcoreinfo", "dump:dump.host", "dump:dump.kdump", "dump:dump.reload")
LEVELS = ("level-0", "level-1", "level-16", "level-31")


def subtests(run: Run, patch: int, cell: str) -> dict[str, Mapping[str, Any]]:
    return {s["name"]: s for s in run.outcome(patch, cell)["details"]["subtests"]}


def broken(kvtest: Callable[..., Run], patch: str, *cells: str) -> Run:
    only = [word for cell in cells for word in ("--only", cell)]
    return kvtest(DATA / "kernel" / patch, "--base", "oracle", *only)


def test_the_oracle_passes_every_dump_cell(oracle: Run) -> None:
    assert {cell: oracle.statuses(0)[cell] for cell in CELLS} == dict.fromkeys(CELLS, "PASS")
    assert oracle.statuses(0)["dump:dump.crash"] == "SKIP"  # no debug information
    for cell in ("dump:dump.kdump", "dump:dump.host"):
        table = {name: subtests(oracle, 0, cell)[name]["figures"] for name in LEVELS}
        assert [table[n]["level"] for n in LEVELS] == [0, 1, 16, 31]
        assert table["level-16"]["offline"] == table["level-31"]["offline"] > 0
        assert table["level-0"]["offline"] == table["level-1"]["offline"] == 0
        assert table["level-31"]["bytes"] < table["level-0"]["bytes"]
    kdump = oracle.outcome(0, "dump:dump.kdump")["details"]
    assert set(kdump["dumps_not_kept"]) == {f"{name}.kdump" for name in LEVELS}


def test_without_the_export_offline_pages_are_in_the_dump(
    oracle: Run, kvtest: Callable[..., Run]
) -> None:
    run = broken(kvtest, "break-dump-export.patch", "dump:dump.kdump", "dump:dump.vmcoreinfo")
    assert run.code == 1, run.stdout
    assert run.statuses(1)["boot:guest"] == "PASS"
    found = subtests(run, 1, "dump:dump.kdump")
    for name in ("level-16", "level-31"):
        assert found[name]["status"] == "FAIL"
        assert "pages of unplugged chunks are in it" in found[name]["message"]
    assert found["level-0"]["status"] == found["level-1"]["status"] == "PASS"
    assert subtests(run, 1, "dump:dump.vmcoreinfo")["offline-value"]["status"] == "FAIL"
    a_kept_dump_that_is_cut_short_is_damaged(run)


def a_kept_dump_that_is_cut_short_is_damaged(run: Run) -> None:
    """A real dump: it was kept because the cell failed."""
    log = Path(run.outcome(1, "dump:dump.kdump")["log"])
    path = log.parent / "dumps" / "level-31.kdump"
    whole = path.read_bytes()
    with vmcore.open_dump(path):
        pass
    for left in (len(whole) - 1, len(whole) // 2, 3 * vmcore.PAGE, 100, 0):
        path.write_bytes(whole[:left])
        with pytest.raises(vmcore.Damaged), vmcore.open_dump(path):
            pass
    path.write_bytes(whole)


def test_with_another_types_value_offline_pages_are_in_the_dump(
    oracle: Run, kvtest: Callable[..., Run]
) -> None:
    run = broken(kvtest, "break-dump-value.patch", "dump:dump.kdump", "dump:dump.vmcoreinfo")
    assert run.code == 1, run.stdout
    found = subtests(run, 1, "dump:dump.kdump")
    for name in ("level-16", "level-31"):
        assert found[name]["status"] == "FAIL"
        assert "pages of unplugged chunks are in it" in found[name]["message"]
    value = subtests(run, 1, "dump:dump.vmcoreinfo")["offline-value"]
    assert value["figures"] == {"value": -513, "expected": -257}


def test_without_uevents_no_rule_reloads(oracle: Run, kvtest: Callable[..., Run]) -> None:
    run = broken(kvtest, "break-dump-reload.patch", "dump:dump.reload")
    assert run.code == 1, run.stdout
    found = subtests(run, 1, "dump:dump.reload")
    assert found["rule"]["status"] == found["reload-by-rule"]["status"] == "FAIL"
