# SPDX-License-Identifier: GPL-2.0-or-later
"""Bases from small tars, local signatures and local git repositories; no network."""

from __future__ import annotations

import difflib
import io
import lzma
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvtools import apt, bases, fetch, git, paths
from kvtools.bases import kernel
from kvtools.bases.data import read, read_all
from kvtools.bases.importer import import_tar
from kvtools.errors import BaseError, MachineError, ToolFailed
from kvtools.events import Event, Notice, Working, discard
from kvtools.model import Base

FAKELINUX = Path(__file__).parents[1] / "data" / "fakelinux"
HEAD = "name = 'fake'\ndescription = 'a fake kernel'\nversion = '6\\.1\\.\\d+'\ndefault = true\n"
REMOVED = "drivers/virtio/virtio_mem.c"


def sh(*argv: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([str(word) for word in argv], cwd=cwd, check=True, capture_output=True)
    return done.stdout.decode().strip()


def pack(tree: Path, tar: Path, *, top: str = "linux-6.1") -> Path:
    with tarfile.open(tar, "w:xz" if tar.suffix == ".xz" else "w") as out:
        out.add(tree, top)
    return tar


@pytest.fixture(scope="session")
def fake_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(FAKELINUX, tmp_path_factory.mktemp("tar") / "linux-6.1.tar.xz")


class House:
    """A repository root with kbuild/bases and a KVTOOLS_HOME, both of the test's own."""

    def __init__(self, root: Path) -> None:
        self.data = root / "root" / "kbuild" / "bases"
        self.data.mkdir(parents=True)
        self.cache = root / "home" / "cache"
        self.events: list[Event] = []

    def write(self, text: str, name: str = "fake") -> None:
        (self.data / f"{name}.toml").write_text(text)

    def prepare(self, name: str | None = None) -> Base:
        return bases.prepare(name, self.events.append)

    @property
    def notices(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Notice)]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    made = House(tmp_path)
    monkeypatch.setattr(paths, "data", lambda: tmp_path / "root")
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path / "home"))
    return made


def tarball(tar: Path, version: str = "6.1.0", **more: str) -> str:
    more = more or {"sha256": fetch.sha256(tar)}
    fields = "".join(f"{key} = '{value}'\n" for key, value in more.items())
    return f"[[source]]\nkind = 'tarball'\nversion = '{version}'\nurl = '{tar.as_uri()}'\n{fields}"


# The data files


def test_the_shipped_bases_are_data_and_one_is_the_default() -> None:
    found = read_all(paths.data() / "kbuild" / "bases")
    assert [data.name for data in found] == ["debian-6.1", "debian-6.12"]
    assert found[0].default and found[0].has_baseline and not found[1].has_baseline
    assert REMOVED in found[0].remove


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD, r"no \[\[source\]\]"),
        (HEAD + "[[source]]\nkind = 'floppy'\n", "kind 'floppy' is not known"),
        (HEAD + "[[source]]\nkind = 'git'\nurl = 'x'\n", r"\[source\]: 'branch' is missing"),
        (HEAD + "[[source]]\nkind = 'git'\nurl = 'x'\nbranch = 3\n", "'branch' must be a str"),
        (HEAD + "[[source]]\nkind = 'git'\nurl = '--upload-pack=x'\nbranch = 'b'\n", "start with"),
        (HEAD + "[[source]]\nkind='tarball'\nversion='6'\nurl='x'\n", "nothing to verify x with"),
        (HEAD + "colour = 'red'\n", "no .*source|'colour' is not known"),
        (HEAD.replace("'fake'", "'other'") + "[[source]]\nkind='git'\nurl='x'\nbranch='b'\n",
         "name is 'other'; it must be 'fake'"),
        (HEAD.replace("'6\\.1\\.\\d+'", "'('"), "'\\(' is not a pattern"),
        ("name = ", "fake.toml: Invalid"),
        (HEAD + "[[oracle.known]]\ncell = 'c'\nfingerprint = 'f'\n",
         r"\[oracle.known\]: 'reason' is missing"),
        (HEAD + "[oracle]\nunknown = 1\n", "'unknown' is not known|'source'"),
        (HEAD + "[baseline]\npatches = ['gone.patch']\n", "baseline patch .*gone.patch: No such"),
    ],
)
def test_a_data_file_that_is_wrong_names_file_and_key(
    house: House, text: str, message: str
) -> None:
    house.write(text)
    with pytest.raises(BaseError, match=message) as error:
        read(house.data / "fake.toml")
    assert "fake.toml" in error.value.message


def test_exactly_one_base_is_the_default(house: House, fake_tar: Path) -> None:
    with pytest.raises(BaseError, match="has no base"):
        bases.names()
    house.write(HEAD + tarball(fake_tar))
    house.write(HEAD.replace("'fake'", "'two'") + tarball(fake_tar), "two")
    with pytest.raises(BaseError, match=r"2 bases say 'default = true' \(fake, two\)"):
        bases.names()


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


# Preparing


def baseline_of(house: House, *, text: str = "") -> str:
    """A baseline that removes the driver and edits mm/Kconfig."""
    (house.data / "fake").mkdir(exist_ok=True)
    before = (FAKELINUX / "mm/Kconfig").read_text().splitlines(keepends=True)
    after = [before[0], "# edited\n", *before[1:]]
    diff = "".join(difflib.unified_diff(before, after, "a/mm/Kconfig", "b/mm/Kconfig"))
    mail = "From: A <a@example.org>\nSubject: [PATCH] mm: edit it\n\nFor the test.\n---\n"
    (house.data / "fake/0001-edit.patch").write_text(text or mail + diff)
    return f"[baseline]\nremove = ['{REMOVED}']\npatches = ['fake/0001-edit.patch']\n"


def test_baseline_and_oracle(house: House, fake_tar: Path) -> None:
    house.write(HEAD + tarball(fake_tar) + baseline_of(house))
    base = house.prepare()
    oracle = house.prepare("fake/oracle")
    assert house.prepare("fake") == base
    assert house.prepare("oracle") == oracle
    assert (base.name, oracle.name) == ("fake", "fake/oracle")
    assert base.repo == oracle.repo and base.version == "6.1.0"
    assert git.show(oracle.repo, oracle.commit, REMOVED)
    assert sh("git", "diff", "--name-status", oracle.commit, base.commit, cwd=base.repo).split(
        "\n") == [f"D\t{REMOVED}", "M\tmm/Kconfig"]
    assert git.log_subjects(base.repo, f"{oracle.commit}..{base.commit}") == [
        "baseline: remove files", "mm: edit it"]
    assert not base.public and not oracle.public
    assert base.origin.endswith("; baseline: 1 files removed, 1 patches")
    assert git.tree_of(base.repo, base.commit) == base.tree


def test_the_same_ids_in_another_home(
    house: House, fake_tar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.write(HEAD + tarball(fake_tar) + baseline_of(house))
    first = house.prepare()
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_AUTHOR_DATE", "2001-01-01T00:00:00Z")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    second = house.prepare()
    assert first.repo != second.repo
    assert (first.commit, first.tree) == (second.commit, second.tree)


def test_names_tell_what_is_prepared(house: House, fake_tar: Path) -> None:
    house.write(HEAD + tarball(fake_tar) + baseline_of(house))
    plain = HEAD.replace("'fake'", "'plain'").replace("default = true", "")
    house.write(plain + tarball(fake_tar), "plain")
    assert [(i.name, i.default, i.commit) for i in bases.names()] == [
        ("fake", True, ""), ("fake/oracle", False, ""), ("plain", False, "")]
    base, oracle = house.prepare(), house.prepare("oracle")
    assert [i.commit for i in bases.names()] == [base.commit, oracle.commit, ""]
    assert bases.names()[0].repos == (base.repo,)
    assert house.prepare("plain").commit == oracle.commit == house.prepare("plain/oracle").commit
    assert house.prepare("plain/oracle").name == "plain"


@pytest.mark.parametrize("name", ["fedora", "fake/other", "fake/", "", "../x", "oracle/fake"])
def test_an_unknown_base_lists_the_known(house: House, fake_tar: Path, name: str) -> None:
    house.write(HEAD + tarball(fake_tar) + baseline_of(house))
    with pytest.raises(BaseError, match=rf"no base '{name}'; use one of fake, fake/oracle"):
        house.prepare(name)


def test_what_is_there_is_not_made_again(house: House, fake_tar: Path) -> None:
    house.write(HEAD + tarball(fake_tar) + baseline_of(house))
    first = house.prepare()
    assert [type(e) for e in house.events].count(Working) == 4  # fetching, importing; both ended
    house.events.clear()
    fake_tar_away = house.data / "fake.toml"
    fake_tar_away.write_text(fake_tar_away.read_text().replace(".tar.xz", ".gone"))
    assert house.prepare().commit == first.commit
    assert house.events == []


def test_a_changed_baseline_needs_no_new_import(house: House, fake_tar: Path) -> None:
    house.write(HEAD + tarball(fake_tar) + baseline_of(house))
    first = house.prepare()
    house.write(HEAD + tarball(fake_tar) + f"[baseline]\nremove = ['{REMOVED}']\n")
    house.events.clear()
    second = house.prepare()
    assert second.repo == first.repo and second.commit != first.commit
    assert house.events == []


def test_a_baseline_patch_that_drifted_names_patch_place_and_version(
    house: House, fake_tar: Path
) -> None:
    drifted = ("--- a/mm/page_alloc.c\n+++ b/mm/page_alloc.c\n"
               "@@ -1,2 +1,2 @@\n a line\n-that is not there\n+x\n")
    house.write(HEAD + tarball(fake_tar) + baseline_of(house, text=drifted))
    with pytest.raises(
        BaseError,
        match=r"patch fake/0001-edit.patch does not fit 6.1.0 at mm/page_alloc.c:1; refresh",
    ):
        house.prepare()
    assert house.prepare("oracle").commit  # the untouched tree is still good


def test_a_baseline_patch_of_a_file_that_is_gone(house: House, fake_tar: Path) -> None:
    gone = "--- a/mm/gone.c\n+++ b/mm/gone.c\n@@ -1 +1 @@\n-x\n+y\n"
    house.write(HEAD + tarball(fake_tar) + baseline_of(house, text=gone))
    with pytest.raises(BaseError, match=r"0001-edit.patch does not fit 6.1.0 at mm/gone.c"):
        house.prepare()


@pytest.mark.parametrize("name", ["mm/gone.c", "mm", "mm/*.c"])
def test_a_file_to_remove_that_is_not_there(house: House, fake_tar: Path, name: str) -> None:
    house.write(HEAD + tarball(fake_tar) + f"[baseline]\nremove = ['{REMOVED}', '{name}']\n")
    with pytest.raises(BaseError) as error:
        house.prepare()
    assert f"6.1.0 has no file {name}, which the baseline removes" in error.value.message


def test_a_tar_of_the_wrong_kernel(house: House, fake_tar: Path) -> None:
    house.write(HEAD.replace("6\\.1", "5\\.4") + tarball(fake_tar))
    with pytest.raises(BaseError, match=r"holds kernel 6.1.0, base fake wants 5\\.4"):
        house.prepare()
    assert [p.name for p in (house.cache / "bases/fake").iterdir() if p.is_dir()] == []


def test_a_tar_that_is_no_kernel(house: House, tmp_path: Path) -> None:
    (tmp_path / "stuff").mkdir()
    (tmp_path / "stuff/README").write_text("no kernel")
    house.write(HEAD + tarball(pack(tmp_path / "stuff", tmp_path / "stuff.tar.xz")))
    with pytest.raises(BaseError, match="holds no kernel tree"):
        house.prepare()


def test_leftovers_of_a_killed_run_are_cleared(house: House, fake_tar: Path) -> None:
    house.write(HEAD + tarball(fake_tar))
    left = house.cache / "bases/fake/.new-6.1.0-tarball"
    git.init(left / "repo.git", bare=True)
    (left / "source.json").write_text("{}")
    assert bases.names()[0].commit == ""
    base = house.prepare()
    assert not left.exists() and base.repo.parent.name == "6.1.0-tarball"


def test_a_new_version_stands_beside_the_old(house: House, fake_tar: Path) -> None:
    house.write(HEAD + tarball(fake_tar))
    old = house.prepare()
    house.write(HEAD + tarball(fake_tar, version="6.1.1"))
    new = house.prepare()
    assert old.repo != new.repo and old.repo.is_dir()
    assert bases.names()[0].repos == (new.repo, old.repo)


def test_a_full_disk_names_place_and_need(
    house: House, fake_tar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 100_000_000))
    house.write(HEAD + tarball(fake_tar) + tarball(fake_tar, version="6.1.1"))
    with pytest.raises(MachineError, match=r"needs 2.2 GB in .*fake.*, and 0.1 GB are free; make"):
        house.prepare()
    assert list((house.cache / "bases/fake").glob("*/")) == []


def test_the_disk_fills_up_while_importing(
    fake_tar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    real = shutil.which("git")
    (programs / "git").write_text(
        '#!/bin/sh\ncase "$*" in *fast-import*) cat >/dev/null; '
        'echo "fatal: sha1 file: write error. Out of diskspace: No space left on device"; exit 128'
        f';; esac\nexec {real} "$@"\n'
    )
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with pytest.raises(MachineError, match=r"disk full in .*r\.git while importing.*KVTOOLS_HOME"):
        import_tar(fake_tar, tmp_path / "r.git", "x")


def test_a_cache_that_is_a_file(house: House, fake_tar: Path) -> None:
    house.write(HEAD + tarball(fake_tar))
    house.cache.parent.mkdir()
    house.cache.write_text("in the way")
    with pytest.raises(MachineError, match=r"cannot write .*cache"):
        house.prepare()


# The ways


def test_ways_are_tried_in_order_and_what_failed_is_told(house: House, fake_tar: Path) -> None:
    nowhere = "[[source]]\nkind = 'git'\nurl = 'file:///nowhere'\nbranch = 'main'\n"
    house.write(HEAD + nowhere + tarball(fake_tar))
    origin = house.prepare().origin
    assert origin.startswith(f"tarball {fake_tar.as_uri()}, sha256 as in the data; not from git ")
    assert "branch main of file:///nowhere: fatal: '/nowhere' does not appear to be" in origin


def test_when_no_way_works_each_is_named(house: House, tmp_path: Path) -> None:
    nowhere = "[[source]]\nkind = 'git'\nurl = 'file:///nowhere'\nbranch = 'main'\n"
    house.write(HEAD + nowhere + tarball(tmp_path / "no.tar.xz", sha256="0" * 64))
    with pytest.raises(BaseError) as error:
        house.prepare()
    assert "git branch main of file:///nowhere: " in error.value.message
    assert "no.tar.xz: No such file or directory" in error.value.message or (
        "no.tar.xz: [Errno 2] No such file" in error.value.message)
    assert "--tree PATH" in error.value.fix


def test_what_was_prepared_before_serves_while_the_way_is_broken(
    house: House, fakelinux: Path
) -> None:
    way = f"[[source]]\nkind = 'git'\nurl = '{fakelinux.as_uri()}'\nbranch = 'main'\n"
    house.write(HEAD + way)
    base = house.prepare()
    fakelinux.rename(fakelinux.with_name("away"))
    assert house.prepare() == base
    assert "does not appear to be a git repository" in house.notices[0]
    assert house.notices[0].endswith(f"using git-{base.commit[:12]} from before")


def test_a_branch_is_public_until_the_baseline_changes_it(house: House, fakelinux: Path) -> None:
    way = f"[[source]]\nkind = 'git'\nurl = '{fakelinux.as_uri()}'\nbranch = 'main'\n"
    house.write(HEAD + way + baseline_of(house))
    tip = sh("git", "rev-parse", "HEAD", cwd=fakelinux)
    oracle, base = house.prepare("oracle"), house.prepare()
    assert oracle.commit == tip and oracle.public
    assert base.commit != tip and not base.public
    assert git.log_subjects(base.repo, f"{tip}..{base.commit}")[0] == "baseline: remove files"


def test_a_branch_that_moved_is_fetched_anew(house: House, fakelinux: Path) -> None:
    house.write(HEAD + f"[[source]]\nkind='git'\nurl='{fakelinux.as_uri()}'\nbranch='main'\n")
    old = house.prepare()
    sh("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m",
       "next", cwd=fakelinux)
    new = house.prepare()
    assert new.commit != old.commit and new.repo != old.repo
    assert sh("git", "rev-list", "--count", new.commit, cwd=new.repo) == "1"  # shallow


def test_a_wrong_sha256_is_never_used(house: House, fake_tar: Path) -> None:
    house.write(HEAD + tarball(fake_tar, sha256="0" * 64))
    with pytest.raises(BaseError, match=r"has sha256 [0-9a-f]{64}, the data says 0000"):
        house.prepare()


class FakeApt:
    """Stands for apt: what test_apt.py proves of the real one."""

    def __init__(self, deb_tree: Path) -> None:
        self.tree = deb_tree
        self.has = apt.Package("linux-source-6.1", "6.1.0-1", 1000)
        self.mirror = self.has
        self.downloads = 0

    def download(
        self, package: apt.Package, lists: Path, directory: Path
    ) -> tuple[Path, apt.Package]:
        self.downloads += 1
        (directory / "x.deb").write_text("")
        return directory / "x.deb", self.mirror

    def unpack(self, deb: Path, directory: Path) -> None:
        shutil.copytree(self.tree, directory)


@pytest.fixture
def debian(
    house: House, fake_tar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FakeApt:
    (tmp_path / "deb/usr/src").mkdir(parents=True)
    shutil.copy(fake_tar, tmp_path / "deb/usr/src/linux.tar.xz")
    fake = FakeApt(tmp_path / "deb")
    monkeypatch.setattr(apt, "installed", lambda name: None)
    monkeypatch.setattr(apt, "candidate", lambda name, lists: fake.has)
    monkeypatch.setattr(apt, "download", fake.download)
    monkeypatch.setattr(apt, "unpack", fake.unpack)
    house.write(HEAD + "[[source]]\nkind = 'debian'\npackage = 'linux-source-6.1'\n"
                "file = '/usr/src/linux.tar.xz'\n")
    return fake


def test_a_debian_package_is_fetched_without_installing(house: House, debian: FakeApt) -> None:
    base = house.prepare()
    assert base.origin == (
        "Debian package linux-source-6.1 6.1.0-1, fetched with apt-get download")
    left = {p.name for p in base.repo.parent.iterdir()}
    assert left == {"repo.git", "source.json"}
    assert house.prepare() == base and debian.downloads == 1


def test_installed_or_fetched_is_the_same_commit(
    house: House, debian: FakeApt, fake_tar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = house.prepare()
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path / "other"))
    monkeypatch.setattr(apt, "installed", lambda name: "6.1.0-1")
    toml = house.data / "fake.toml"
    toml.write_text(toml.read_text().replace("/usr/src/linux.tar.xz", str(fake_tar)))
    installed = house.prepare()
    assert installed.origin == "Debian package linux-source-6.1 6.1.0-1, installed"
    assert installed.commit == fetched.commit and debian.downloads == 1


def test_a_mirror_that_moved_on_is_kept_under_what_it_gave(house: House, debian: FakeApt) -> None:
    debian.mirror = apt.Package("linux-source-6.1", "1:6.1.1-1", 1000)
    base = house.prepare()
    assert base.repo.parent.name == "1%6.1.1-1" and " 1:6.1.1-1, fetched" in base.origin
    assert house.prepare() == base  # downloads again, finds it prepared


def test_a_package_without_the_file(house: House, debian: FakeApt) -> None:
    shutil.rmtree(debian.tree / "usr/src")
    with pytest.raises(BaseError, match=r"linux-source-6.1 6.1.0-1 has no /usr/src/linux.tar.xz"):
        house.prepare()


def test_apt_without_the_package(
    house: House, debian: FakeApt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apt, "candidate", lambda name, lists: None)
    with pytest.raises(BaseError, match=r"Debian package linux-source-6.1: apt offers no"):
        house.prepare()


# Signatures

needs_gpg = pytest.mark.skipif(shutil.which("gpg") is None, reason="no gpg here")


class Keyring:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.fingerprint = ""

    def gpg(self, *args: str | Path) -> str:
        return sh("gpg", "--homedir", self.home, "--batch", "--yes", "--pinentry-mode", "loopback",
                  "--passphrase", "", *args)

    def make(self, address: str) -> None:
        self.gpg("--quick-gen-key", address, "ed25519", "sign", "never")
        listed = self.gpg("--with-colons", "--list-keys", address)
        self.fingerprint = next(x for x in listed.splitlines() if x[:3] == "fpr").split(":")[9]


def _keyring(address: str) -> Iterator[Keyring]:
    # Not tmp_path: gpg-agent's socket must fit into 107 characters.
    with tempfile.TemporaryDirectory(prefix="kvg") as home:
        ring = Keyring(Path(home))
        ring.make(address)
        yield ring
        sh("gpgconf", "--homedir", home, "--kill", "all")


@pytest.fixture(scope="session")
def maker() -> Iterator[Keyring]:
    yield from _keyring("maker@example.org")


@pytest.fixture(scope="session")
def stranger() -> Iterator[Keyring]:
    yield from _keyring("stranger@example.org")


@pytest.fixture
def release(fake_tar: Path, tmp_path: Path) -> Path:
    """A directory with the tar as kernel.org has it; the signature is of the uncompressed one."""
    place = tmp_path / "release"
    place.mkdir()
    shutil.copy(fake_tar, place)
    (place / "linux-6.1.tar").write_bytes(lzma.decompress(fake_tar.read_bytes()))
    return place


def signed(release: Path, ring: Keyring, key: str) -> str:
    ring.gpg("--detach-sign", "-o", release / "linux-6.1.tar.sign", release / "linux-6.1.tar")
    where = (release / "linux-6.1.tar.sign").as_uri()
    return HEAD + tarball(release / "linux-6.1.tar.xz", signature=where) + (
        f"[[source.key]]\nfingerprint = '{key}'\naddress = 'maker@example.org'\n")


@needs_gpg
def test_a_signed_tarball(
    house: House, release: Path, maker: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(maker.home))
    house.write(signed(release, maker, maker.fingerprint))
    base = house.prepare()
    assert f"signed by maker@example.org ({maker.fingerprint})" in base.origin
    assert sorted(p.name for p in base.repo.parent.iterdir()) == ["repo.git", "source.json"]


@needs_gpg
def test_a_tar_changed_after_signing_is_refused(
    house: House, release: Path, maker: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(maker.home))
    house.write(signed(release, maker, maker.fingerprint))
    tar = bytearray((release / "linux-6.1.tar").read_bytes())
    tar[2000] ^= 1
    (release / "linux-6.1.tar.xz").write_bytes(lzma.compress(tar))
    with pytest.raises(BaseError, match=r"is not a good signature \(BADSIG\)"):
        house.prepare()


@needs_gpg
def test_a_wrong_key(
    house: House, release: Path, maker: Keyring, stranger: Keyring, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(maker.home))
    house.write(signed(release, stranger, maker.fingerprint))
    with pytest.raises(BaseError, match=r"the key .* that signed it is not here"):
        house.prepare()
    # Even when our keyring happens to hold the stranger's key.
    exported = tmp_path / "stranger.gpg"
    stranger.gpg("-o", exported, "--export")
    sh("gpg", "--homedir", house.cache / "gnupg", "--batch", "--import", exported)
    with pytest.raises(BaseError, match=f"signed by {stranger.fingerprint}, who is not in"):
        house.prepare()


@needs_gpg
def test_a_key_nobody_has_is_named(
    house: House, release: Path, maker: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(tmp_path / "nobody"))
    house.write(signed(release, maker, maker.fingerprint))
    with pytest.raises(BaseError, match=r"is not here; gpg --locate-keys maker@example.org"):
        house.prepare()


def test_without_gpg_a_signed_tarball_is_not_used(
    house: House, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = (release / "linux-6.1.tar.sign").as_uri()
    house.write(HEAD + tarball(release / "linux-6.1.tar.xz", signature=where)
                + f"[[source.key]]\nfingerprint = '{'A' * 40}'\naddress = 'a@b'\n")
    monkeypatch.setattr("kvtools.process.which", lambda program: None)
    with pytest.raises(BaseError, match=r"no gpg here to verify .*; install gnupg"):
        house.prepare()


def test_a_download_that_is_cut_short_or_missing(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="gone"):
        fetch.download((tmp_path / "gone").as_uri(), tmp_path / "x")
    with pytest.raises(ToolFailed, match="unknown url type"):
        fetch.download("kernel.org/linux.tar", tmp_path / "x")


# The user's tree


def snapshot(tree: Path) -> dict[str, tuple[int, int]]:
    """Everything in a tree, .git included, with size and time: did anybody write there?"""
    return {
        str(p.relative_to(tree)): (p.lstat().st_size, p.lstat().st_mtime_ns)
        for p in tree.rglob("*")
    }


def test_a_tree_of_the_users_is_only_read(house: House, fakelinux: Path) -> None:
    before = snapshot(fakelinux)
    base = bases.from_tree(fakelinux, None, house.events.append)
    head = sh("git", "--no-optional-locks", "rev-parse", "HEAD", cwd=fakelinux)
    assert (base.commit, base.version, base.public) == (head, "6.1.0", False)
    assert base.name == f"linux@{head[:12]}"
    with bases.lease(base, "run") as leased:
        assert git.rev_parse(leased.source, "HEAD") == head
        (leased.source / "mm/new.c").write_text("int x;\n")
    assert snapshot(fakelinux) == before
    assert house.events == []


@pytest.mark.parametrize(("ref", "url", "public"), [
    ("refs/remotes/origin/master", "https://git.kernel.org/linux.git", True),
    ("refs/remotes/a/b/master", "git.kernel.org:linux.git", True),
    ("refs/remotes/origin/master", "me@host.example:/srv/linux.git", True),
    ("refs/remotes/origin/master", "/home/me/linux", False),
    ("refs/remotes/origin/master", "file:///home/me/linux", False),
    ("refs/remotes/origin/master", "ssh://localhost/linux", False),
    ("refs/remotes/origin/master", "", False),  # what is left of a remote that was removed
    ("refs/tags/v6.12-rc3", "", True),
    ("refs/tags/next-20261125", "", True),
    ("refs/tags/before-my-rework", "", False),
    ("refs/heads/other", "https://git.kernel.org/linux.git", False),
])
@pytest.mark.parametrize("above", [False, True])
def test_a_base_is_public_where_a_remote_or_a_release_has_it(
    house: House, fakelinux: Path, ref: str, url: str, public: bool, above: bool
) -> None:
    commit = sh("git", "rev-parse", "HEAD", cwd=fakelinux)
    if url:
        name = ref.split("/", 2)[2].rpartition("/")[0] or "origin"
        sh("git", "remote", "add", name, url, cwd=fakelinux)
    if above:
        sh("git", "-c", "user.name=x", "-c", "user.email=x@y.org", "commit", "-q",
           "--allow-empty", "-m", "later", cwd=fakelinux)
    sh("git", "update-ref", ref, "HEAD", cwd=fakelinux)
    assert bases.from_tree(fakelinux, commit).public is public
    if above:  # and what is on top of what the remote has is not
        sh("git", "update-ref", ref, commit, cwd=fakelinux)
        assert not bases.from_tree(fakelinux, "HEAD").public


def test_a_revision_by_name(house: House, fakelinux: Path) -> None:
    sh("git", "tag", "v6.1-test", cwd=fakelinux)
    base = bases.from_tree(fakelinux, "v6.1-test")
    assert base.name == "linux@v6.1-test"
    assert base.origin == f"{fakelinux} at v6.1-test, commit {base.commit[:12]}"
    assert bases.from_tree(fakelinux, base.commit[:10]).name == f"linux@{base.commit[:12]}"


def test_uncommitted_changes_are_told(house: House, fakelinux: Path) -> None:
    (fakelinux / "Kconfig").write_text("# changed\n")
    (fakelinux / "untracked").write_text("x")
    before = snapshot(fakelinux)
    bases.from_tree(fakelinux, None, house.events.append)
    assert house.notices == [
        f"{fakelinux} has uncommitted changes, which are not tested: Kconfig"]
    assert snapshot(fakelinux) == before


def test_bare_and_linked_worktrees_will_do(house: House, fakelinux: Path, tmp_path: Path) -> None:
    sh("git", "clone", "-q", "--bare", fakelinux, tmp_path / "bare.git")
    sh("git", "worktree", "add", "-q", tmp_path / "linked", cwd=fakelinux)
    commits = {bases.from_tree(p, None, house.events.append).commit
               for p in (fakelinux, tmp_path / "bare.git", tmp_path / "linked")}
    assert len(commits) == 1 and house.events == []


def test_bad_trees_and_revisions(house: House, fakelinux: Path, tmp_path: Path) -> None:
    with pytest.raises(BaseError, match="nowhere is not a directory"):
        bases.from_tree(tmp_path / "nowhere", None)
    with pytest.raises(BaseError, match=r"is not the top of a git repository; .* inside it"):
        bases.from_tree(fakelinux / "mm", None)
    with pytest.raises(BaseError, match="'no-such-rev' is not a commit"):
        bases.from_tree(fakelinux, "no-such-rev")
    with pytest.raises(BaseError, match="'--all' is not a git revision"):
        bases.from_tree(fakelinux, "--all")
    shutil.copytree(FAKELINUX, tmp_path / "unpacked")
    with pytest.raises(BaseError, match=r"not the top of .*; make it one: cd .* git init"):
        bases.from_tree(tmp_path / "unpacked", None)
    (fakelinux / "Kbuild").unlink()
    sh("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "x", cwd=fakelinux)
    with pytest.raises(BaseError, match="is not a kernel tree at HEAD"):
        bases.from_tree(fakelinux, None)
    assert bases.from_tree(fakelinux, "HEAD^").version == "6.1.0"


def test_a_tree_without_commits(house: House, tmp_path: Path) -> None:
    git.init(tmp_path / "new")
    with pytest.raises(BaseError, match="'HEAD' is not a commit"):
        bases.from_tree(tmp_path / "new", None)


# Worktrees


@pytest.fixture
def base(house: House, fakelinux: Path) -> Base:
    return bases.from_tree(fakelinux, None)


def test_a_lease_has_source_and_objects_side_by_side(base: Base) -> None:
    with bases.lease(base, "guest-gcc") as leased:
        assert leased.source == bases.worktree(base, "guest-gcc")
        assert leased.objects == bases.objects(base, "guest-gcc")
        assert leased.source.parent == leased.objects.parent
        assert leased.source.parent == base.repo.parent / "jobs" / "guest-gcc"
        assert (leased.source / "Makefile").is_file() and leased.objects.is_dir()


def test_the_next_lease_finds_it_as_it_was_left(base: Base) -> None:
    with bases.lease(base, "k") as leased:
        (leased.source / "mm/page_alloc.c").write_text("int changed;\n")
        times = snapshot(leased.source)
    events: list[Event] = []
    with bases.lease(base, "k", events.append) as leased:
        assert snapshot(leased.source) == times
    assert events == []


def test_half_a_worktree_is_mended(base: Base) -> None:
    with bases.lease(base, "k") as leased:
        source = leased.source
    for hurt in (
        lambda: (source.with_name("src.whole").unlink(), (source / "Makefile").unlink()),
        lambda: shutil.rmtree(source),
        lambda: (source / ".git").unlink(),
        lambda: shutil.rmtree(base.repo / "worktrees"),
    ):
        hurt()
        with bases.lease(base, "k") as leased:
            assert (leased.source / "Makefile").is_file()
            assert git.rev_parse(leased.source, "HEAD") == base.commit


HOLDER = """
import sys, time
from pathlib import Path
from kvtools.bases.locks import held
from kvtools.events import discard
with held(Path(sys.argv[1]), discard, "x"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def hold(lock: Path, seconds: float) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(lock), str(seconds)],
                              stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    return holder


def test_a_second_run_waits_and_names_who_has_it(house: House, base: Base) -> None:
    lock = base.repo.parent / "jobs" / "k" / "lock"
    with hold(lock, 0.5) as holder, bases.lease(base, "k", house.events.append) as leased:
        assert holder.wait(5) == 0
        assert leased.source.is_dir()
    assert len(house.notices) == 1
    assert house.notices[0].endswith(f"is in use by pid {holder.pid}; waiting for it to end")


def test_a_killed_holder_frees_the_lease(house: House, base: Base) -> None:
    with hold(base.repo.parent / "jobs" / "k" / "lock", 60) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait(5)
    with bases.lease(base, "k", house.events.append):
        assert house.notices == []


def test_another_key_is_not_held_up(house: House, base: Base) -> None:
    with bases.lease(base, "a"), bases.lease(base, "b", house.events.append) as other:
        assert other.source.is_dir() and house.notices == []


def test_a_worktree_needs_room(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1000))
    with (
        pytest.raises(MachineError, match=r"a worktree of linux@\S+ and its objects needs 0.3 GB"),
        bases.lease(base, "k"),
    ):
        pass


def test_a_path_that_kbuild_refuses(
    house: House, fakelinux: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path / "my home"))
    spaced = bases.from_tree(fakelinux, None)
    with pytest.raises(BaseError, match=r"my home.* spaces or colons; set KVTOOLS_HOME"):
        bases.worktree(spaced, "k")
    with pytest.raises(ValueError, match="cannot name a directory"):
        bases.worktree(spaced, "../k")


def test_discard_is_the_default_listener(base: Base) -> None:
    with bases.lease(base, "k", discard) as leased:
        assert leased.source.is_dir()
