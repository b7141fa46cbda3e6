# SPDX-License-Identifier: GPL-2.0-or-later
"""A configuration is made again whenever it could come out otherwise."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kvtools import kconfig, make, toolchain
from kvtools.make import configured
from kvtools.model import Config

ROOT = Path(__file__).parents[2]
TEXT = "CONFIG_64BIT=y\nCONFIG_SPARSEMEM=y\n"
AGAIN = "# configured as at"


@pytest.mark.parametrize("path", [
    "Kconfig", "mm/Kconfig", "init/Kconfig.preempt", "Makefile", "arch/x86/Makefile",
    "arch/x86/Makefile_32.cpu", "scripts/kconfig/expr.c", "scripts/Makefile.build",
    "kernel/configs/kvm_guest.config", "arch/powerpc/tools/check.sh"])
def test_configuring_reads(path: str) -> None:
    assert configured.is_read(path)


@pytest.mark.parametrize("path", [
    "mm/memory.c", "include/linux/mm.h", "mm/Makefile", "arch/x86/lib/memcpy_64.S",
    "Documentation/mm/index.rst", "MAINTAINERS"])
def test_configuring_does_not_read(path: str) -> None:
    assert not configured.is_read(path)


class Kernel:
    """The fake tree, its object directory and the log of what make said."""

    def __init__(self, source: Path, work: Path) -> None:
        self.source, self.log = source, work / "log"
        self.tree = make.Tree(source, work / "o", toolchain.probe("x86_64", ROOT))
        asked = kconfig.fragment(TEXT, "test")
        self.config = Config("guest", "x86_64", "tinyconfig", TEXT, asked.requested,
                             asked.optional, "")

    def recalled(self, *, recall: bool = True) -> bool:
        """Configure; whether that was done without make, to the same end."""
        self.log.write_text("")
        make.open_objects(self.tree)
        made, raw = make.configure(self.tree, self.config, deadline=60.0, log=self.log,
                                   recall=recall)
        assert made.status == 0, made.text
        assert raw == (self.tree.objects / ".config").read_bytes()
        return self.log.read_text().startswith(AGAIN)

    def edit(self, path: str, *, commit: bool = True) -> None:
        with (self.source / path).open("a") as file:
            file.write("\n# edited\n" if "Kconfig" in path else "\n/* edited */\n")
        if commit:
            subprocess.run(["git", "-C", self.source, "-c", "user.name=T", "-c",
                            "user.email=t@example.org", "commit", "-qam", "edit"], check=True)


@pytest.fixture
def kernel(fakelinux: Path, tmp_path: Path) -> Kernel:
    return Kernel(fakelinux, tmp_path)


def test_a_patch_to_code_is_not_configured_again(kernel: Kernel) -> None:
    assert not kernel.recalled()
    before = kernel.log.read_text()
    kernel.edit("mm/page_alloc.c")
    age = (kernel.tree.objects / ".config").stat().st_mtime_ns
    assert kernel.recalled()
    assert (kernel.tree.objects / ".config").stat().st_mtime_ns == age
    assert set(before.splitlines()) <= {*kernel.log.read_text().splitlines()} | {""}, \
        "what make had to say is in this patch's log as well"


@pytest.mark.parametrize("commit", [True, False])
def test_a_patch_to_kconfig_is(kernel: Kernel, *, commit: bool) -> None:
    kernel.recalled()
    kernel.edit("Kconfig", commit=commit)
    assert not kernel.recalled()
    assert kernel.recalled() is commit  # what is not committed is not remembered


def test_so_is_a_kconfig_file_that_git_does_not_know(kernel: Kernel) -> None:
    kernel.recalled()
    (kernel.source / "Kconfig.more").write_text("config MORE\n\tbool\n")
    assert not kernel.recalled()


def test_another_fragment_is(kernel: Kernel) -> None:
    kernel.recalled()
    kernel.config = replace(kernel.config, text=f"{TEXT}CONFIG_MIGRATION=y\n")
    assert not kernel.recalled()


def test_a_config_that_somebody_changed_is(kernel: Kernel) -> None:
    kernel.recalled()
    with (kernel.tree.objects / ".config").open("a") as file:
        file.write("CONFIG_MORE=y\n")
    assert not kernel.recalled()


def test_another_process_asks_the_machine_again(kernel: Kernel) -> None:
    kernel.recalled()
    stamp = kernel.tree.objects / ".kvtools-configured"
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "process": "1 1"}))
    assert not kernel.recalled()


def test_a_stamp_of_another_kind_is_no_stamp(kernel: Kernel) -> None:
    kernel.recalled()
    for text in ("", "[]", "{}", '{"process": 1}'):
        (kernel.tree.objects / ".kvtools-configured").write_text(text)
        assert not kernel.recalled(), text


def test_without_the_switch_make_is_asked_every_time(kernel: Kernel) -> None:
    kernel.recalled()
    assert not kernel.recalled(recall=False)
    assert not kernel.recalled(), "and nothing is left to recall"
