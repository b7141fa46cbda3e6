# SPDX-License-Identifier: GPL-2.0-or-later
"""Architecture files, and the probe against programs that are there, missing or odd."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvtools import toolchain
from kvtools.errors import ConfigError, MachineError, ToolMissing

ROOT = Path(__file__).parents[2]
TOOLS = ("gcc", "ld", "make", "flex", "bison", "bc", "perl")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with stand-ins for every tool and nothing else."""
    for tool in TOOLS:
        program(tmp_path / tool, f"{tool} 1.2.3")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(toolchain.process, "which",
                        lambda name: tmp_path / name if (tmp_path / name).exists() else None)
    return tmp_path


def program(path: Path, says: str, status: int = 0) -> None:
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("name", toolchain.arch_names(ROOT))
def test_every_architecture_of_ours_loads(name: str) -> None:
    arch = toolchain.load_arch(name, ROOT)
    assert arch.name == name
    assert arch.image.startswith(f"arch/{arch.srcarch}/")


def test_the_probe_here_finds_a_compiler() -> None:
    chain = toolchain.probe("x86_64", ROOT)
    assert set(chain.versions) == set(TOOLS)
    assert chain == toolchain.probe("x86_64", ROOT)


def test_the_digest_follows_compiler_and_linker_only(programs: Path) -> None:
    first = toolchain.probe("x86_64", ROOT, "x86_64")
    program(programs / "make", "make 9")
    assert toolchain.probe("x86_64", ROOT, "x86_64").digest == first.digest
    program(programs / "ld", "ld 2.99")
    assert toolchain.probe("x86_64", ROOT, "x86_64").digest != first.digest


@pytest.mark.parametrize(("tool", "package"), [("gcc", "gcc"), ("ld", "binutils"), ("bc", "bc")])
def test_a_missing_program_comes_with_its_package(
    programs: Path, tool: str, package: str
) -> None:
    (programs / tool).unlink()
    with pytest.raises(ToolMissing, match=f"{tool} is not installed; apt-get install {package}"):
        toolchain.probe("x86_64", ROOT, "x86_64")


def test_another_host_needs_the_cross_compiler(programs: Path) -> None:
    with pytest.raises(ToolMissing, match=r"x86_64-linux-gnu-gcc.*gcc-x86-64-linux-gnu"):
        toolchain.probe("x86_64", ROOT, "aarch64")
    for tool in ("gcc", "ld"):
        program(programs / f"x86_64-linux-gnu-{tool}", f"{tool} 12")
    chain = toolchain.probe("x86_64", ROOT, "aarch64")
    assert (chain.cc, chain.cross) == ("x86_64-linux-gnu-gcc", "x86_64-linux-gnu-")


def test_a_program_that_says_nothing_is_the_machine_s_fault(programs: Path) -> None:
    program(programs / "gcc", "", 1)
    with pytest.raises(MachineError, match="gcc --version"):
        toolchain.probe("x86_64", ROOT, "x86_64")


@pytest.mark.parametrize("name", ["vax", "", "../arch/x86_64"])
def test_an_unknown_architecture(name: str) -> None:
    with pytest.raises(ConfigError, match="there are x86_64"):
        toolchain.load_arch(name, ROOT)


@pytest.mark.parametrize(("old", "new", "said"), [
    ('srcarch = "x86"', "", "srcarch is missing"),
    ("objects = 1170", 'objects = "many"', "objects is missing or no int"),
    ('console = "ttyS0"', 'console = "ttyS0"\ncolour = 1', "unknown key 'colour'"),
    ('console = "ttyS0"', "console =", "x86_64.toml"),
])
def test_a_wrong_architecture_file(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (ROOT / "kbuild/arch/x86_64.toml").read_text()
    assert old in text
    (tmp_path / "kbuild/arch").mkdir(parents=True)
    (tmp_path / "kbuild/arch/x86_64.toml").write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=said):
        toolchain.load_arch("x86_64", tmp_path)
