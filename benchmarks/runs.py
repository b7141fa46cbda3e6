# SPDX-License-Identifier: GPL-2.0-or-later
"""How the benchmarks run kvtools: as its users do, from this clone."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def kvtools(*words: str, env: Mapping[str, str] | None = None,
            timeout: float | None = None) -> str:
    """Its standard output; a patch at fault is no failure of the benchmark, all else ends it."""
    done = subprocess.run([sys.executable, "-m", "kvtools", *words], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, check=False, env=env, timeout=timeout)
    if done.returncode not in (0, 1):
        sys.exit(f"kvtools {' '.join(words)} ended with {done.returncode}")
    return done.stdout


def tested(*words: str, timeout: float | None = None) -> dict[str, Any]:
    """The JSON of ``kvtools test`` with these words."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run.json"
        kvtools("test", *words, "--json", str(out), timeout=timeout)
        found: dict[str, Any] = json.loads(out.read_text())
        return found
