# SPDX-License-Identifier: GPL-2.0-or-later
"""A planted bug in a real kernel is found; the whole of it is benchmarks/bisect_kernel.py."""

from __future__ import annotations

import json
import subprocess
import sys

from harness import LIMIT, ROOT, Run


def test_a_planted_bug_is_named(oracle: Run, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/bisect_kernel.py", "commits", "--commits", "6", "--bad", "4",
         "--flaky", "no"],
        cwd=ROOT, env=environment, text=True, capture_output=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["right"] and found["tried"] <= 5, found  # two ends and log2(6)
