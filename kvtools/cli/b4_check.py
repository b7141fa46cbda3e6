# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools b4-check``: a mail on stdin, what b4 expects of a check on stdout.

``b4.prep-perpatch-check-cmd`` reads lines and takes those with ``ERROR:`` for failures;
``b4.review-perpatch-check-cmd`` and ``b4.review-series-check-cmd`` (``--json``) read a JSON list
of tool, status (pass, warn, fail), summary, url and details. For these two b4 names a file in
B4_TRACKING_FILE that tells the series' review branch. Source: b4 0.16, ez.py, review/checks.py and
review_tui/_common.py.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from pathlib import Path

from kvtools import git, onepatch
from kvtools.errors import UserError
from kvtools.model import Level, Outcome, Status

WORDS = {Status.FAIL: "fail", Status.WARN: "warn", Status.PASS: "pass"}
LABELS = {Level.FAIL: "ERROR", Level.WARN: "WARNING"}


def run(arguments: Namespace) -> int:
    """0 when the checks ran, whatever they found: b4 reads that in what they print."""
    raw = sys.stdin.buffer.read()
    if not raw.strip():
        raise UserError("no mail on standard input", fix="b4 gives it; by hand: < FILE.patch")
    ask = onepatch.check_series if arguments.series else onepatch.check_mail
    tree = Path(arguments.tree)
    checked = ask(raw, tree, os.cpu_count() or 1, ("HEAD", *_review_branch(tree)))
    print(as_json(checked) if arguments.json else as_text(checked), end="")
    return 0


def _review_branch(tree: Path) -> tuple[str, ...]:
    """The patches that ``b4 review`` has put into a branch, none when it has not.

    On their top is an empty commit of b4's own with the cover letter.
    """
    try:
        tracking = json.loads(Path(os.environ["B4_TRACKING_FILE"]).read_text("utf-8"))
        branch = f"refs/heads/b4/review/{tracking['series']['change-id']}~1"
    except (KeyError, TypeError, OSError, ValueError):
        return ()
    try:
        git.rev_parse(tree, branch)
    except UserError:
        return ()
    return (branch,)


def as_text(checked: onepatch.Checked) -> str:
    """A line for each finding that counts, nothing when there is none."""
    rows = [f"WARNING: not checked: {checked.problem}"] if checked.problem else []
    for outcome in checked.outcomes:
        if outcome.status is Status.ERROR:
            rows.append(f"WARNING: {outcome.name} did not run: {outcome.summary}")
        rows += [_line(outcome, one) for one in outcome.details.get("findings", ())
                 if one["state"] == "new" and one["level"] in LABELS]
    return "".join(f"{row}\n" for row in rows)


def _line(outcome: Outcome, one: dict[str, str]) -> str:
    where = one.get("file", "")
    where += f":{one['line']}" if where and one.get("line") else ""
    said = one.get("message") or one["text"]
    return f"{LABELS[Level(one['level'])]}: {outcome.name}.{one['rule']}: " + (
        f"{where}: {said}" if where else said)


def as_json(checked: onepatch.Checked) -> str:
    """One entry for each check; what could not run is a warning with the reason."""
    entries = [{"tool": "kvtools", "status": "warn", "summary": f"not checked: {checked.problem}",
                "url": "", "details": ""}] if checked.problem else []
    for outcome in checked.outcomes:
        if outcome.status is Status.SKIP:
            continue  # b4 has no word for it
        entries.append({
            "tool": f"kvtools {outcome.name}",
            "status": WORDS.get(outcome.status, "warn"),
            "summary": outcome.summary,
            "url": "",
            "details": "\n".join(outcome.evidence) if outcome.status is not Status.PASS else "",
        })
    return json.dumps(entries, indent=1) + "\n"
