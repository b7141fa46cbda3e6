# SPDX-License-Identifier: GPL-2.0-or-later
"""From a tar to a commit that is the same everywhere, and the kernel's version."""

from __future__ import annotations

import io
import lzma
import os
import shutil
import tarfile
from pathlib import Path

import pytest
from bases_house import FAKELINUX, pack, sh

from kvtools import bases, git
from kvtools.bases import kernel
from kvtools.bases.importer import import_tar
from kvtools.errors import BaseError

# From a tar to a commit


def odd_tree(root: Path) -> Path:
    """What a kernel has that git or a file system might take differently."""
    tree = root / "odd"
    shutil.copytree(FAKELINUX, tree)
    (tree / ".gitignore").write_text("*.o\n/ignored/\n")
    (tree / ".gitattributes").write_text("*.txt text eol=crlf\n*.c ident\n")
    (tree / "ignored").mkdir()
    (tree / "ignored/file.o").write_bytes(b"\x7fELF\0\n")
    (tree / "crlf.txt").write_bytes(b"one\r\ntwo\n")
    (tree / "ident.c").write_text("/* $Id$ */\n")
    (tree / "with space and ümlaut \" \\.h").write_text("x")
    (tree / "empty").write_text("")
    (tree / "nothing-in-it").mkdir()
    (tree / "run.sh").write_text("#!/bin/sh\n")
    (tree / "run.sh").chmod(0o755)
    (tree / "link").symlink_to("../outside/linux")
    return tree


def test_the_tree_is_what_git_makes_of_the_files(tmp_path: Path) -> None:
    tree = odd_tree(tmp_path)
    commit = import_tar(pack(tree, tmp_path / "odd.tar"), tmp_path / "a.git", "odd\n")
    (tree / ".gitattributes").rename(tmp_path / "attributes")  # would change what git adds
    git.init(tree)
    sh("git", "add", "-Af", cwd=tree)
    shutil.move(tmp_path / "attributes", tree / ".gitattributes")
    sh("git", "-c", "core.attributesFile=/dev/null", "add", "-f", ".gitattributes", cwd=tree)
    assert git.tree_of(tmp_path / "a.git", commit) == sh("git", "write-tree", cwd=tree)


def test_the_id_does_not_depend_on_times_owners_permissions_or_packing(tmp_path: Path) -> None:
    tree = odd_tree(tmp_path)
    first = import_tar(pack(tree, tmp_path / "odd.tar"), tmp_path / "a.git", "odd\n")

    def otherwise(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime, info.uid, info.uname = 7, 4711, "someone"
        info.mode = info.mode & 0o100 | 0o660
        return info

    with tarfile.open(tmp_path / "odd.tar.xz", "w:xz") as out:
        out.add(tree, "./another-name", filter=otherwise)
    umask = os.umask(0o077)
    try:
        second = import_tar(tmp_path / "odd.tar.xz", tmp_path / "b.git", "odd\n")
    finally:
        os.umask(umask)
    assert first == second
    third = import_tar(tmp_path / "odd.tar", tmp_path / "c.git", "another message\n")
    assert third != first


def test_a_commit_is_this_one_everywhere(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "one.tar", "w") as out:
        info = tarfile.TarInfo("linux/Makefile")
        info.size = 4
        out.addfile(info, io.BytesIO(b"all:"))
    commit = import_tar(tmp_path / "one.tar", tmp_path / "r.git", "Linux\n")
    assert commit == "e39c93f05428c6256068b451fce223e39d9c7d7c"


def test_a_hard_link_becomes_a_file(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as out:
        info = tarfile.TarInfo("linux/a")
        info.size = 3
        out.addfile(info, io.BytesIO(b"abc"))
        link = tarfile.TarInfo("linux/b c")
        link.type, link.linkname = tarfile.LNKTYPE, "linux/a"
        out.addfile(link)
    commit = import_tar(tmp_path / "t.tar", tmp_path / "r.git", "x")
    assert git.show(tmp_path / "r.git", commit, "b c") == b"abc"


@pytest.mark.parametrize(
    "name", ["linux/../up", "linux/.git/config", "linux/a/.GIT/hooks/x", "linux//x"]
)
def test_a_name_that_leaves_the_tree_is_refused(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as out:
        out.addfile(tarfile.TarInfo(name))
    with pytest.raises(BaseError, match="has no place in a kernel tree"):
        import_tar(tmp_path / "t.tar", tmp_path / "r.git", "x")


def test_a_device_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as out:
        info = tarfile.TarInfo("linux/null")
        info.type = tarfile.CHRTYPE
        out.addfile(info)
    with pytest.raises(BaseError, match="linux/null is neither file, link nor directory"):
        import_tar(tmp_path / "t.tar", tmp_path / "r.git", "x")


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "flipped", "gone"])
def test_a_damaged_tar_is_named(fake_tar: Path, tmp_path: Path, damage: str) -> None:
    data = fake_tar.read_bytes()
    middle = len(data) // 2
    bad = {
        "cut": data[:-100],
        "garbage": b"not a tar at all" * 100,
        "empty": b"",
        "flipped": data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :],
    }.get(damage)
    tar = tmp_path / "bad.tar.xz"
    if bad is not None:
        tar.write_bytes(bad)
    with pytest.raises(BaseError, match=r"bad\.tar\.xz (is damaged|holds no files)"):
        import_tar(tar, tmp_path / "r.git", "x")


def test_a_tar_cut_between_members_is_not_taken_for_whole(tmp_path: Path) -> None:
    whole = pack(FAKELINUX, tmp_path / "whole.tar").read_bytes()
    (tmp_path / "cut.tar.xz").write_bytes(lzma.compress(whole)[:-40])
    with pytest.raises(BaseError, match="damaged"):
        import_tar(tmp_path / "cut.tar.xz", tmp_path / "r.git", "x")


# The kernel's version


def test_version_from_a_makefile() -> None:
    text = "# x\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\nEXTRAVERSION =\nNAME = Curry\n"
    assert kernel.version(text) == "6.1.192"
    assert kernel.version(text.replace("EXTRAVERSION =", "EXTRAVERSION = -rc3")) == "6.1.192-rc3"
    assert kernel.version("all:\n\techo VERSION = 6\n") is None


def test_is_kernel_tree(tmp_path: Path) -> None:
    assert bases.is_kernel_tree(FAKELINUX)
    assert not bases.is_kernel_tree(FAKELINUX / "mm")
    assert not bases.is_kernel_tree(tmp_path / "nowhere")
    shutil.copytree(FAKELINUX, tmp_path / "t")
    (tmp_path / "t/Makefile").write_text("all:\n")
    assert not bases.is_kernel_tree(tmp_path / "t")
