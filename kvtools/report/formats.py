# SPDX-License-Identifier: GPL-2.0-or-later
"""The formats a report can be written in, by the names of the command's options.

A writer is imported when it is asked for: most are never, and the page brings jinja2.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from kvtools.report.model import RunReport

Writer = Callable[[RunReport], str]
WRITERS = {
    "json": "jsonreport:dumps",
    "junit": "junit:to_junit",
    "html": "html:to_html",
    "mail": "mail:to_mail",
    "markdown": "markdown:to_markdown",
    "ktap": "ktapreport:to_ktap",
    "kcidb": "kcidb:to_kcidb",
    "patchwork": "forges:to_patchwork",
    "github": "forges:to_github",
    "gitlab": "forges:to_gitlab",
}


def writer(name: str) -> Writer:
    """The function that makes the text of a format. Raises KeyError for an unknown name."""
    module, _, function = WRITERS[name].partition(":")
    found: Writer = getattr(importlib.import_module(f"kvtools.report.{module}"), function)
    return found
