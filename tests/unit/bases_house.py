# SPDX-License-Identifier: GPL-2.0-or-later
"""A house for tests of bases: data files and a home of the test's own, and tars of fake trees."""

from __future__ import annotations

import difflib
import subprocess
import tarfile
from pathlib import Path

from kvtools import bases, fetch
from kvtools.events import Event, Notice
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


def tarball(tar: Path, version: str = "6.1.0", **more: str) -> str:
    more = more or {"sha256": fetch.sha256(tar)}
    fields = "".join(f"{key} = '{value}'\n" for key, value in more.items())
    return f"[[source]]\nkind = 'tarball'\nversion = '{version}'\nurl = '{tar.as_uri()}'\n{fields}"


def baseline_of(house: House, *, text: str = "") -> str:
    """A baseline that removes the driver and edits mm/Kconfig."""
    (house.data / "fake").mkdir(exist_ok=True)
    before = (FAKELINUX / "mm/Kconfig").read_text().splitlines(keepends=True)
    after = [before[0], "# edited\n", *before[1:]]
    diff = "".join(difflib.unified_diff(before, after, "a/mm/Kconfig", "b/mm/Kconfig"))
    mail = "From: A <a@example.org>\nSubject: [PATCH] mm: edit it\n\nFor the test.\n---\n"
    (house.data / "fake/0001-edit.patch").write_text(text or mail + diff)
    return f"[baseline]\nremove = ['{REMOVED}']\npatches = ['fake/0001-edit.patch']\n"
