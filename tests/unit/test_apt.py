# SPDX-License-Identifier: GPL-2.0-or-later
"""apt against a repository of the test's own: the real programs, no network, no root."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kvtools import apt
from kvtools.errors import ToolFailed

NAME = "linux-source-0.1"
MakeDeb = Callable[[str], Path]

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("apt-get", "dpkg-deb"))), reason="no apt-get and dpkg-deb here"
)


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeDeb:
    """Puts one version of the package, and no other, into the only repository apt knows."""
    repo = tmp_path / "mirror"
    system = tmp_path / "system"
    repo.mkdir()
    for part in ("lists/partial", "cache/archives/partial", "etc/sources.list.d"):
        (system / part).mkdir(parents=True)
    (system / "status").touch()
    (system / "etc/sources.list").write_text(f"deb [trusted=yes] copy:{repo} ./\n")
    (system / "apt.conf").write_text(
        f'Dir::State::lists "{system}/lists";\nDir::State::status "{system}/status";\n'
        f'Dir::Cache "{system}/cache";\nDir::Etc "{system}/etc";\nAPT::Architecture "amd64";\n'
        'APT::Architectures { "amd64"; };\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(system / "apt.conf"))

    def make(version: str) -> Path:
        for old in repo.iterdir():
            old.unlink()
        files = tmp_path / f"files-{version}"
        (files / "DEBIAN").mkdir(parents=True)
        control = (
            f"Package: {NAME}\nVersion: {version}\nArchitecture: all\n"
            "Maintainer: T <t@example.org>\nDescription: a test\n"
        )
        (files / "DEBIAN/control").write_text(control)
        (files / "usr/src").mkdir(parents=True)
        (files / "usr/src/linux.txt").write_text(version)
        deb = repo / f"{NAME}_{version}_all.deb"
        subprocess.run(["dpkg-deb", "-b", files, deb], check=True, capture_output=True)
        (repo / "Packages").write_text(
            f"{control}Filename: ./{deb.name}\nSize: {deb.stat().st_size}\n"
            f"SHA256: {hashlib.sha256(deb.read_bytes()).hexdigest()}\n"
        )
        return deb

    return make


def system_update() -> None:
    subprocess.run(["apt-get", "update"], check=True, capture_output=True)


def content(deb: Path, where: Path) -> str:
    apt.unpack(deb, where)
    return (where / "usr/src/linux.txt").read_text()


def test_the_systems_lists_are_used_and_the_package_comes_whole(
    offer: MakeDeb, tmp_path: Path
) -> None:
    offer("0.1.5-1")
    system_update()
    package = apt.candidate(NAME, tmp_path / "own")
    assert package is not None
    assert (package.version, package.options) == ("0.1.5-1", ())
    assert package.size > 0
    assert not (tmp_path / "own/lists").exists()
    deb, got = apt.download(package, tmp_path / "own", tmp_path)
    assert got == package
    assert content(deb, tmp_path / "out") == "0.1.5-1"


def test_without_lists_we_fetch_our_own_and_leave_the_systems_empty(
    offer: MakeDeb, tmp_path: Path
) -> None:
    offer("0.1.5-1")
    package = apt.candidate(NAME, tmp_path / "own")
    assert package is not None
    assert any(str(tmp_path / "own") in word for word in package.options)
    assert list((tmp_path / "system/lists").glob("*Packages*")) == []
    deb, _ = apt.download(package, tmp_path / "own", tmp_path)
    assert content(deb, tmp_path / "out") == "0.1.5-1"


def test_lists_that_do_not_name_it_may_be_old(offer: MakeDeb, tmp_path: Path) -> None:
    offer("0.1.5-1")
    packages = tmp_path / "mirror/Packages"
    now = packages.read_text()
    packages.write_text(now.replace(NAME, "linux-source-0.0"))
    system_update()
    packages.write_text(now)
    package = apt.candidate(NAME, tmp_path / "own")
    assert package is not None
    assert any(str(tmp_path / "own") in word for word in package.options)
    deb, _ = apt.download(package, tmp_path / "own", tmp_path)
    assert content(deb, tmp_path / "out") == "0.1.5-1"


def test_lists_that_do_not_name_it_and_no_mirror(offer: MakeDeb, tmp_path: Path) -> None:
    offer("0.1.5-1")
    system_update()
    (tmp_path / "system/etc/sources.list").write_text(f"deb copy:{tmp_path}/nowhere ./\n")
    assert apt.candidate("linux-source-0.2", tmp_path / "own") is None


def test_what_the_mirror_lost_is_replaced_by_what_it_has(offer: MakeDeb, tmp_path: Path) -> None:
    offer("0.1.5-1")
    system_update()
    package = apt.candidate(NAME, tmp_path / "own")
    assert package is not None
    offer("0.1.6-1")
    deb, got = apt.download(package, tmp_path / "own", tmp_path)
    assert got.version == "0.1.6-1"
    assert content(deb, tmp_path / "out") == "0.1.6-1"


def test_a_damaged_package_is_refused(offer: MakeDeb, tmp_path: Path) -> None:
    deb = offer("0.1.5-1")
    system_update()
    package = apt.candidate(NAME, tmp_path / "own")
    assert package is not None
    data = bytearray(deb.read_bytes())
    data[-20] ^= 1
    deb.write_bytes(data)
    with pytest.raises(ToolFailed):
        apt.download(package, tmp_path / "own", tmp_path)
    assert list(tmp_path.glob("*.deb")) == []


def test_a_package_nobody_offers(offer: MakeDeb, tmp_path: Path) -> None:
    offer("0.1.5-1")
    system_update()
    assert apt.candidate("linux-source-0.2", tmp_path / "own") is None


def test_no_lists_and_no_mirror_says_what_apt_said(offer: MakeDeb, tmp_path: Path) -> None:
    (tmp_path / "system/etc/sources.list").write_text(f"deb copy:{tmp_path}/nowhere ./\n")
    with pytest.raises(ToolFailed, match=r"no package lists: .*nowhere"):
        apt.candidate(NAME, tmp_path / "own")


def test_lists_of_our_own_age(offer: MakeDeb, tmp_path: Path) -> None:
    offer("0.1.5-1")
    own = tmp_path / "own"
    apt.update(own)
    offer("0.1.6-1")
    fresh = apt.candidate(NAME, own)
    assert fresh is not None and fresh.version == "0.1.5-1"
    os.utime(own / "updated", (0, 0))
    later = apt.candidate(NAME, own)
    assert later is not None and later.version == "0.1.6-1"


def test_fresh_lists_of_our_own_are_fetched_again_when_the_mirror_moved_on(
    offer: MakeDeb, tmp_path: Path
) -> None:
    offer("0.1.5-1")
    package = apt.candidate(NAME, tmp_path / "own")
    assert package is not None
    offer("0.1.6-1")
    deb, got = apt.download(package, tmp_path / "own", tmp_path)
    assert got.version == "0.1.6-1" and deb.exists()


def test_installed_asks_dpkg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stanza = (
        "Package: {}\nStatus: {}\nVersion: {}\nArchitecture: all\nMaintainer: T\nDescription: d\n"
    )
    (tmp_path / "status").write_text(
        stanza.format("here", "install ok installed", "1.2-3") + "\n"
        + stanza.format("removed", "deinstall ok config-files", "1.2-3")
    )
    monkeypatch.setenv("DPKG_ADMINDIR", str(tmp_path))
    assert apt.installed("here") == "1.2-3"
    assert apt.installed("removed") is None
    assert apt.installed("never-heard-of") is None


def test_installed_without_dpkg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvtools.process.which", lambda program: None)
    assert apt.installed("bash") is None


def test_apt_is_not_asked_again_until_something_changes(
    offer: MakeDeb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer("1")
    system_update()
    first = apt.candidate(NAME, tmp_path / "apt")
    asked: list[str] = []
    really = apt._offered
    monkeypatch.setattr(apt, "_offered", lambda name, options: (
        asked.append(name), really(name, options))[1])
    assert apt.candidate(NAME, tmp_path / "apt") == first and asked == []
    offer("2")
    system_update()
    newer = apt.candidate(NAME, tmp_path / "apt")
    assert newer is not None and (newer.version, asked) == ("2", [NAME])
    assert apt.candidate(NAME, tmp_path / "apt") == newer and asked == [NAME]
    preferences = tmp_path / "system/etc/preferences"
    preferences.write_text(f"Package: {NAME}\nPin: version 2\nPin-Priority: -1\n")
    assert apt.candidate(NAME, tmp_path / "apt") != newer and NAME in asked[1:]
    (tmp_path / "apt/offered.json").write_text("[half")
    preferences.unlink()
    assert apt.candidate(NAME, tmp_path / "apt") == newer
