# SPDX-License-Identifier: GPL-2.0-or-later
"""The real thing: kvtools as a user starts it, on real kernels, in one home for all tests.

The base is built once and every test that only changes one file of it costs seconds. An outcome of
an earlier run is reused only for the same kernel, tools and sources of kvtools: all are in its key.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import LIMIT, ORACLE, QUICK, ROOT, Run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.kernel)
            item.add_marker(pytest.mark.timeout(LIMIT))


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """As ./kv gives it: the virtual environment's programs first."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.fixture(scope="session")
def kvtools(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command as a user does; the output comes as text."""

    def run(*args: str | Path, limit: float = LIMIT) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kvtools", *map(str, args)],
            cwd=ROOT,
            env=environment,
            text=True,
            errors="replace",
            capture_output=True,
            timeout=limit,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture(scope="session")
def kvtest(
    kvtools: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Run]:
    """Run ``kvtools test`` and read its JSON."""

    def run(*args: str | Path) -> Run:
        path = tmp_path_factory.mktemp("run") / "run.json"
        done = kvtools("test", *args, "--json", path)
        assert path.exists(), f"no JSON; stderr:\n{done.stderr}\nstdout:\n{done.stdout}"
        return Run(done.returncode, json.loads(path.read_text()), done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def oracle(kvtest: Callable[..., Run]) -> Run:
    """The untouched tree with the in-tree driver."""
    return kvtest(*ORACLE)


@pytest.fixture(scope="session")
def short_path(kvtest: Callable[..., Run]) -> Run:
    """The base, one patch in the middle and the tip of our series."""
    count = len(list((ROOT / "patches/virtio-mem").glob("[0-9]*.patch"))) - 1
    # Checks of objects build the parents too: test_object_checks.py has them.
    steps = ["build", "boot", "dump", "check:patch", "check:series"]
    steps += [f"selftest:{name}" for name in QUICK]
    chosen = [word for step in steps for word in ("--only", step)]
    return kvtest("--patches", f"{(count + 1) // 2},{count}", *chosen)
