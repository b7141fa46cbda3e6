# SPDX-License-Identifier: GPL-2.0-or-later
"""What is needed of a distribution, and what of it is here."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvtools import packages, paths

ENTRY = """
[bc]
level = "required"
why = "arithmetic"
programs = ["bc"]
debian = "bc"
fedora = "bc-fedora"
"""


def needed() -> tuple[packages.Package, ...]:
    return packages.parse((paths.data() / "kbuild/packages.toml").read_text())


def program(directory: Path, name: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text("#!/bin/sh\n")
    (directory / name).chmod(0o755)


def test_the_shipped_list_is_whole() -> None:
    entries = needed()
    required = packages.names((e for e in entries if e.level == "required"), "debian")
    assert {"git", "gcc", "make", "python3-venv", "qemu-system-x86", "libelf-dev"} <= set(required)
    for where in packages.DISTRIBUTIONS:
        lacking = [e.key for e in entries if e.level == "required" and where not in e.names]
        assert lacking == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("required", "urgent"), "level must be one of"),
        (("programs", "programms"), "unknown programms"),
        (('["bc"]', '"bc"'), "programs must be a list"),
        (('"arithmetic"', '""'), "needs why"),
        (('["bc"]', "[]"), "needs why, programs or files"),
    ],
)
def test_wrong_entries_are_named(change: tuple[str, str], message: str) -> None:
    assert packages.parse(ENTRY)[0].names == {"debian": "bc", "fedora": "bc-fedora"}
    with pytest.raises(ValueError, match=rf"\[bc\].*{message}"):
        packages.parse(ENTRY.replace(*change))


def test_present_asks_for_programs_and_files(tmp_path: Path) -> None:
    text = ENTRY.replace('"]', '", "dc"]\nfiles = ["/usr/lib/{none}", "/usr/lib*/x.h"]', 1)
    entry = packages.parse(text.replace("{none}", "none"))[0]
    tools, root = tmp_path / "bin", tmp_path / "root"

    def here() -> bool:
        return packages.present(entry, path=str(tools), root=str(root))

    program(tools, "bc")
    (root / "usr/lib64").mkdir(parents=True)
    (root / "usr/lib64/x.h").touch()
    assert not here(), "dc is missing"
    program(tools, "dc")
    assert here()
    (root / "usr/lib64/x.h").unlink()
    assert not here(), "x.h is missing"


def test_stdlib_stands_for_the_library() -> None:
    text = ENTRY.replace('programs = ["bc"]', 'files = ["{stdlib}/NAME.py"]')
    assert packages.present(packages.parse(text.replace("NAME", "os"))[0])
    assert not packages.present(packages.parse(text.replace("NAME", "no_such_module"))[0])


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("ID=debian\n", "debian"),
        ('NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n', "debian"),
        ('ID="rhel"\nID_LIKE="fedora"\n', "fedora"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora"),
        ("ID=manjaro\nID_LIKE=arch\n", "arch"),
        ("# ID=debian\nID=slackware\n", ""),
        ('PRETTY_NAME="open\nID=arch', "arch"),
        ("", ""),
    ],
)
def test_distribution(text: str, where: str) -> None:
    assert packages.distribution(text) == where


def test_here_reads_the_first_os_release(tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    release.write_text("ID=arch\n")
    assert packages.here([str(tmp_path / "none"), str(release)]) == "arch"
    assert packages.here([str(tmp_path / "none")]) == ""


def test_names_and_command_per_distribution() -> None:
    entries = packages.parse(ENTRY)
    assert packages.names(entries, "fedora") == ["bc-fedora"]
    assert packages.names(entries, "arch") == []
    assert packages.names(entries, "") == ["bc"]
    assert packages.install_args("debian", ["bc"])[:2] == ["apt-get", "install"]
    assert packages.install_args("fedora", ["bc"]) == ["dnf", "install", "bc"]
    assert packages.install_args("arch", ["bc"]) == ["pacman", "-S", "--needed", "bc"]
    assert packages.install_args("", ["bc"]) == []
