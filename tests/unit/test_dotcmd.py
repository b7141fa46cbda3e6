# SPDX-License-Identifier: GPL-2.0-or-later
"""kbuild's .cmd files as fixdep and as plain rules write them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kvtools import dotcmd

OF_FIXDEP = """\
{saved}cmd_mm/swap.o := gcc -c -o mm/swap.o ../mm/swap.c ; ./tools/objtool/objtool mm/swap.o

source_mm/swap.o := ../mm/swap.c

deps_mm/swap.o := \\
    $(wildcard include/config/NUMA) \\
  include/linux/mm.h \\
  /usr/lib/gcc/stdarg.h \\

mm/swap.o: $(deps_mm/swap.o)

$(deps_mm/swap.o):
"""


@pytest.mark.parametrize("saved", ["", "saved"])
def test_what_fixdep_wrote(saved: str) -> None:
    found = dotcmd.parse(OF_FIXDEP.format(saved=saved))
    assert found.command.startswith("gcc -c -o mm/swap.o")
    assert found.command.endswith("objtool mm/swap.o")
    assert found.source == "../mm/swap.c"
    assert found.dependencies == ("include/linux/mm.h", "/usr/lib/gcc/stdarg.h")


def test_the_first_command_counts_and_a_link_has_no_source() -> None:
    found = dotcmd.parse("cmd_vmlinux := ld -o vmlinux a.o\n\nsavedcmd_vmlinux := other\n")
    assert found == dotcmd.DotCmd("ld -o vmlinux a.o")
    assert dotcmd.parse("") == dotcmd.DotCmd()
    assert dotcmd.parse("  \\\nXcmd_a := b\n cmd_a := b\n") == dotcmd.DotCmd()


def test_what_make_escaped() -> None:
    assert dotcmd.unescaped("gcc -DA='$(pound)x' $$HOME") == "gcc -DA='#x' $HOME"


def test_a_file_is_read_again_when_it_is_another(tmp_path: Path) -> None:
    path = tmp_path / ".swap.o.cmd"
    path.write_text(OF_FIXDEP.format(saved=""))
    first = dotcmd.read(path)
    assert dotcmd.read(path) is first
    state = path.stat()
    path.write_text(OF_FIXDEP.format(saved="").replace("linux/mm.h", "linux/nn.h"))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 4_000_000))
    assert "include/linux/nn.h" in dotcmd.read(path).dependencies
    path.unlink()
    with pytest.raises(FileNotFoundError):
        dotcmd.read(path)
