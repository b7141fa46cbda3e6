# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are kept: XDG directories, KVTOOLS_HOME over them, no home at all."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from kvtools import paths
from kvtools.errors import MachineError, UserError


def test_xdg_directories_are_used() -> None:
    home = paths.home({"HOME": "/h", "XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "/c"})
    assert home == paths.Home(Path("/s/kvtools"), Path("/c/kvtools"))


def test_defaults_below_home() -> None:
    home = paths.home({"HOME": "/h"})
    assert home == paths.Home(Path("/h/.local/state/kvtools"), Path("/h/.cache/kvtools"))


def test_relative_xdg_directories_are_ignored() -> None:
    assert paths.home({"HOME": "/h", "XDG_CACHE_HOME": "c"}).cache == Path("/h/.cache/kvtools")


def test_kvtools_home_moves_both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    both = {"KVTOOLS_HOME": "/k", "XDG_STATE_HOME": "/s"}
    assert paths.home(both) == paths.Home(Path("/k/state"), Path("/k/cache"))
    monkeypatch.chdir(tmp_path)
    assert paths.home({"KVTOOLS_HOME": "k"}).state == tmp_path / "k/state"


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}])
def test_without_home_the_user_database_answers(environ: dict[str, str]) -> None:
    there = Path(pwd.getpwuid(os.getuid()).pw_dir)
    assert paths.home(environ).cache == there / ".cache/kvtools"


def test_user_without_any_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> object:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(UserError, match="KVTOOLS_HOME"):
        paths.home({})
    assert paths.home({"KVTOOLS_HOME": "/k"}).state == Path("/k/state")


def test_data_is_the_clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (paths.data() / "kbuild/packages.toml").is_file()
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "kvtools/paths.py"))
    with pytest.raises(MachineError, match="kbuild"):
        paths.data()
