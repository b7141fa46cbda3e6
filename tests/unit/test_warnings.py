# SPDX-License-Identifier: GPL-2.0-or-later
"""What compilers, linkers and checkers print, and what is the same message on another day."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kvtools import warnings

DATA = Path(__file__).parents[1] / "data" / "warnings"
ROOT = Path("/home/me/linux")


def read(name: str) -> str:
    return (DATA / f"{name}.txt").read_text("utf-8")


def rows(text: str) -> list[tuple[str, str, str, int, str, str]]:
    return [(f.tool, f.severity, f.file, f.line, f.function, f.text)
            for f in warnings.parse(text, ROOT)]


def test_gcc() -> None:
    assert rows(read("gcc")) == [
        ("cc", "error", "include/linux/page-flags.h", 984, "PageOffline",
         "'PG_offlin' undeclared (first use in this function); did you mean 'PG_offline'?"),
        ("cc", "warning", "mm/memory_hotplug.c", 1089, "online_pages",
         "unused variable 'ret' [-Wunused-variable]"),
        ("cc", "warning", "mm/memory_hotplug.c", 77, "",
         "'lost' defined but not used [-Wunused-function]"),
        ("sparse", "warning", "mm/slub.c", 120, "",
         "incorrect type in argument 1 (different address spaces)"),
        ("make", "error", "mm/memory_hotplug.o", 0, "", "Error 1"),
    ]


def test_context_is_kept_as_evidence() -> None:
    first = warnings.diagnostics(read("gcc"), ROOT)[0]
    assert first.included_from == ("include/linux/mm.h:7", "mm/memory_hotplug.c:10")
    assert first.lines[0].startswith("In file included from")
    assert any("return PG_offlin;" in line for line in first.lines)
    assert "note: each undeclared identifier" in first.lines[-1]
    assert not any("online_pages" in line for line in first.lines)


def test_linker_and_checkers() -> None:
    assert rows(read("tools")) == [
        ("kconfig", "warning", "", 0, "", "unmet direct dependencies of MEMORY_HOTREMOVE"),
        ("kconfig", "error", "drivers/virtio/Kconfig", 118, "", "recursive dependency detected!"),
        ("objtool", "warning", "vmlinux.o", 0, "virtio_mem_run_wq",
         "virtio_mem_run_wq: unreachable instruction"),
        ("objtool", "warning", "drivers/virtio/virtio_mem.o", 0, "virtio_mem_probe",
         "virtio_mem_probe() falls through to next function virtio_mem_remove()"),
        ("modpost", "warning", "vmlinux", 0, "",
         "vmlinux.o: section mismatch in reference: online_pages (section: .text) -> "
         "memmap_init (section: .meminit.text)"),
        ("modpost", "error", "drivers/virtio/virtio_mem", 0, "",
         '"__SetPageOffline" [drivers/virtio/virtio_mem.ko] undefined!'),
        ("ld", "error", "mm/memory_hotplug.o", 0, "online_pages",
         "undefined reference to 'generic_online_page'"),
        ("ld", "error", "drivers/virtio/virtio_mem.c", 1180, "virtio_mem_fake_online",
         "undefined reference to 'generic_online_page'"),
        ("ld", "error", "mm/page_alloc.c", 12, "",
         "multiple definition of 'twice'; mm/memory_hotplug.o:mm/memory_hotplug.c: "
         "first defined here"),
        ("ld", "warning", "", 0, "",
         "arch/x86/lib/foo.o: missing .note.GNU-stack section implies executable stack"),
        ("as", "error", "arch/x86/entry/entry_64.S", 104, "", "no such instruction: 'swapg'"),
        ("make", "error", "", 0, "",
         "No rule to make target 'mm/offline.o', needed by 'mm/built-in.a'."),
    ]


def test_clang_and_a_relative_source() -> None:
    assert rows(read("clang")) == [
        ("cc", "error", "mm/memory_hotplug.c", 1089, "",
         "use of undeclared identifier 'nr_page'; did you mean 'nr_pages'?"),
        ("cc", "warning", "mm/memory_hotplug.c", 1200, "",
         "stack frame size (2160) exceeds limit (2048) in 'offline_pages' [-Wframe-larger-than]"),
    ]


@pytest.mark.parametrize("name", ["gcc", "tools", "clang"])
def test_identity_survives_moved_lines_and_another_place(name: str) -> None:
    text = read(name)
    moved = re.sub(r"(\.[chS]):(\d+)", lambda m: f"{m[1]}:{int(m[2]) + 100}", text)
    moved = re.sub(r"\+0x[0-9a-f]+", "+0x7777", moved)
    before = [f.identity for f in warnings.parse(text, ROOT)]
    assert moved != text
    assert [f.identity for f in warnings.parse(moved, ROOT)] == before
    elsewhere = text.replace("/home/me/linux/", "/srv/src/").replace("../linux/", "../src/")
    assert [f.identity for f in warnings.parse(elsewhere, Path("/srv/src"))] == before


def test_a_swap_is_seen_where_a_count_would_hide_it() -> None:
    text = "/home/me/linux/mm/a.c:1:2: warning: unused variable ‘x’ [-Wunused-variable]\n"  # noqa: RUF001
    (one,) = warnings.parse(text, ROOT)
    (other,) = warnings.parse(text.replace("x", "y"), ROOT)
    assert one.identity != other.identity


def test_a_header_s_warning_comes_once() -> None:
    line = "/home/me/linux/include/linux/mm.h:3:2: warning: odd [-Wodd]\n"
    assert len(warnings.parse(line * 50, ROOT)) == 1


@pytest.mark.parametrize("line", [
    "", "  CC      mm/error.o", "  CC [M]  drivers/warning/error.o", "#", "# configuration written",
    "make[1]: Entering directory '/home/me/o'", "make: Nothing to be done for 'all'.",
    "  HOSTCC  scripts/kconfig/conf.o", "Kernel: arch/x86/boot/bzImage is ready  (#1)",
    "  DESCEND objtool", ".config:12:warning: override: X86 changes choice state",
    "value requested for CONFIG_SLUB not in final .config", "warning generated.",
    "/home/me/linux/mm/slub.c:12:5: note: this is the location of the previous definition",
])
def test_ordinary_lines_are_no_findings(line: str) -> None:
    assert rows(line) == []
