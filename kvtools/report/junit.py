# SPDX-License-Identifier: GPL-2.0-or-later
"""A report as JUnit XML, in the dialect that Jenkins, GitLab and GitHub actions read.

One testsuite per row, one testcase per cell and per subtest. FAIL is ``<failure>``, ERROR
``<error>``, SKIP ``<skipped>``; WARN passes and says so in ``<system-out>``. Source:
https://github.com/jenkinsci/xunit-plugin (xunit.xsd) and GitLab's unit test reports, which
tell test cases apart by classname and name.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import datetime

from kvtools.model import Outcome, Status
from kvtools.report.model import BASE_ROW, Row, RunReport, log_path, subtests
from kvtools.report.printable import valid_unicode

_TURNING = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {Status.FAIL: "failure", Status.ERROR: "error", Status.SKIP: "skipped"}


def to_junit(report: RunReport) -> str:
    """The XML document as text; write it as UTF-8."""
    root = ET.Element("testsuites", {"name": _legal(f"kvtools {report.series.name}")})
    counted = [0, 0, 0, 0]
    for index, row in enumerate(report.rows):
        suite, counts = _suite(report, row, index)
        root.append(suite)
        counted = [total + count for total, count in zip(counted, counts, strict=True)]
    _count(root, counted)
    root.set("time", _time(report.seconds))
    ET.indent(root)
    body = ET.tostring(root, encoding="unicode")
    return f"<?xml version='1.0' encoding='UTF-8'?>\n{body}\n"


def _suite(report: RunReport, row: Row, index: int) -> tuple[ET.Element, Sequence[int]]:
    name = _name(report, row)
    suite = ET.Element("testsuite", {"name": _legal(name), "id": str(index)})
    suite.set("package", _legal(report.series.name))
    suite.set("timestamp", _legal(_timestamp(report.started)))
    suite.set("time", _time(sum(outcome.seconds for outcome in row.outcomes)))
    properties = ET.SubElement(suite, "properties")
    for key, value in _properties(report, row).items():
        ET.SubElement(properties, "property", {"name": key, "value": _legal(value)})
    cases = [part for outcome in row.outcomes for part in (outcome, *subtests(outcome))]
    for outcome in cases:
        suite.append(_case(report, name, outcome))
    counts = (len(cases), *(sum(o.status is status for o in cases) for status in _TAGS))
    _count(suite, counts)
    return suite, counts


def _count(element: ET.Element, counts: Sequence[int]) -> None:
    for key, value in zip(("tests", "failures", "errors", "skipped"), counts, strict=True):
        element.set(key, str(value))


def _name(report: RunReport, row: Row) -> str:
    if row.number == BASE_ROW:
        return f"0000 base {report.base.name}"
    return f"{row.number:04d} {row.subject}"


def _properties(report: RunReport, row: Row) -> dict[str, str]:
    properties = {
        "run": report.id,
        "series": f"{report.series.name} v{report.series.revision}",
        "base": f"{report.base.name} {report.base.version} {report.base.commit}",
        "accel": report.accel.name,
        "kvtools": report.host.kvtools,
        "commit": row.commit or "",
        "tree": row.tree or "",
    }
    return {key: value for key, value in properties.items() if value}


def _case(report: RunReport, suite: str, outcome: Outcome) -> ET.Element:
    # Jenkins splits a class name into package and class at its last dot.
    classname = f"{report.series.name.replace('.', '_')}.{suite.replace('.', '_')}"
    case = ET.Element("testcase", {"classname": _legal(classname), "name": _legal(outcome.cell)})
    case.set("time", _time(outcome.seconds))
    tag = _TAGS.get(outcome.status)
    if tag:
        said = ET.SubElement(case, tag, {"message": _legal(_one_line(outcome.summary))})
        said.set("type", str(outcome.owner or outcome.status))
        if outcome.status is not Status.SKIP:
            said.text = _legal(_evidence(outcome))
    elif outcome.status is Status.WARN:
        ET.SubElement(case, "system-out").text = _legal(f"WARN: {_evidence(outcome)}")
    return case


def _evidence(outcome: Outcome) -> str:
    parts = [outcome.summary]
    if outcome.owner:
        parts.append(f"fault of the {outcome.owner}")
    parts += outcome.evidence
    path = log_path(outcome)
    if path:
        parts.append(f"log: {path}")
    if outcome.reproduce:
        parts += ["reproduce with:", *outcome.reproduce]
    return "\n".join(parts)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _legal(text: str) -> str:
    """``text`` without the characters XML 1.0 forbids, raw bytes spelled out, and what would
    turn the direction of the text in a viewer (CVE-2021-42574) as well."""
    shown = _TURNING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return _ILLEGAL.sub("", valid_unicode(shown))


def _time(seconds: float) -> str:
    return f"{max(seconds, 0.0):.3f}"


def _timestamp(started: str) -> str:
    """ISO 8601 without zone and fraction, as the schema has it; UTC by convention."""
    try:
        return datetime.fromisoformat(started).strftime("%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return started
