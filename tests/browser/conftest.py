# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests in a real Chromium: SKIP with the reason where it or Playwright is not installed.

Neither is a dependency (together over 300 MB); CONTRIBUTING.md says how to get them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "unit"))  # the builders of reports

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


def lacking() -> str:
    """Why a browser test cannot run here, "" when it can."""
    if CHROMIUM is None:
        return "no chromium here (apt-get install chromium)"
    if importlib.util.find_spec("playwright") is None:
        return "no playwright in the virtual environment (pip install '.[browser]')"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = lacking()
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    # Chromium's own sandbox does not start for root, which CI is; the pages are our own.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield browser
        browser.close()
