# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs with everything that the readers know how to show, and one with hostile text everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import reports

from kvtools.model import Outcome, Owner, Status
from kvtools.report import BaseHead, Row, RunReport, SeriesHead

EVIL = (
    "\x1b]0;owned\x07\x1b[2J\u202etxt.exe\u2066 </pre><script>alert(1)</script>"
    "<img src=x onerror=alert(2)>\"'--> \x00\udcff {{7*7}} `|[x](javascript:alert(3)) @torvalds #1"
)
SHARES = ((0.71, 1.0), (0.74, 1.0), (0.93, 1.0))
RANGE_DIFF = """\
1:  1111111 = 1:  2222222 mm: add a page type for logically offline pages
2:  3333333 ! 2:  4444444 mm: let PG_offline pages be offlined
    @@ mm/memory_hotplug.c: int __ref offline_pages(unsigned long start_pfn)
      \t/* the order of these two matters */
    -+\tif (PageOffline(page))
    ++\tif (page_count(page) == 0 && PageOffline(page))
     +\t\tcontinue;
-:  ------- > 3:  5555555 MAINTAINERS: add myself"""


def log_of(lines: int, width: int = 80, splat: int | None = None) -> str:
    """A console log; a splat begins at line ``splat``."""
    made = [f"[{n / 10:12.6f}] virtio_mem virtio0: line {n} " for n in range(lines)]
    made = [line.ljust(width, ".") for line in made]
    if splat is not None:
        made[splat : splat + 2] = SPLAT
    return "\n".join(made) + "\n"


SPLAT = (
    "[    4.812345] BUG: Bad page state in process kworker/0:1  pfn:1c000",
    "[    4.812399] page:(____ptrval____) refcount:0 mapcount:-1024",
)


def rich(patches: int = 12, directory: Path = Path("/state/outcomes")) -> RunReport:
    """The base and ``patches``: checks, two configs, shares given back, dumps, a range-diff."""
    rows = tuple(_row(n, patches, directory / f"{n:02d}") for n in range(patches + 1))
    made = reports.report(*rows, status=Status.FAIL, notices=("ccache is not installed",))
    return replace(
        made,
        command=("kvtools", "test", "patches/virtio-mem", "--base", "debian 6.1"),
        series=replace(made.series, revision=2, change_id="20260301-pg-offline-1a2b3c"),
    )


def _row(number: int, last: int, place: Path) -> Row:
    cells = [reports.outcome("apply", seconds=0.2, summary="3 files")] if number else []
    if number:
        cells += [_checkpatch(number), _range_check(number, last)]
    cells += [_build(number, place, config) for config in ("guest", "guest-off")]
    cells += [_boot(number, place), _zone(number, place), _dump(number, place)]
    return reports.row(number, *filter(None, cells))


def _checkpatch(number: int) -> Outcome:
    finding = {
        "rule": "LONG_LINE", "text": "line over 100 columns", "file": "mm/memory_hotplug.c",
        "line": 1612, "level": "warn", "state": "new" if number == 3 else "pre-existing",
    }  # fmt: skip
    return reports.outcome(
        "check:checkpatch",
        Status.WARN if number == 3 else Status.PASS,
        0.4,
        "LONG_LINE: mm/memory_hotplug.c:1612: line over 100 columns" if number == 3 else "clean",
        owner=Owner.PATCH if number == 3 else None,
        details={"findings": [finding] if number in (3, 4) else [], "fixed": []},
    )


def _range_check(number: int, last: int) -> Outcome | None:
    if number != last:
        return None
    return reports.outcome("check:range-diff", details={"range_diff": RANGE_DIFF, "findings": []})


def _build(number: int, place: Path, config: str) -> Outcome:
    text = "unused variable \u2018pfn\u2019 [-Wunused-variable]"
    warning = {"tool": "gcc", "severity": "warning", "file": "mm/page_alloc.c", "line": 77 + number,
               "function": "free_pages", "text": text}  # fmt: skip
    mark = f"gcc: mm/page_alloc.c: free_pages: {text}"
    details: dict[str, Any] = {
        "image_bytes": 2_800_000 + 4096 * (number % 5) - (9000 if number > 9 else 0),
        "warnings": [warning] if number else [],
        "objects_built": 1450 if not number else 20 + number,
    }
    if config == "guest-off" and number == 4:
        return reports.outcome(
            "build:guest-off", Status.FAIL, 20.0,
            "mm/page_alloc.c:81: error: \u2018pfn\u2019 undeclared",
            owner=Owner.PATCH, log="build.log", directory=place,
            evidence=("mm/page_alloc.c:81:9: error: \u2018pfn\u2019 undeclared",),
            fingerprints=("gcc: mm/page_alloc.c: free_pages: undeclared",),
            details={**details, "new": ["gcc: mm/page_alloc.c: free_pages: undeclared"],
                     "errors": [{**warning, "severity": "error", "text": "undeclared"}]},
            reproduce=("git checkout 0004", "make O=../o -j3 bzImage"),
        )  # fmt: skip
    if number:
        details |= {"new": [mark] if number > 2 else [], "fixed": ["gcc: mm/slub.c: init: unused"]}
    return reports.outcome(
        f"build:{config}", Status.WARN if number > 2 and config == "guest" else Status.PASS,
        reports.BUILD_SECONDS[number % 13], f"{details['objects_built']} objects",
        owner=Owner.PATCH if number > 2 else None, log="build.log", directory=place,
        fingerprints=(mark,) if number > 2 else (), details=details, reused=number == 0,
    )  # fmt: skip


def _boot(number: int, place: Path) -> Outcome:
    splats = [{"kind": "warning", "title": "WARNING in x86_init", "line": 41, "count": 1}]
    known: dict[str, Any] = {"new": [], "preexisting": ["splat: WARNING in x86_init"]}
    return reports.outcome(
        "boot:guest", Status.WARN if number else Status.FAIL, 6.1,
        "pre-existing on the base: WARNING in x86_init" if number else "WARNING in x86_init",
        owner=None if number else Owner.KERNEL, log="console.log", directory=place,
        evidence=SPLAT, fingerprints=("splat: WARNING in x86_init",),
        details={"accel": "tcg", "boot_seconds": 4.5, "splats": splats} | (known if number else {}),
        reproduce=("qemu-system-x86_64 -m 512M \\\n  -kernel bzImage",),
    )  # fmt: skip


def _zone(number: int, place: Path) -> Outcome:
    if number == 1:
        return reports.skip("selftest:vmem.zone", "the driver comes with patch 2")
    shares = SHARES[min(number, 2)]
    parts = [
        {"name": f"{size}.{zone}.given-back", "status": "PASS", "message": f"{share:.0%} came back",
         "figures": {"share": share, "left": int((1 - share) * (768 << 20)), "seconds": 1.25}}
        for size in ("4M", "128M")
        for zone, share in zip(("normal", "movable"), shares, strict=True)
    ]  # fmt: skip
    return reports.outcome(
        "selftest:vmem.zone", seconds=40 + number, summary="4 of 4 subtests passed",
        log="console.log", directory=place, details={"subtests": parts},
    )  # fmt: skip


def _dump(number: int, place: Path) -> Outcome:
    levels = [
        {"level": level, "bytes": size, "zero": zero, "free": 90_000, "offline": 31_744}
        for level, size, zero in ((0, 1_400_000_000, 0), (16, 300_000_000, 0), (31, 19_000_000, 9))
    ]
    return reports.outcome(
        "dump:dump.kdump", seconds=11.0, log="kdump.log", directory=place,
        summary="3 levels agree", details={"levels": levels, "deep": {"a": {"b": [1, {"c": 2}]}}},
    )  # fmt: skip


def logs(lines: int = 900) -> Callable[[Outcome], str | None]:
    """Gives every outcome a console log in memory."""
    text = log_of(lines, splat=lines // 2)
    return lambda outcome: text if outcome.log else None


def hostile() -> RunReport:
    """EVIL wherever a patch, a guest or a file name can put text."""
    part = {"name": EVIL, "status": "FAIL", "message": EVIL, "figures": {EVIL: EVIL, "share": 0.5}}
    finding = {"rule": EVIL, "text": EVIL, "file": EVIL, "line": 3, "level": "fail", "state": "new"}
    made = (
        reports.outcome(
            "selftest:" + EVIL, Status.FAIL, summary=EVIL, owner=Owner.KERNEL, log=EVIL,
            directory=Path("/x") / EVIL.replace("\x00", ""), evidence=(EVIL, EVIL + "\n::error::x"),
            reproduce=(EVIL, "echo\n" + EVIL), fingerprints=(EVIL,),
            details={EVIL: EVIL, "list": [{EVIL: EVIL, "n": 1}], "new": [EVIL], "fixed": [EVIL],
                     "preexisting": [EVIL], "subtests": [part, part], "range_diff": EVIL},
        ),
        reports.outcome("check:evil", Status.FAIL, summary=EVIL, details={"findings": [finding]}),
        reports.outcome("build:evil", details={"image_bytes": 5, "errors": [EVIL], "new": 7}),
        reports.skip("boot:evil", EVIL),
    )  # fmt: skip
    base = reports.row(0, reports.outcome("build:evil", details={"image_bytes": 9}), subject=EVIL)
    report = reports.report(base, reports.row(1, *made, subject=EVIL), status=Status.FAIL)
    return replace(
        report, id=EVIL, started=EVIL, command=("kvtools", EVIL), notices=(EVIL,),
        series=SeriesHead(EVIL, EVIL, EVIL, 2, EVIL, EVIL),
        base=BaseHead(EVIL, EVIL, EVIL, EVIL, EVIL, False),
        accel=replace(report.accel, reason=EVIL),
        host=replace(report.host, kvtools=EVIL, tools={EVIL: EVIL}),
    )  # fmt: skip
