# SPDX-License-Identifier: GPL-2.0-or-later
"""The accelerator probe: what it decides without running, and that its image really runs."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

from kvtools import accel, process
from kvtools.accel import Accel
from kvtools.errors import ToolTimeout, UserError

INTEL = "processor : 0\nflags\t\t: fpu vme vmx sse2\n"
NESTED = "processor : 0\nflags\t\t: fpu vme sse2\nbugs : vmxish\n"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with VT-x and a /dev/kvm, as files."""
    (tmp_path / "cpuinfo").write_text(INTEL)
    (tmp_path / "boot_id").write_text("first\n")
    (tmp_path / "kvm").touch()
    monkeypatch.setattr(accel, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(accel, "BOOT_ID", tmp_path / "boot_id")
    monkeypatch.setattr(accel, "KVM", tmp_path / "kvm")
    monkeypatch.setattr(accel.platform, "machine", lambda: "x86_64")
    return tmp_path


def exits(monkeypatch: pytest.MonkeyPatch, status: int) -> list[str]:
    """Have the probe image end with ``status``; what it was run with."""
    ran: list[str] = []
    monkeypatch.setattr(accel, "run_image", lambda name, limit: ran.append(name) or status)
    return ran


def test_without_vmx_and_svm_nothing_is_run(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (host / "cpuinfo").write_text(NESTED)
    ran = exits(monkeypatch, 33)
    assert accel.probe() == Accel("tcg", "no vmx or svm in /proc/cpuinfo")
    assert ran == []


def test_without_the_device(host: Path) -> None:
    (host / "kvm").unlink()
    assert accel.probe().name == "tcg"


@pytest.mark.parametrize(("status", "name"), [(33, "kvm"), (0, "tcg"), (1, "tcg"), (-6, "tcg")])
def test_only_the_image_says_that_kvm_works(
    host: Path, monkeypatch: pytest.MonkeyPatch, status: int, name: str
) -> None:
    assert exits(monkeypatch, status) == []
    assert accel.probe().name == name


def test_a_hang_is_tcg(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(name: str, limit: float) -> int:
        raise ToolTimeout("qemu was killed after 10 s")

    monkeypatch.setattr(accel, "run_image", hang)
    found = accel.probe()
    assert found.name == "tcg"
    assert "hung" in found.reason


def test_once_per_boot(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = host / "cache"
    ran = exits(monkeypatch, 33)
    assert accel.probe(cache=cache) == accel.probe(cache=cache) == Accel("kvm", "ran 64-bit code")
    assert ran == ["kvm"]
    (host / "boot_id").write_text("second\n")
    accel.probe(cache=cache)
    (cache / "accel.json").write_text("{")
    accel.probe(cache=cache)
    assert ran == ["kvm"] * 3


def test_override(host: Path) -> None:
    assert accel.probe(override="tcg") == Accel("tcg", "asked for")
    with pytest.raises(UserError, match="no accelerator 'xen'; use kvm or tcg"):
        accel.probe(override="xen")


def test_the_header_is_multiboot() -> None:
    words = struct.unpack("<8I", accel.probe_image()[:32])
    assert words[0] == 0x1BADB002
    assert sum(words[:3]) & 0xFFFFFFFF == 0
    assert words[3] == words[4] == accel.LOAD
    assert words[7] == accel.LOAD + 32


qemu = pytest.mark.skipif(not shutil.which(accel.QEMU), reason=f"{accel.QEMU} is not installed")


@qemu
def test_the_image_ends_with_33_under_tcg() -> None:
    assert accel.run_image("tcg", 30.0) == 33


@qemu
def test_a_cpu_without_long_mode_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "probe.img"
    image.write_bytes(accel.probe_image())
    argv = list(accel.image_args("tcg", image))
    argv[argv.index("max")] = "qemu32"
    assert process.run(argv, deadline=30.0, check=False).returncode != 33
