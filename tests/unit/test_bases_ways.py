# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways to a base: local git repositories, a stand-in for apt, signed tars. No network."""

from __future__ import annotations

import lzma
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bases_house import HEAD, House, baseline_of, sh, tarball

from kvtools import apt, fetch, git
from kvtools.errors import BaseError, ToolFailed

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

# Debian packages are verified by apt; gpg is for release tarballs, the way of other systems.
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
