# SPDX-License-Identifier: GPL-2.0-or-later
"""Configs by name and by path, and every way to get one wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvtools import configs, kconfig, toolchain
from kvtools.errors import ConfigError

ROOT = Path(__file__).parents[2]
GOOD = 'description = "x"\narch = "x86_64"\ntarget = "tinyconfig"\nfragments = ["a"]\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "kbuild/configs"
    directory.mkdir(parents=True)
    (directory / "a.config").write_text("CONFIG_A=y\n\n# optional: maybe\nCONFIG_B=y")
    (directory / "b.config").write_text("CONFIG_A=m\nCONFIG_C=y\n")
    (directory / "guest.toml").write_text(GOOD)
    return tmp_path


def write(root: Path, text: str) -> Path:
    path = root / "kbuild/configs/mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", configs.names(ROOT))
def test_every_config_of_ours_loads(name: str) -> None:
    config = configs.load(name, ROOT)
    assert config.name == name
    assert config.requested
    assert config.arch in toolchain.arch_names(ROOT)


def test_ours_has_the_one_that_others_fall_back_to() -> None:
    assert configs.FALLBACK in configs.names(ROOT)


def test_every_fragment_of_ours_is_used() -> None:
    """A fragment that no config lists would rot."""
    used = "".join(configs.load(name, ROOT).text for name in configs.names(ROOT))
    for path in (ROOT / "kbuild/configs").glob("*.config"):
        assert path.read_text() in used, path.name


def test_fragments_are_layered_in_order(root: Path) -> None:
    write(root, GOOD.replace('["a"]', '["a", "b.config"]'))
    config = configs.load("mine", root)
    assert config.requested == {"A": "m", "C": "y"}
    assert config.optional == {"B": "maybe"}
    assert kconfig.parse(config.text) == {"A": "m", "B": "y", "C": "y"}


def test_the_digest_is_over_what_the_kernel_sees(root: Path) -> None:
    plain = configs.load("guest", root)
    described = write(root, GOOD.replace('"x"', '"another description"'))
    assert configs.load("mine", root).digest == plain.digest
    for old, new in (('["a"]', '["b"]'), ("tinyconfig", "defconfig"), ("x86_64", "arm64")):
        described.write_text(GOOD.replace(old, new))
        assert configs.load("mine", root).digest != plain.digest


def test_a_kernel_that_takes_more_memory(root: Path) -> None:
    write(root, GOOD + 'extra_memory = "512M"\nslowdown = 3\n')
    mine, plain = configs.load("mine", root), configs.load("guest", root)
    assert (mine.extra_memory, plain.extra_memory) == (512 << 20, 0)
    assert (mine.slowdown, plain.slowdown) == (3.0, 1.0)
    assert mine.digest == plain.digest  # the same kernel; the guest is another one


@pytest.mark.parametrize(("text", "said"), [
    ("target = ", "mine.toml"),
    (GOOD + "colour = 'red'\n", "unknown key 'colour'"),
    (GOOD.replace('arch = "x86_64"\n', ""), "arch is missing"),
    (GOOD.replace('["a"]', '"a"'), "fragments is missing or no list"),
    (GOOD.replace('["a"]', "[1]"), "fragments has to be a list of names"),
    (GOOD.replace('["a"]', '["nope"]'), "no fragment nope.config"),
    (GOOD.replace("tinyconfig", "bzImage; rm"), "no config target"),
    (GOOD + "extra_memory = 512\n", "extra_memory = 512 is not a size"),
    (GOOD + "slowdown = 0\n", "slowdown = 0 is no number from 1 to 100"),
    (GOOD + "slowdown = 'very'\n", "slowdown = 'very' is no number from 1 to 100"),
    (GOOD + "extra_memory = 'much'\n", "extra_memory = 'much' is not a size"),
])
def test_a_wrong_toml_names_what_and_where(root: Path, text: str, said: str) -> None:
    path = write(root, text)
    with pytest.raises(ConfigError) as caught:
        configs.load("mine", root)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "nope", "../guest2", "no/such.toml", "no.config"])
def test_a_name_that_does_not_exist_lists_those_that_do(root: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="guest"):
        configs.load(name, root)


def test_a_wrong_line_in_a_fragment(root: Path) -> None:
    (root / "kbuild/configs/a.config").write_text("CONFIG_A=y\nB=y\n")
    with pytest.raises(ConfigError, match=r"a\.config:2"):
        configs.load("guest", root)


def test_a_fragment_that_is_not_text(root: Path) -> None:
    (root / "kbuild/configs/a.config").write_bytes(b"CONFIG_A=y\n\xff\n")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 11"):
        configs.load("guest", root)


def test_a_user_s_fragment_comes_on_top_of_the_guest(root: Path, tmp_path: Path) -> None:
    own = tmp_path / "debug.config"
    own.write_text("# CONFIG_A is not set\nCONFIG_KASAN=y\n")
    config = configs.load(str(own), root)
    assert (config.name, config.target) == ("debug", "tinyconfig")
    assert config.requested == {"A": "n", "KASAN": "y"}
    assert config.optional == {"B": "maybe"}
    assert kconfig.parse(config.text)["A"] == "n"


def test_a_user_s_toml_finds_fragments_beside_it_and_ours(root: Path, tmp_path: Path) -> None:
    place = tmp_path / "own"
    place.mkdir()
    (place / "mine.toml").write_text(GOOD.replace('["a"]', '["b", "c"]'))
    (place / "c.config").write_text("CONFIG_OWN=y\n")
    assert configs.load(str(place / "mine.toml"), root).requested == {
        "A": "m", "C": "y", "OWN": "y"}


def test_a_whole_config_is_taken_as_it_is(root: Path, tmp_path: Path) -> None:
    own = tmp_path / ".config"
    head = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.1.0\n#\n"
    own.write_text(head + "CONFIG_X86_64=y\nCONFIG_LOCALVERSION_AUTO=y\n")
    config = configs.load(str(own), root)
    assert (config.name, config.target, config.requested) == ("config", "olddefconfig", {})
    own.write_text(head + "CONFIG_ARM=y\n")
    with pytest.raises(ConfigError, match="another architecture"):
        configs.load(str(own), root)


def test_a_release_that_tells_the_commit_is_refused(root: Path) -> None:
    (root / "kbuild/configs/a.config").write_text("CONFIG_LOCALVERSION_AUTO=y\n")
    with pytest.raises(ConfigError, match="LOCALVERSION_AUTO"):
        configs.load("guest", root)


def test_extra_warnings_make_another_kernel_of_the_same_name(root: Path) -> None:
    plain = configs.load("guest", root)
    loud = configs.with_warnings(plain, "1")
    assert (loud.name, loud.extra_warnings, loud.text) == (plain.name, "1", plain.text)
    assert len({plain.digest, loud.digest, configs.with_warnings(plain, "12").digest}) == 3


@pytest.mark.parametrize("levels", ["4", "all", "1 2", "", "-1"])
def test_a_level_that_kbuild_does_not_know_is_refused(root: Path, levels: str) -> None:
    with pytest.raises(ConfigError, match="no level"):
        configs.with_warnings(configs.load("guest", root), levels)
