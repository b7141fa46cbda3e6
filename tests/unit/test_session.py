# SPDX-License-Identifier: GPL-2.0-or-later
"""A run that was stopped can be read from its journal."""

from __future__ import annotations

from pathlib import Path

import pytest
import reports

from kvtools import session
from kvtools.errors import UserError
from kvtools.model import Outcome, Status
from kvtools.report import Row, RunReport, dumps
from kvtools.store import Store, encode


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def begin(store: Store) -> RunReport:
    head = reports.report(Row(0, "the base"), Row(1, "mm: one"), Row(2, "mm: two"))
    assert store.claim_run(head.id)
    store.put_head(head.id, dumps(head))
    return head


def journal(store: Store, run_id: str, row: int, outcome: Outcome) -> None:
    store.journal(run_id, {"row": row, "directory": "", "outcome": encode(outcome)})


def test_a_stopped_run_shows_what_ended(store: Store) -> None:
    head = begin(store)
    journal(store, head.id, 0, reports.outcome("build:guest", Status.PASS))
    journal(store, head.id, 1, reports.outcome("build:guest", Status.FAIL))
    file = store.root / "runs" / head.id / "journal.jsonl"
    file.write_bytes(file.read_bytes() + b'{"row": 2, "dir')  # killed while it wrote
    found = session.read(store, head.id)
    assert found.status is Status.FAIL
    assert [[str(o.status) for o in row.outcomes] for row in found.rows] == [["PASS"], ["FAIL"], []]
    assert "was stopped before its end" in found.notices[-1]


def test_a_run_under_way_says_so(store: Store) -> None:
    head = begin(store)
    with store.running(head.id):
        assert "is still under way" in session.read(store, head.id).notices[-1]


def test_a_finished_run_is_its_report(store: Store) -> None:
    head = begin(store)
    store.put_report(head.id, dumps(reports.twelve()))
    assert session.read(store, head.id).notices == reports.twelve().notices


def test_a_run_without_a_head_is_one_line(store: Store) -> None:
    store.claim_run("old")
    with pytest.raises(UserError):
        session.read(store, "old")
