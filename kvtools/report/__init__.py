# SPDX-License-Identifier: GPL-2.0-or-later
"""A run's outcomes as text, JSON and JUnit: pure functions of a :class:`RunReport`."""

from kvtools.report.cell import describe, show
from kvtools.report.jsonreport import dumps, from_json, load, loads, to_json
from kvtools.report.junit import to_junit
from kvtools.report.model import (
    Accel,
    BaseHead,
    Host,
    Row,
    RunReport,
    SeriesHead,
    TriedBase,
    log_path,
)
from kvtools.report.printable import printable
from kvtools.report.select import resolve
from kvtools.report.text import matrix, render, verdict_line

__all__ = [
    "Accel",
    "BaseHead",
    "Host",
    "Row",
    "RunReport",
    "SeriesHead",
    "TriedBase",
    "describe",
    "dumps",
    "from_json",
    "load",
    "loads",
    "log_path",
    "matrix",
    "printable",
    "render",
    "resolve",
    "show",
    "to_json",
    "to_junit",
    "verdict_line",
]
