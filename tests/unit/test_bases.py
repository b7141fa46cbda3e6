# SPDX-License-Identifier: GPL-2.0-or-later
"""Bases from small tars: the data files, and what preparing one does. No network."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from bases_house import HEAD, REMOVED, House, baseline_of, pack, sh, tarball

from kvtools import bases, git, paths
from kvtools.bases.data import read, read_all
from kvtools.bases.importer import import_tar
from kvtools.errors import BaseError, MachineError
from kvtools.events import Working

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


# Preparing


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
