# SPDX-License-Identifier: GPL-2.0-or-later
"""kbuild's .cmd files as fixdep and as plain rules write them."""

from __future__ import annotations

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
