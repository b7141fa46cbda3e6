# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from kvtools import emulator
from kvtools.errors import MachineError, ToolMissing


def program(tmp_path: Path, text: str) -> str:
    path = tmp_path / "qemu-test"
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(0o755)
    return str(path)


def test_versions(tmp_path: Path) -> None:
    qemu = program(tmp_path, "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)")
    found = emulator.versions(qemu)
    assert found["qemu"] == "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)"
    assert found["virtme-ng"]


def test_only_the_first_line_counts(tmp_path: Path) -> None:
    qemu = program(tmp_path, "QEMU emulator version 9.2.0\nCopyright (c) 2003-2024")
    assert emulator.versions(qemu)["qemu"] == "9.2.0"


def test_a_missing_qemu_is_named_with_its_packages() -> None:
    with pytest.raises(ToolMissing, match="no-such-qemu is not installed") as caught:
        emulator.versions("no-such-qemu")
    assert "apt-get install" in caught.value.fix


def test_a_program_that_is_no_qemu(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no version"):
        emulator.versions(program(tmp_path, "hello"))
