# SPDX-License-Identifier: GPL-2.0-or-later
"""How one way of a data file gets the kernel: what it would give, and getting it.

Each way is first asked for its version, which is cheap and names the directory the result
is kept in, and only then made to work.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kvtools import apt, fetch, git, process
from kvtools.bases import room
from kvtools.bases.data import DebianPackage, GitBranch, Tarball, Way
from kvtools.bases.importer import import_tar
from kvtools.errors import ToolFailed

PACK = room.GB // 2  # the git repository of one kernel: 291 MB measured for 6.1
TAR = 17 * room.GB // 10  # an uncompressed kernel: 1.3 GB for 6.1, 1.5 GB for 6.12
LS_REMOTE = 60.0
CLONE = 3600.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Taken:
    """An import: ``slug`` names its version for ever, ``commit`` is the untouched tree,
    ``origin`` says in one line where it came from."""

    slug: str
    commit: str
    origin: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What a way can give. ``take(directory, say)`` makes ``directory/repo.git``; its slug
    is another than the offer's when a mirror has moved on."""

    slug: str
    public: bool
    take: Callable[[Path, Say], Taken]


def label(way: Way) -> str:
    """A way in the words of a report."""
    match way:
        case DebianPackage():
            return f"Debian package {way.package}"
        case Tarball():
            return f"tarball {way.url}"
        case GitBranch():
            return f"git branch {way.branch} of {way.url}"


def offer(way: Way, cache: Path) -> Offer:
    """Ask ``way`` what it has. Raises ToolFailed or ToolMissing when it has nothing here."""
    match way:
        case DebianPackage():
            return _debian(way, cache)
        case Tarball():
            return Offer(_tarball_slug(way), False, partial(_tarball, way, cache))
        case GitBranch():
            return _git(way)


def _debian(way: DebianPackage, cache: Path) -> Offer:
    version = apt.installed(way.package) if Path(way.file).is_file() else None
    if version is not None:
        return Offer(_slug(version), False, partial(_installed, way, version))
    package = apt.candidate(way.package, cache / "apt")
    if package is None:
        raise ToolFailed(f"apt offers no {way.package}")
    return Offer(_slug(package.version), False, partial(_download, way, package, cache))


def _slug(version: str) -> str:
    return version.replace(":", "%")  # kbuild refuses colons in the path of a tree


def _installed(way: DebianPackage, version: str, directory: Path, say: Say) -> Taken:
    room.need(directory, PACK, f"importing {way.package}")
    return _import_package(way, Path(way.file), version, "installed", directory, say)


def _download(
    way: DebianPackage, package: apt.Package, cache: Path, directory: Path, say: Say
) -> Taken:
    room.need(directory, PACK + 2 * package.size, f"fetching and importing {way.package}")
    say(f"fetching {way.package} {package.version} ({package.size / 1e6:.0f} MB)")
    deb, got = apt.download(package, cache / "apt", directory)
    apt.unpack(deb, directory / "files")
    deb.unlink()
    tar = directory / "files" / way.file.lstrip("/")
    if not tar.is_file():
        raise ToolFailed(f"{way.package} {got.version} has no {way.file}")
    return _import_package(way, tar, got.version, "fetched with apt-get download", directory, say)


def _import_package(
    way: DebianPackage, tar: Path, version: str, how: str, directory: Path, say: Say
) -> Taken:
    say(f"importing {way.package} {version}")
    message = f"Linux as in Debian's {way.package} {version}\n"
    commit = import_tar(tar, directory / "repo.git", message)
    return Taken(_slug(version), commit, f"{label(way)} {version}, {how}")


def _tarball_slug(way: Tarball) -> str:
    return f"{_slug(way.version)}-tarball"


def _tarball(way: Tarball, cache: Path, directory: Path, say: Say) -> Taken:
    room.need(directory, PACK + TAR, f"fetching and importing {way.url}")
    file = directory / Path(way.url).name
    say(f"fetching {way.url}")
    fetch.download(way.url, file)
    if way.sha256:
        found = fetch.sha256(file)
        if found != way.sha256:
            raise ToolFailed(f"{way.url} has sha256 {found}, the data says {way.sha256}")
        proof = "sha256 as in the data"
    else:
        file, proof = _signed(way, cache, directory, file, say)
    say(f"importing {way.url}")
    commit = import_tar(file, directory / "repo.git", f"Linux {way.version} as released\n")
    return Taken(_tarball_slug(way), commit, f"{label(way)}, {proof}")


def _signed(
    way: Tarball, cache: Path, directory: Path, file: Path, say: Say
) -> tuple[Path, str]:
    if process.which("gpg") is None:
        raise ToolFailed(f"no gpg here to verify {way.url}", fix="install gnupg")
    signature = directory / Path(way.signature).name
    fetch.download(way.signature, signature)
    say(f"verifying {way.url}")
    tar = file.with_name("linux.tar")
    fetch.unxz(file, tar)
    signer = fetch.verify(tar, signature, way.keys, cache / "gnupg")
    return tar, f"signed by {way.keys[signer]} ({signer})"


def _git(way: GitBranch) -> Offer:
    done = process.run(["git", "ls-remote", "--exit-code", "--", way.url,
                        f"refs/heads/{way.branch}"],
                       deadline=LS_REMOTE, env=git.environment(), check=False)
    match = re.match(r"([0-9a-f]{40,64})\t", done.text)
    if done.returncode != 0 or match is None:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ToolFailed(reason[0] if reason else f"{way.url} has no branch {way.branch}")
    tip = match[1]
    return Offer(_tip_slug(tip), True, partial(_clone, way, tip))


def _tip_slug(tip: str) -> str:
    return f"git-{tip[:12]}"


def _clone(way: GitBranch, tip: str, directory: Path, say: Say) -> Taken:
    room.need(directory, PACK, f"cloning {way.url}")
    say(f"cloning {way.branch} of {way.url}")
    repo = directory / "repo.git"
    git.init(repo, bare=True)
    done = process.run(["git", "fetch", "--quiet", "--depth=1", "--no-tags", "--", way.url, tip],
                       deadline=CLONE, cwd=repo, env=git.environment(), check=False)
    if done.returncode != 0:
        text = done.stderr.decode("utf-8", "replace").strip()
        if "No space left" in text:
            raise room.full(directory, f"cloning {way.url}")
        raise ToolFailed(text.splitlines()[-1] if text else f"git fetch from {way.url} failed")
    process.run(["git", "update-ref", "refs/heads/oracle", tip], deadline=LS_REMOTE, cwd=repo,
                env=git.environment())
    return Taken(_tip_slug(tip), tip, f"{label(way)} at {tip[:12]}")
