# SPDX-License-Identifier: GPL-2.0-or-later
"""What series.toml says of checks, and what the report says of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from reports import outcome, report, row

from kvtools import checks, paths
from kvtools.errors import ConfigError, SeriesError
from kvtools.model import CheckSettings, Level, Override, Series, Status
from kvtools.report import render
from kvtools.report.text import of_series
from kvtools.series.settings import dump, load

TOML = """\
checks = ["mine", "/opt/theirs"]
[severity."checkpatch.CAMELCASE"]
level = "ignore"
reason = "named so"
[options.message]
subject = 72
"""


def settings(tmp_path: Path, text: str) -> CheckSettings:
    (tmp_path / "series.toml").write_text(text)
    return load(tmp_path).checks


def test_series_toml_names_checks_levels_and_options(tmp_path: Path) -> None:
    found = settings(tmp_path, TOML)
    assert found.folders == (tmp_path.resolve() / "mine", Path("/opt/theirs"))
    assert found.overrides == (Override("checkpatch.CAMELCASE", Level.IGNORE, "named so"),)
    assert found.options == {"message": {"subject": 72}}


def test_levels_survive_being_written(tmp_path: Path) -> None:
    found = settings(tmp_path, TOML)
    series = Series("s", "t", "t", (), checks=CheckSettings(overrides=found.overrides))
    assert settings(tmp_path, dump(series, "d")).overrides == found.overrides


@pytest.mark.parametrize(
    ("text", "says"),
    [('[severity."a.B"]\nlevel = "ignore"\n', "has no reason"),
     ('[severity."a.B"]\nlevel = "loud"\nreason = "x"\n', "no level 'loud'"),
     ('[severity."a.B"]\nlevel = "warn"\nreson = "x"\n', "did you mean 'reason'"),
     ('severity = "warn"\n', "severity is not a table"), ("options = 3\n", "options is not"),
     ("checks = 3\n", "checks is not a list")],
)
def test_what_is_wrong_in_it_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SeriesError, match=says):
        settings(tmp_path, text)


def test_a_users_config_names_checks_too(tmp_path: Path) -> None:
    path = paths.config({"XDG_CONFIG_HOME": str(tmp_path)})
    assert checks.configured(path) == []
    path.parent.mkdir()
    path.write_text('checks = ["mine"]\n')
    assert checks.configured(path) == [path.parent / "mine"]
    path.write_text('cheks = ["mine"]\n')
    with pytest.raises(ConfigError, match="unknown key 'cheks'"):
        checks.configured(path)


def test_the_report_says_which_levels_were_changed_and_why() -> None:
    lenient = {"overrides": [{"rule": "checkpatch.CAMELCASE", "level": "ignore",
                              "reason": "named so", "findings": 2}]}
    run = report(row(0), *(row(n, outcome("check:checkpatch", details=lenient)) for n in (1, 2)))
    assert of_series(run) == (
        "level checkpatch.CAMELCASE is ignore on patches 1..2: named so")
    assert "named so" in render(run)


def test_the_report_says_where_every_patch_builds() -> None:
    def run(second: Status) -> str:
        rows = [row(1, outcome("build:guest"), outcome("build:m")),
                row(2, outcome("build:guest"), outcome("build:m", second))]
        return of_series(report(row(0, outcome("build:guest")), *rows))

    assert run(Status.PASS) == "build every patch builds in guest, m"
    assert run(Status.FAIL) == "build every patch builds in guest"
    assert run(Status.SKIP) == "build every patch builds in guest"


def test_a_check_of_the_series_is_not_shown_as_the_last_patchs() -> None:
    bad = outcome("check:cover", Status.WARN, summary="NO_COVER: there is none",
                  details={"scope": "series"})
    text = render(report(row(0), row(1), row(2, bad), status=Status.WARN))
    assert "WARN  series, cover\n" in text
