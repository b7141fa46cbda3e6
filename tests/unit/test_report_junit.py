# SPDX-License-Identifier: GPL-2.0-or-later
"""JUnit XML: it parses whatever is in the logs, and keeps to what Jenkins and GitLab read."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
import reports

from kvtools.model import Owner, Status
from kvtools.report import RunReport, to_junit

# xunit.xsd of the Jenkins xUnit plugin and Ant's JUnit formatter.
ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped", "time"},
    "testsuite": {
        "name", "id", "package", "timestamp", "time", "tests", "failures", "errors", "skipped",
    },
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"classname", "name", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message", "type"},
    "system-out": set(),
}  # fmt: skip
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "testcase": {"failure", "error", "skipped", "system-out"},
}


def parse(report: RunReport) -> ET.Element:
    return ET.fromstring(to_junit(report).encode("utf-8"))


def check_conventions(root: ET.Element) -> None:
    for element in root.iter():
        assert set(element.attrib) == ATTRIBUTES[element.tag]
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
        if "time" in element.attrib:
            assert re.fullmatch(r"\d+\.\d{3}", element.attrib["time"])
    for suite in root.iter("testsuite"):
        cases = suite.findall("testcase")
        tags = {"failures": "failure", "errors": "error", "skipped": "skipped"}
        assert int(suite.attrib["tests"]) == len(cases)
        for key, tag in tags.items():
            assert int(suite.attrib[key]) == len(suite.findall(f"testcase/{tag}"))
        names = [(c.attrib["classname"], c.attrib["name"]) for c in cases]
        assert len(set(names)) == len(names)  # GitLab keeps one of those that look alike
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
    for key in ("tests", "failures", "errors", "skipped"):
        assert int(root.attrib[key]) == sum(int(s.attrib[key]) for s in root)


def case(root: ET.Element, suite: int, name: str) -> ET.Element:
    return next(c for c in root[suite].findall("testcase") if c.attrib["name"] == name)


def test_conventions() -> None:
    check_conventions(parse(reports.twelve()))
    check_conventions(parse(reports.report()))
    check_conventions(parse(reports.report(reports.row(0))))


def test_the_conventions_can_be_broken() -> None:
    root = parse(reports.report())
    root[0].set("failures", "7")
    with pytest.raises(AssertionError):
        check_conventions(root)


def test_suites_are_patches() -> None:
    root = parse(reports.twelve())
    assert len(root) == 13
    assert root[0].attrib["name"] == "0000 base debian-6.1"
    assert root[10].attrib["name"] == "0010 virtio-mem: paravirtualized memory"
    assert root[1].attrib["time"] == "261.600"
    classname = case(root, 0, "build:guest").attrib["classname"]
    assert classname == "virtio-mem.0000 base debian-6_1"


def test_statuses() -> None:
    root = parse(reports.twelve())
    failure = case(root, 10, "selftest:vmem.resize").find("failure")
    assert failure is not None and failure.text is not None
    assert failure.attrib["type"] == "patch"
    assert failure.attrib["message"] == "shrink: plugged size stayed at 256 MiB, 0 requested"
    assert "BUG: Bad page state" in failure.text and "reproduce with:\nqemu-system" in failure.text
    assert "log: /state/outcomes/10/console.log" in failure.text
    error = case(root, 7, "selftest:kselftest:memory-hotplug").find("error")
    assert error is not None and error.attrib["type"] == "machine"
    skipped = case(root, 1, "selftest:vmem.probe").find("skipped")
    assert skipped is not None and reports.DRIVER_REASON in skipped.attrib["message"]
    warned = case(root, 3, "build:guest")
    assert [child.tag for child in warned] == ["system-out"]
    assert (warned[0].text or "").startswith("WARN: new: mm/memory_hotplug.c")
    assert list(case(root, 3, "apply")) == []


def test_subtests_are_cases() -> None:
    root = parse(reports.twelve())
    assert case(root, 10, "selftest:vmem.resize.grow").attrib["time"] == "0.400"
    assert case(root, 10, "selftest:vmem.resize.shrink").find("failure") is not None


def test_what_xml_forbids_is_gone() -> None:
    evil = "a\x00\x1b[31m\x0b\ufffe\udcff<&>\"'\ud800]]>b"
    made = reports.outcome(
        "boot:guest", Status.FAIL, summary=evil, owner=Owner.KERNEL, evidence=(evil,),
        reproduce=(evil,), details={"subtests": [{"name": evil, "status": "FAIL"}, {"name": "b"}]},
    )  # fmt: skip
    report = reports.report(reports.row(1, made, subject=evil))
    report = replace(report, series=replace(report.series, name=evil))
    root = parse(report)
    check_conventions(root)
    failure = case(root, 0, "boot:guest").find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "a[31m \\xff<&>\"'\\ud800]]>b"


def test_an_odd_start_time_is_kept() -> None:
    root = parse(replace(reports.report(), started="some time"))
    assert root[0].attrib["timestamp"] == "some time"
