# SPDX-License-Identifier: GPL-2.0-or-later
"""When make has nothing to do, decided on names and .cmd files alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kvtools.headers.commands import Product
from kvtools.headers.unread import all_unread, stale

FILES = {"lib/oid.h": "", "lib/plain.h": "", "drivers/a.c": "", "lib/b.c": "",
         "lib/Makefile": "$(obj)/data.c: $(src)/oid.h\n", "Documentation/mm/x.rst": ""}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "x")):
        subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@b.c", *words],
                       cwd=tmp_path, check=True)
    return tmp_path


def product(source: Path, target: str, *deps: str) -> Product:
    places = tuple(str(source / name) for name in deps)
    return Product(target, places[0], places, "gcc")


@pytest.mark.parametrize("changed", [
    {"drivers/a.c": "M"}, {"lib/plain.h": "M"}, {"Documentation/mm/x.rst": "M"},
    {"tools/testing/selftests/mm/Makefile": "M", "MAINTAINERS": "M"}, {},
    {"tools/testing/selftests/mm/new.c": "A", "Documentation/mm/y.rst": "A"},
    {"tools/testing/selftests/mm/old.c": "D", "Documentation/mm/x.rst": "D"},
])  # fmt: skip
def test_nothing_reads_it(source: Path, changed: dict[str, str]) -> None:
    made = [product(source, "lib/b.o", "lib/b.c")]
    assert all_unread(changed, made, source)


@pytest.mark.parametrize("changed", [
    {"lib/b.c": "M"},                              # compiled
    {"drivers/a.c": "M", "lib/b.c": "M"},          # one of two is
    {"drivers/a.c": "A"}, {"lib/plain.h": "D"},    # an include or a rule may look for it
    {"drivers/a.c": "T"},
    {"lib/oid.h": "M"},                            # a rule of a Makefile reads it
    {"drivers/Makefile": "M"}, {"drivers/Kconfig": "M"}, {"drivers/a.S": "M"},
    {"arch/x86/entry/syscalls/syscall_64.tbl": "M"}, {"arch/x86/lib/x86-opcode-map.txt": "M"},
    {"scripts/mod/modpost.c": "M"}, {"tools/objtool/check.c": "M"}, {"usr/gen_init_cpio.c": "M"},
    {"include/uapi/linux/a.h": "M"}, {"Documentation/Kconfig": "M"},
    {"Documentation/Makefile": "M"}, {"certs/a.c": "M"},
])  # fmt: skip
def test_it_is_read_or_may_be(source: Path, changed: dict[str, str]) -> None:
    made = [product(source, "lib/b.o", "lib/b.c")]
    assert not all_unread(changed, made, source)


def test_what_make_finds_older(source: Path) -> None:
    made = [product(source, "lib/b.o", "lib/b.c", "lib/plain.h"),
            product(source, "lib/c.o", "lib/c.c"),
            product(source, "lib/b.s", "lib/b.c", "lib/plain.h")]
    assert stale(["lib/plain.h"], made, source) == {"lib/b.o"}
    assert stale([], made, source) == set()
