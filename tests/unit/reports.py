# SPDX-License-Identifier: GPL-2.0-or-later
"""Builders of report data for tests: small pieces with defaults, and one run of twelve patches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kvtools.model import Expectation, Finding, Outcome, Owner, Status, Step
from kvtools.report import Accel, BaseHead, Host, Row, RunReport, SeriesHead

DRIVER_REASON = "the driver comes with patch 10"
SCENARIOS = ("vmem.probe", "vmem.resize", "kselftest:memory-hotplug")
CELLS = ("apply", "build:guest", "boot:guest", *(f"selftest:{name}" for name in SCENARIOS))
SUBJECTS = (
    "mm: add a page type for logically offline pages",
    "mm: let PG_offline pages be offlined and dumped with their section intact",
    "mm/memory_hotplug: skip logically offline pages in offline_pages()",
    "mm/memory_hotplug: print debug message if offlining of pages fails",
    "kdump: export PG_offline to VMCOREINFO",
    "xen/balloon: mark inflated pages PG_offline",
    "hv_balloon: mark inflated pages PG_offline",
    "vmw_balloon: mark inflated pages PG_offline",
    "dt-bindings: virtio: add virtio-mem device 日本語の題名 e\u0301",
    "virtio-mem: paravirtualized memory",
    "virtio-mem: support for blocks bigger than a page block and for several zones at once",
    "MAINTAINERS: add myself as virtio-mem maintainer",
)
BUILD_SECONDS = (251.3, 241.0, 63.2, 18.9, 12.4, 9.8, 3.4, 3.3, 3.3, 3.6, 41.2, 12.9, 3.3)


def outcome(
    cell: str = "build:guest",
    status: Status = Status.PASS,
    seconds: float = 12.3,
    summary: str = "all is well",
    **more: Any,
) -> Outcome:
    """An outcome of ``cell`` (``step:name``); ``more`` are the other fields."""
    step, _, name = cell.partition(":")
    return Outcome(Step(step), name, status, seconds, summary, **more)


def skip(cell: str, summary: str = "CONFIG_X is missing") -> Outcome:
    return outcome(cell, Status.SKIP, 0.0, summary)


def row(number: int, *outcomes: Outcome, subject: str | None = None) -> Row:
    """A row with made-up ids; the base is number 0."""
    if subject is None:
        subject = "" if number == 0 else SUBJECTS[(number - 1) % len(SUBJECTS)]
    return Row(number, subject, f"{number:040x}", f"{number + 0xA0:040x}", outcomes)


def report(*rows: Row, status: Status = Status.PASS, **more: Any) -> RunReport:
    """A run of ``rows``; by default the base and one patch, all passing."""
    fields: dict[str, Any] = {
        "id": "20260301-101500-ab12",
        "started": "2026-03-01T10:15:00Z",
        "seconds": 1264.2,
        "status": status,
        "accel": Accel("tcg", "no vmx or svm in /proc/cpuinfo"),
        "host": Host(2, 24 << 30, "0.1.0", {"qemu": "7.2.19", "vng": "1.42", "gcc": "12.2.0"}),
        "series": SeriesHead(
            "virtio-mem", "PG_offline and virtio-mem", "patches/virtio-mem", 1, None, None
        ),
        "base": BaseHead(
            "debian-6.1", "6.1.192", "b" * 40, "c" * 40, "linux-source-6.1 6.1.192-1", False
        ),
        "rows": rows
        or (
            row(0, outcome("build:guest", seconds=251.3)),
            row(1, outcome("apply", seconds=0.2), outcome("build:guest")),
        ),
        "command": ("kvtools", "test"),
    }
    return RunReport(**{**fields, **more})


def resize_subtests(*, shrink: str = "PASS") -> list[dict[str, Any]]:
    return [
        {
            "name": "grow",
            "status": "PASS",
            "message": "",
            "seconds": 0.4,
            "figures": {"requested": 1 << 30, "plugged": 1 << 30},
        },
        {"name": "shrink", "status": shrink, "message": "stopped at 256 MiB of 0"},
    ]


def twelve(directory: Path = Path("/state/outcomes")) -> RunReport:
    """The base and twelve patches with one of everything: WARN, FAIL, ERROR, SKIP, reuse."""
    rows = tuple(_row_of_twelve(number, directory) for number in range(13))
    return report(
        *rows,
        status=Status.FAIL,
        expectations=tuple(
            Expectation(f"selftest:{name}", 10, DRIVER_REASON) for name in SCENARIOS[:2]
        ),
        notices=("ccache is not installed: builds take longer",),
    )


def _row_of_twelve(number: int, directory: Path) -> Row:
    place = directory / f"{number:02d}"
    applied = outcome("apply", seconds=0.2, summary="3 files", directory=place)
    done = [applied] if number else []
    done.append(_build(number, place))
    done.append(outcome("boot:guest", seconds=6.1 + number / 10, summary="booted", directory=place))
    for name in SCENARIOS[:2]:
        cell = f"selftest:{name}"
        if number < 10:
            done.append(skip(cell, f"the kernel has no CONFIG_VIRTIO_MEM ({DRIVER_REASON})"))
        elif name == "vmem.resize" and number in (10, 11):
            done.append(_failed_resize(number, place))
        else:
            done.append(outcome(cell, seconds=8.8, directory=place, reused=number == 12))
    done.append(_kselftest(number, place))
    return row(number, *done)


def _build(number: int, place: Path) -> Outcome:
    more: dict[str, Any] = {"directory": place, "log": "build.log", "reused": number == 0}
    if number != 3:
        return outcome(seconds=BUILD_SECONDS[number], summary="1450 objects", **more)
    text = "unused variable \u2018pfn\u2019 [-Wunused-variable]"
    finding = Finding("gcc", "warning", "mm/memory_hotplug.c", 1612, "offline_pages", text)
    return outcome(
        status=Status.WARN,
        seconds=BUILD_SECONDS[3],
        summary=f"new: mm/memory_hotplug.c: {text}",
        owner=Owner.PATCH,
        evidence=(f"mm/memory_hotplug.c:1612:23: warning: {text}",),
        reproduce=("git checkout 0003", "make O=../o -j3 bzImage"),
        fingerprints=("gcc: mm/memory_hotplug.c: offline_pages: unused variable",),
        details={"warnings": [finding], "objects_built": 61},
        **more,
    )


def _failed_resize(number: int, place: Path) -> Outcome:
    return outcome(
        "selftest:vmem.resize",
        Status.FAIL,
        31.5,
        "shrink: plugged size stayed at 256 MiB, 0 requested",
        owner=Owner.PATCH,
        log="console.log",
        directory=place,
        evidence=(
            "[    4.812345] BUG: Bad page state in process kworker/0:1  pfn:1c000",
            "[    4.812399] page:(____ptrval____) refcount:0 mapcount:-1024 \x1b[31mred\x1b[0m",
        ),
        reproduce=("qemu-system-x86_64 -m 512M,maxmem=8G -kernel bzImage", "echo done"),
        fingerprints=("BUG: Bad page state in virtio_mem_unplug_request",),
        details={"subtests": resize_subtests(shrink="FAIL"), "splats": [{"title": "Bad page"}]},
    )


def _kselftest(number: int, place: Path) -> Outcome:
    cell = "selftest:kselftest:memory-hotplug"
    if number == 7:
        return outcome(
            cell,
            Status.ERROR,
            120.0,
            "the guest stopped answering and its console shows no fault",
            owner=Owner.MACHINE,
            log="qemu.log",
            directory=place,
            evidence=("qemu-system-x86_64: terminating on signal 9",),
        )
    return outcome(cell, seconds=14.2, summary="6 of 6 passed", directory=place)
