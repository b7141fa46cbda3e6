# SPDX-License-Identifier: GPL-2.0-or-later
"""Every check of the doctor finds what it looks for, and nothing where there is nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kvtools import accel, bases, doctor, packages, paths
from kvtools.doctor import GIB, Health
from kvtools.errors import MachineError

NEEDED = packages.parse(
    "".join(
        f'[{level}]\nlevel = "{level}"\nwhy = "w"\nprograms = ["x"]\ndebian = "{level}-deb"\n'
        for level in ("optional", "speed", "wanted", "required")
    )
)


def test_packages_that_are_here_make_one_line() -> None:
    (line,) = doctor._packages(NEEDED, "debian", lambda entry: True)
    assert line == doctor.Diagnosis("programs", Health.OK, "optional, speed, wanted, required")


def test_missing_packages_the_worst_first_with_their_line() -> None:
    _, *lines = doctor._packages(NEEDED, "debian", lambda entry: False)
    assert [line.status for line in lines] == ["missing", "slow", "absent", "absent"]
    assert lines[0].mend == "sudo apt-get install -y --no-install-recommends required-deb"
    _, *lines = doctor._packages(NEEDED, "arch", lambda entry: False)
    assert lines[0].mend == "install it; Debian calls it required-deb"


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "tool-x"


@pytest.mark.parametrize(
    ("says", "status"),
    [
        ("tool version 2.39.5", Health.OK),
        ("tool version 2.32.0 (distro 9.9)", Health.OK),
        ("tool version 2.9.1", Health.MISSING),
        ("what?", Health.MISSING),
    ],
)
def test_version(tool: Path, says: str, status: Health) -> None:
    tool.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    tool.chmod(0o755)
    assert doctor.version("tool", ["tool-x"], (2, 32)).status == status


def test_a_program_that_is_missing_or_broken_is_a_diagnosis(tool: Path) -> None:
    def check() -> doctor.Diagnosis:
        return doctor.version("tool", ["tool-x"], (1,))

    missing = doctor._guarded("tool", check)
    assert missing.status == Health.MISSING and missing.what == "tool-x is not installed"
    tool.write_text("#!/bin/sh\necho no such symbol >&2; exit 127\n")
    tool.chmod(0o755)
    assert doctor._guarded("tool", check).what == "tool-x ended with status 127: no such symbol"


@pytest.mark.parametrize(
    ("found", "status", "mend"),
    [
        (accel.Accel("kvm", "ran"), Health.OK, ""),
        (accel.Accel("tcg", "no vmx or svm in /proc/cpuinfo"), Health.SLOW, "firmware"),
        (accel.Accel("tcg", "no permission for /dev/kvm: join the group kvm"), Health.SLOW, "-aG"),
        (accel.Accel("tcg", "no /dev/kvm: load kvm_intel or kvm_amd"), Health.SLOW, "modprobe"),
    ],
)
def test_acceleration(found: accel.Accel, status: Health, mend: str) -> None:
    line = doctor.acceleration(found)
    assert line.status == status and mend in line.mend and found.reason in line.what


def test_advice_fits_what_the_probe_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reasons are the probe's own words: they must still be those looked for."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (tmp_path / "kvm").touch()
    monkeypatch.setattr(accel, "CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("flags\t: fpu vmx\n")
    for device, mend in ((tmp_path / "kvm", "usermod"), (tmp_path / "none", "modprobe")):
        monkeypatch.setattr(accel, "KVM", device)
        assert mend in doctor.acceleration(accel.probe()).mend


def test_base() -> None:
    def info(default: bool, commit: str) -> bases.BaseInfo:
        return bases.BaseInfo("debian-6.1", "", default, commit, "6.1.9", ())

    assert doctor.base([info(True, "c" * 40)]).status == Health.OK
    assert doctor.base([info(True, "")]).mend == "./kv base prepare"
    assert doctor.base([info(False, "c" * 40)]).status == Health.MISSING


def test_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.disk(Path("/c"), 6 * GIB, 6 * GIB).status == Health.OK
    short = doctor.disk(Path("/c"), 6 * GIB - 1, 6 * GIB)
    assert short.status == Health.MISSING and "KVTOOLS_HOME" in short.mend
    home = paths.Home(tmp_path / "s/state", tmp_path / "c/cache")
    monkeypatch.setattr(doctor, "ROOM_FIRST", 1)
    assert doctor._disk(home).status == Health.OK
    monkeypatch.setattr(doctor, "ROOM_FIRST", 1 << 60)
    assert doctor._disk(home).status == Health.MISSING
    assert not home.cache.exists(), "the doctor only looks"


def test_places_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    line = doctor._disk(paths.Home(tmp_path / "state", tmp_path / "cache"))
    assert line.status == Health.MISSING and line.what.startswith("cannot write")


@pytest.mark.parametrize(("gib", "status"), [(1, Health.MISSING), (3, Health.SLOW), (8, Health.OK)])
def test_memory(gib: int, status: Health) -> None:
    text = f"MemTotal:       99999999 kB\nMemAvailable:   {gib << 20} kB\n"
    assert doctor.memory(text).status == status


def test_memory_of_an_unknown_kernel() -> None:
    assert doctor.memory("MemTotal: 1 kB\n").status == Health.MISSING


def test_processors() -> None:
    assert doctor.processors(1).status == Health.SLOW
    assert doctor.processors(2).status == Health.OK


def test_one_failing_check_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise MachineError("the probe broke", fix="mend it")

    monkeypatch.setattr(accel, "probe", broken)
    found = {line.name: line for line in doctor.examine()}
    assert found["acceleration"] == doctor.Diagnosis(
        "acceleration", Health.MISSING, "the probe broke", "mend it"
    )
    assert {"python", "git", "disk", "memory", "processors", "base"} <= found.keys()
