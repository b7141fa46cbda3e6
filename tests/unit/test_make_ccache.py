# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds through the real ccache, on the fake kernel tree."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kvtools import kconfig, make, process, toolchain
from kvtools.make import ccache
from kvtools.model import Config
from kvtools.request import RunRequest

ROOT = Path(__file__).parents[2]
HEADER = "include/linux/page-flags.h"
UNIT = "mm/page_alloc.c"
TEXT = """CONFIG_64BIT=y
CONFIG_SPARSEMEM=y
CONFIG_MEMORY_HOTPLUG=y
CONFIG_MIGRATION=y
"""

# It only saves time: ./kv installs it on Debian, elsewhere a user may go without.
pytestmark = pytest.mark.skipif(shutil.which("ccache") is None, reason="ccache is not installed")


class Kernel:
    """The fake tree, built with and without the cache."""

    def __init__(self, source: Path, work: Path) -> None:
        self.source, self._work = source, work
        self.cache = make.Ccache(work / "ccache")
        self._chain = toolchain.probe("x86_64", ROOT)
        asked = kconfig.fragment(TEXT, "test")
        self._config = Config("guest", "x86_64", "tinyconfig", TEXT, asked.requested,
                              asked.optional, "")

    def build(self, objects: str = "o", *, cached: bool = True) -> tuple[make.Made, str]:
        """What make came to, and the digest of the image."""
        tree = make.Tree(self.source, self._work / objects, self._chain,
                         self.cache if cached else None)
        log = self._work / "log"
        make.open_objects(tree)
        make.configure(tree, self._config, deadline=60.0, log=log)
        made = make.build(tree, ["bzImage"], jobs=2, deadline=60.0, log=log,
                          tick=lambda *_: None)
        assert made.status == 0, made.text
        return made, hashlib.sha256(make.image_path(tree).read_bytes()).hexdigest()


@pytest.fixture
def kernel(fakelinux: Path, tmp_path: Path) -> Kernel:
    return Kernel(fakelinux, tmp_path)


def test_what_was_compiled_before_is_not_compiled_again(kernel: Kernel) -> None:
    first, before = kernel.build()
    assert first.cached == 0
    whole = (kernel.source / HEADER).read_text()
    (kernel.source / HEADER).write_text(f"#define PG_LATER 1\n{whole}")
    second, _ = kernel.build()
    assert (second.objects, second.cached) == (3, 0)
    (kernel.source / HEADER).write_text(whole)
    back, image = kernel.build()
    assert (back.objects, back.cached) == (3, 3)
    assert image == before


def test_the_image_is_the_one_that_the_compiler_alone_makes(kernel: Kernel) -> None:
    kernel.build()
    (kernel.source / HEADER).touch()
    made, image = kernel.build()
    assert made.cached == 3
    alone, same = kernel.build("other", cached=False)
    assert (alone.cached, same) == (0, image)


def _with_contents(kernel: Kernel, contents: Path) -> tuple[str, str]:
    """Two images: the same lines around ``contents`` that changes between them."""
    with (kernel.source / UNIT).open("a") as unit:
        unit.write(f'\nasm(".section .rodata\\n.incbin \\"{contents}\\"\\n.previous\\n");\n')
    contents.write_text("first")
    _, one = kernel.build()
    contents.write_text("again")
    (kernel.source / UNIT).touch()
    return one, kernel.build()[1]


def test_what_the_assembler_includes_is_never_answered_from_the_cache(
    kernel: Kernel, tmp_path: Path
) -> None:
    one, other = _with_contents(kernel, tmp_path / "contents")
    assert one != other


def test_without_the_look_for_incbin_the_check_above_fails(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ccache, "_WRAPPER", '#!/bin/sh\nexec {ccache} {compiler} "$@"\n')
    one, other = _with_contents(kernel, tmp_path / "contents")
    assert one == other


def test_kbuild_does_not_notice(kernel: Kernel) -> None:
    kernel.build()
    made, _ = kernel.build(cached=False)
    assert made.objects == 0


def test_without_ccache_everything_is_compiled(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.build()
    real = process.which
    monkeypatch.setattr(process, "which", lambda name: None if name == "ccache" else real(name))
    (kernel.source / HEADER).touch()
    made, _ = kernel.build()
    assert (made.objects, made.cached) == (3, 0)
    assert kernel.cache.environment("gcc", tmp_path) == {}


def test_the_compiler_behind_a_distribution_s_links_to_ccache_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    (links / "gcc").symlink_to(str(shutil.which("ccache")))
    monkeypatch.setenv("PATH", f"{links}:{os.environ['PATH']}")
    make.Ccache(tmp_path / "cache").environment("gcc", tmp_path)
    wrapper = (tmp_path / "cache/bin/gcc").read_text()
    assert str(links) not in wrapper
    assert f"{shutil.which('gcc', path='/usr/bin:/usr/local/bin')} " in wrapper


def test_the_user_s_own_settings_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCACHE_SLOPPINESS", "include_file_mtime,time_macros")
    assert "CCACHE_SLOPPINESS" not in process.environment()
    assert make.uncached()["CCACHE_DISABLE"] == "1"


def test_an_untrusted_series_has_no_cache(tmp_path: Path) -> None:
    # Nothing but these two fields decides, and a whole request needs a base on disk.
    request = RunRequest("run", *[None] * 6, 1, ccache=tmp_path)  # type: ignore[arg-type]
    assert request.compiled == tmp_path
    assert replace(request, untrusted=True).compiled is None
