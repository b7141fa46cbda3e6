# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures shared by the unit tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bases_house import FAKELINUX, House, pack

from kvtools import paths, process, toolchain

IDENTITY = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Fake Author",
    "GIT_AUTHOR_EMAIL": "author@example.org",
    "GIT_AUTHOR_DATE": "2022-12-11T22:15:18+00:00",
    "GIT_COMMITTER_NAME": "Fake Author",
    "GIT_COMMITTER_EMAIL": "author@example.org",
    "GIT_COMMITTER_DATE": "2022-12-11T22:15:18+00:00",
}


@pytest.fixture(autouse=True, scope="session")
def _versions_asked_once() -> Iterator[None]:
    """Every command in a test probes the toolchain, seven programs: the system's do not change."""
    asked, known = toolchain._version, {}

    def version(program: str, package: str) -> str:
        found = process.which(program)
        if found is None or Path("/usr") not in found.parents:  # a stand-in of the test's
            return asked(program, package)
        if found not in known:
            known[found] = asked(program, package)
        return known[found]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toolchain, "_version", version)
        yield


def _git(where: Path, *args: str) -> None:
    subprocess.run(["git", *args], cwd=where, env={**os.environ, **IDENTITY}, check=True,
                   capture_output=True)


@pytest.fixture(scope="session")
def fakelinux_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One committed copy of the fake kernel tree; do not change it.

    Its objects are one pack and it has no sample hooks: every test copies it, and pytest removes
    the copies, where a loose object costs a file and a directory each.
    """
    tree = tmp_path_factory.mktemp("fakelinux") / "linux"
    shutil.copytree(FAKELINUX, tree)
    _git(tree, "init", "-q", "-b", "main", "--template=")
    _git(tree, "config", "gc.auto", "0")
    _git(tree, "add", "-Af")
    _git(tree, "commit", "-q", "-m", "Fake Linux 6.1")
    _git(tree, "repack", "-adq")
    return tree


@pytest.fixture
def fakelinux(fakelinux_template: Path, tmp_path: Path) -> Path:
    """A fresh git repository with the fake kernel tree committed on ``main``.

    It answers ``make O=... tinyconfig | olddefconfig | bzImage | modules`` as a kernel
    does, compiles with the real gcc and takes well under a second. Its commit id is
    the same in every test.
    """
    tree = tmp_path / "linux"
    shutil.copytree(fakelinux_template, tree, symlinks=True)
    return tree


@pytest.fixture(scope="session")
def fake_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(FAKELINUX, tmp_path_factory.mktemp("tar") / "linux-6.1.tar.xz")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    made = House(tmp_path)
    monkeypatch.setattr(paths, "data", lambda: tmp_path / "root")
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path / "home"))
    return made
