# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading .config files and fragments, and explaining lost symbols."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvtools import kconfig
from kvtools.errors import ConfigError
from kvtools.kconfig.language import definitions
from kvtools.model import Config

DATA = Path(__file__).parents[1] / "data" / "kconfig"
TEXTS = {str(path.relative_to(DATA)): path.read_text() for path in DATA.rglob("Kconfig")}
FINAL = {"X86": "y", "MMU": "y", "PCI": "y", "SLUB": "y", "VIRTIO_MENU": "y", "MIGRATION": "y",
         "EXPERT": "y", "DEBUG_KERNEL": "y", "NR_CPUS": "8", "QUIRK": "y"}


def config(**requested: str) -> Config:
    return Config("test", "x86_64", "tinyconfig", "", requested, {}, "")


def why(symbol: str, wanted: str, **changes: str) -> str:
    (lost,) = kconfig.dropped(config(**{symbol: wanted}), FINAL | changes, TEXTS)
    assert (lost.symbol, lost.wanted) == (symbol, wanted)
    return lost.why


def test_parse() -> None:
    text = ('# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C="two words"\nCONFIG_D=0x1f\n#\n# comment\n'
            "CONFIG_B=m\n")
    assert kconfig.parse(text) == {"A": "n", "B": "m", "C": '"two words"', "D": "0x1f"}


def test_fragment_tells_what_is_optional() -> None:
    text = ("CONFIG_A=y\n# optional: only with new gcc\nCONFIG_B=y\n# CONFIG_C is not set\n\n"
            "CONFIG_D=y\nCONFIG_B=m\n")
    assert kconfig.fragment(text, "f") == kconfig.Fragment(
        {"A": "y", "D": "y", "B": "m"}, {"C": "only with new gcc"})


@pytest.mark.parametrize("line", ["FOO=y", "CONFIG_FOO", "CONFIG_FOO y", "CONFIG_FOO=", "select X"])
def test_fragment_refuses_what_kconfig_would_ignore(line: str) -> None:
    with pytest.raises(ConfigError, match=r"my\.config:2"):
        kconfig.fragment(f"CONFIG_A=y\n{line}\n", "my.config")


def test_nothing_is_dropped_when_everything_is_there() -> None:
    asked = config(PCI="y", TINY="n", NR_CPUS="0x8", ABSENT="n")
    assert kconfig.dropped(asked, FINAL, {}) == ()


def test_definitions_carry_all_conditions_around_them() -> None:
    known = definitions(TEXTS, "x86")
    (virtio_mem,) = known["VIRTIO_MEM"]
    assert virtio_mem.depends == (
        "PCI && !TINY", "VIRTIO_MENU", "MEMORY_HOTREMOVE || (MOCK && NR_CPUS > 4)")
    assert virtio_mem.prompt_if == ("EXPERT",)
    assert known["MEMORY_HOTREMOVE"][0].depends[0] == "MMU"
    assert known["SLUB"][0].choice == known["SLAB"][0].choice is not None
    assert "NOT_A_SYMBOL" not in known
    assert "this" not in known


@pytest.mark.parametrize(("symbol", "wanted", "changes", "reason"), [
    ("VIRTIO_MEN", "y", {},
     "no such symbol in this kernel; perhaps VIRTIO_MENU or VIRTIO_MEM or VIRTIO"),
    ("XYZZY", "y", {}, "no such symbol in this kernel"),
    ("MEMORY_HOTREMOVE", "y", {},
     "needs ARCH_ENABLE_MEMORY_HOTREMOVE (is n: has no prompt, set only by select from X86)"),
    ("MEMORY_HOTREMOVE", "y", {"ARCH_ENABLE_MEMORY_HOTREMOVE": "y", "MIGRATION": "n"},
     "needs MIGRATION (is n)"),
    ("VIRTIO_MEM", "y", {"MEMORY_HOTREMOVE": "y", "PCI": "n"}, "needs PCI (is n)"),
    ("VIRTIO_MEM", "y", {"MEMORY_HOTREMOVE": "y", "TINY": "y"}, "needs TINY=n (is y)"),
    ("VIRTIO_MEM", "y", {"MEMORY_HOTREMOVE": "y", "EXPERT": "n"}, "needs EXPERT (is n)"),
    ("VIRTIO_MEM", "y", {"MOCK": "y", "NR_CPUS": "2"},
     "needs MEMORY_HOTREMOVE (is n: needs ARCH_ENABLE_MEMORY_HOTREMOVE (is n: has no prompt, set "
     "only by select from X86)) or NR_CPUS > 4 (NR_CPUS is 2)"),
    ("VIRTIO_MEM", "m", {"MEMORY_HOTREMOVE": "y"}, "m needs MODULES=y (is n)"),
    ("VIRTIO", "y", {}, "has no prompt, set only by select from VIRTIO_MEM"),
    ("SLAB", "y", {}, "the choice fell on SLUB"),
    ("SLOB", "y", {"EXPERT": "n"}, "needs EXPERT (is n)"),
    ("CRYPT", "y", {"MODULES": "y", "CRYPT": "m"}, "needs m=y (is m)"),
    ("PCI", "m", {"MODULES": "y"}, "is of type bool and cannot be m"),
    ("NAMED", "y", {}, "is of type string and cannot be y"),
    ("NR_CPUS", "9999", {"NR_CPUS": "512"}, "must be from 2 to 512"),
    ("SANITIZED", "y", {},
     "perhaps $(cc-option,-fsanitize=kernel-address) does not hold here"),
    ("DEBUG_KERNEL", "n", {}, "selected by EXPERT=y"),
    ("X86", "n", {}, "has no prompt, its default holds"),
    ("QUIRK", "n", {"EXPERT": "n"}, "its default holds: the prompt needs EXPERT (is n)"),
    ("SLUB", "n", {}, "the choice has to fall on it: ask for another member of it"),
    ("MIRROR", "y", {}, "needs MIGRATION=n (is y)"),
])
def test_why(symbol: str, wanted: str, changes: dict[str, str], reason: str) -> None:
    assert why(symbol, wanted, **changes) == reason


def test_the_reason_follows_the_final_config() -> None:
    """The same request with the culprit mended is not reported: the check can pass."""
    final = FINAL | {"MEMORY_HOTREMOVE": "y"}
    assert kconfig.dropped(config(MEMORY_HOTREMOVE="y"), final, TEXTS) == ()


def test_a_dropped_symbol_reads_as_one_line() -> None:
    (lost,) = kconfig.dropped(config(SLAB="y"), FINAL, TEXTS)
    assert str(lost) == "CONFIG_SLAB=y became n: the choice fell on SLUB"


def test_files_without_a_top_are_read_each_by_itself() -> None:
    texts = {"a/Kconfig": "config A\n\tbool \"A\"\n\tdepends on B\n"}
    (lost,) = kconfig.dropped(config(A="y"), {}, texts)
    assert lost.why == "needs B (is n: no such symbol in this kernel)"


def test_broken_kconfig_does_not_raise() -> None:
    texts = {"Kconfig": "endif\nendmenu\nif\nconfig A\n\tbool \"A\n\tdepends on (B && \n\\\n"
                        "source \"Kconfig\"\nconfig\nif A ||\nconfig C\n\tselect\n\trange 1\n"}
    assert kconfig.dropped(config(A="y", C="y"), {}, texts)
