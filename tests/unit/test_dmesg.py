# SPDX-License-Identifier: GPL-2.0-or-later
"""Console logs with the faults that have to be found in them; near misses as much."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kvtools import dmesg
from kvtools.dmesg import Kind, Severity

DATA = Path(__file__).parents[1] / "data" / "dmesg"
LOGS = sorted(DATA.glob("*.log"))


def sample(name: str) -> tuple[list[str], str]:
    """What has to be found (fingerprints, ``panicked`` where the kernel stopped) and the log."""
    header, _, log = (DATA / f"{name}.log").read_text("utf-8").partition("\n\n")
    return [line.removeprefix("TITLE: ") for line in header.splitlines() if line != "NO TITLE"], log


def found(log: str | bytes) -> list[str]:
    return [s.fingerprint + (" panicked" if s.panicked else "") for s in dmesg.parse(log)]


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_log(path: Path) -> None:
    wanted, log = sample(path.stem)
    assert found(log) == wanted


def test_every_kind_has_a_log() -> None:
    seen = {splat.kind for path in LOGS for splat in dmesg.parse(sample(path.stem)[1])}
    assert seen == set(Kind)


def without_time(log: str) -> str:
    return re.sub(r"(?m)^\[ *\d+\.\d+\](\[ *[TC]\d+\])? ", "", log)


def with_callers(log: str) -> str:
    return re.sub(r"(?m)^(\[ *\d+\.\d+\]) ", r"\1[   T42] ", log)


DISTURBANCES: dict[str, Callable[[str], str | bytes]] = {
    "CRLF": lambda log: log.replace("\n", "\r\n"),
    "CRCRLF": lambda log: log.replace("\n", "\r\r\n"),
    "levels": lambda log: re.sub(r"(?m)^\[", "<4>[", log),
    "ANSI": lambda log: re.sub(r"(?m)^(\[ *[\d.]+\])", "\x1b[32m\\1\x1b[0m", log),
    "callers": with_callers,
    "no time": without_time,
    "not UTF-8": lambda log: log.replace("Hardware name:", "Hardware n\xe4me:").encode("latin-1"),
    "NUL and BEL": lambda log: "\0\x07" + log.replace("\n", "\n\0"),
    "boot screen": lambda log: "\x1bc\x1b[?7l\x1b[2JSeaBIOS (version 1.16.2)\n\n" + log,
}


@pytest.mark.parametrize("name", DISTURBANCES)
def test_a_serial_console_changes_nothing(name: str) -> None:
    for path in LOGS:
        wanted, log = sample(path.stem)
        if path.stem == "interleaved" and name in ("no time", "ANSI"):
            continue  # what is on one line with a program's output cannot be told without them
        if path.stem == "near-misses" and name == "no time":
            continue  # without timestamps only the words are left
        assert found(DISTURBANCES[name](log)) == wanted, path.stem


def test_the_fingerprint_does_not_depend_on_the_build_or_the_run() -> None:
    """Other addresses, offsets, lines, times, pids, CPUs and compiler clones."""

    def other(log: str) -> str:
        log = re.sub(r"\+0x[0-9a-f]+/0x[0-9a-f]+", "+0x7f7/0x1234", log)
        log = re.sub(r"([a-z])\.(isra|constprop|part)\.0\+", r"\1+", log)
        log = re.sub(r"\b(virtio_mem_\w+|online_pages)\+", r"\1.constprop.3.isra.0+", log)
        log = re.sub(r"ffff[0-9a-f]{12}", "ffffdeadbeef0123", log)
        log = re.sub(r"CPU: \d+ PID: \d+", "CPU: 15 PID: 31337", log)
        log = re.sub(r"\.([chS]):\d+", r".\1:4711", log)
        log = re.sub(r"kworker/\d+:\d+", "kworker/15:3", log)
        return re.sub(r"(?m)^\[ *\d+\.\d+\]", "[ 9999.000001]", log)

    for path in LOGS:
        wanted, log = sample(path.stem)
        changed = other(log)
        assert changed != log or path.stem == "kmemleak"
        assert found(changed) == wanted, path.stem


def test_another_function_is_another_fingerprint() -> None:
    _, log = sample("warning")
    assert found(log.replace("online_pages+", "offline_pages+")) == [
        "warning: WARNING in offline_pages"]


def test_severities() -> None:
    def severity(name: str) -> Severity:
        return dmesg.parse(sample(name)[1])[0].severity

    assert severity("oops-null") is Severity.FATAL
    assert severity("warning") is Severity.SPLAT
    assert severity("oom") is Severity.OOM
    assert severity("allocation") is Severity.ALLOCATION
    assert dmesg.parse(sample("panic-on-warn")[1])[0].fatal
    assert not dmesg.parse(sample("oom")[1])[0].fatal


def test_the_excerpt_is_the_report_and_the_line_its_first() -> None:
    _, log = sample("warning")
    (splat,) = dmesg.parse(log)
    assert splat.line == 2
    assert splat.excerpt[0] == log.splitlines()[1]
    assert splat.excerpt[-1].endswith("---[ end trace 0000000000000000 ]---")
    assert len(splat.excerpt) <= dmesg.EXCERPT_LINES


def test_other_contexts_stay_out_of_the_excerpt() -> None:
    (splat,) = dmesg.parse(sample("interleaved")[1])
    assert not any("crng" in line or "tsc" in line for line in splat.excerpt)
    assert splat.line == 1


def test_the_excerpt_of_an_oom_kill_names_the_victim() -> None:
    _, log = sample("oom")
    filler = "[   12.400000] [    119]     0   119      660      223    45056        0      0 cat\n"
    (splat,) = dmesg.parse(log.replace("[   12.3484", filler * 100 + "[   12.3484", 1))
    assert splat.title == "OOM kill of hog"
    assert len(splat.excerpt) <= dmesg.EXCERPT_LINES
    assert "Killed process 121 (hog)" in " ".join(splat.excerpt)


def test_a_repeated_fault_is_one_with_a_count() -> None:
    _, log = sample("warning")
    (splat,) = dmesg.parse(log * 7)
    assert splat.count == 7
    assert splat.line == 2


def test_a_panic_long_after_an_oops_is_its_own() -> None:
    _, log = sample("oops-null")
    quiet = "".join(f"[  100.{n:06}] quiet line\n" for n in range(dmesg.REPORT_LINES))
    panic = "[  200.000000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x1\n"
    assert [s.kind for s in dmesg.parse(log + quiet + panic)] == [Kind.OOPS, Kind.PANIC]
    assert [s.kind for s in dmesg.parse(log + panic)] == [Kind.OOPS]


def test_a_cut_off_log() -> None:
    _, log = sample("warning")
    for end in range(len(log)):
        assert len(dmesg.parse(log[:end])) <= 1
    assert dmesg.parse("") == ()
    assert dmesg.parse(b"\xff\xfe\r\n\x00") == ()


def test_a_long_log_is_read_quickly() -> None:
    log = "".join(f"[{n:12.6f}] virtio_mem virtio1: plugged size: {n:#x}\n" for n in range(20_000))
    begun = time.monotonic()
    assert dmesg.parse(log) == ()
    assert time.monotonic() - begun < 5
