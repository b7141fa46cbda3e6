# SPDX-License-Identifier: GPL-2.0-or-later
"""How xdist shares out the tests: those of kernels together, the others one by one."""

from __future__ import annotations

from typing import Any

import pytest

KERNEL = "tests/kernel/"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Kernel tests share kernels that are built one at a time: one process takes them in order.

    Not by marks and ``--dist loadgroup``: xdist 3.8 does not group under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling  # only there when xdist is in use

    # mypy knows nothing of xdist, which has no types
    class KernelsTogether(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return KERNEL if nodeid.startswith(KERNEL) else nodeid

    return KernelsTogether(config, log)
