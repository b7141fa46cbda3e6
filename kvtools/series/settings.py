# SPDX-License-Identifier: GPL-2.0-or-later
"""``series.toml``: what the author of a series expects of it."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvtools.errors import SeriesError
from kvtools.model import (
    CheckSettings,
    ConfigUse,
    Expectation,
    Json,
    Level,
    Override,
    Series,
    Step,
)

FILE = "series.toml"
_KEYS = ("name", "base", "configs", "scenarios", "config", "expect", "checks",
         "severity", "options")
_CONFIG_KEYS = ("patches", "scenarios")
_EXPECT_KEYS = ("from", "reason")
_SEVERITY_KEYS = ("level", "reason")


@dataclass(frozen=True, slots=True)
class Settings:
    """The keys of the file; empty where they are not given."""

    name: str = ""
    base: str | None = None
    configs: tuple[ConfigUse, ...] = ()
    scenarios: tuple[str, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    checks: CheckSettings = field(default_factory=CheckSettings)


def load(directory: Path) -> Settings:
    """Read ``series.toml`` of a directory; defaults when there is none.

    Raises SeriesError naming the key, and the nearest valid one when it is unknown.
    """
    path = directory / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise SeriesError(f"cannot read {path}: {error}") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SeriesError(f"{path}: {error}") from error
    return _settings(data, str(path), directory)


def _settings(data: Mapping[str, Any], where: str, directory: Path) -> Settings:
    _known(data, _KEYS, where)
    expect = data.get("expect", {})
    if not isinstance(expect, dict):
        raise SeriesError(f"{where}: expect is not a table", fix='write [expect."selftest:NAME"]')
    return Settings(
        name=_text(data, "name", where),
        base=_text(data, "base", where) or None,
        configs=_configs(data, where),
        scenarios=_list(data, "scenarios", where),
        expectations=tuple(_expectation(cell, value, where) for cell, value in expect.items()),
        checks=_checks(data, where, directory),
    )


def _checks(data: Mapping[str, Any], where: str, directory: Path) -> CheckSettings:
    """``checks = ["folder"]``, ``[severity."check.RULE"]`` and ``[options.check]``."""
    levels, options = data.get("severity", {}), data.get("options", {})
    if not isinstance(levels, dict):
        raise SeriesError(f"{where}: severity is not a table",
                          fix='write [severity."checkpatch.LONG_LINE"]')
    if not isinstance(options, dict) or not all(isinstance(t, dict) for t in options.values()):
        raise SeriesError(f"{where}: options is not a table", fix="write [options.CHECK]")
    tables: dict[str, dict[str, Json]] = options
    return CheckSettings(
        folders=tuple((directory / Path(one).expanduser()).resolve()
                      for one in _list(data, "checks", where)),
        overrides=tuple(_override(rule, value, where) for rule, value in levels.items()),
        options=tables,
    )


def _override(rule: str, value: object, where: str) -> Override:
    where = f'{where}: severity."{rule}"'
    if not isinstance(value, dict):
        raise SeriesError(f"{where} is not a table", fix='give it level = "warn" and a reason')
    _known(value, _SEVERITY_KEYS, where)
    level = _text(value, "level", where)
    if level not in set(Level):
        raise SeriesError(f"{where}: no level '{level}'", fix=f"levels: {', '.join(Level)}")
    reason = _text(value, "reason", where).strip()
    if not reason:
        raise SeriesError(f"{where} has no reason", fix="say why: the report prints it")
    return Override(rule, Level(level), reason)


def _known(keys: Iterable[str], valid: tuple[str, ...], where: str) -> None:
    for key in keys:
        if key not in valid:
            near = difflib.get_close_matches(key, valid, 1, 0.5)
            raise SeriesError(
                f"{where}: unknown key '{key}'",
                fix=f"did you mean '{near[0]}'?" if near else f"valid keys: {', '.join(valid)}",
            )


def _text(data: Mapping[str, Any], key: str, where: str) -> str:
    value = data.get(key, "")
    if not isinstance(value, str):
        raise SeriesError(f"{where}: {key} is not a string")
    return value


def _list(data: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = data.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise SeriesError(f"{where}: {key} is not a list of strings", fix=f'{key} = ["..."]')
    return tuple(value)


def _configs(data: Mapping[str, Any], where: str) -> tuple[ConfigUse, ...]:
    """``configs`` in order, each with what its table ``[config.NAME]`` says of it."""
    tables = data.get("config", {})
    if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
        raise SeriesError(f"{where}: config is not a table", fix="write [config.NAME]")
    names = _list(data, "configs", where)
    _known(tables, names, f"{where}: config")
    return tuple(_config_use(name, tables.get(name, {}), where) for name in names)


def _config_use(name: str, table: Mapping[str, Any], where: str) -> ConfigUse:
    where = f"{where}: config.{name}"
    _known(table, _CONFIG_KEYS, where)
    chosen = _list(table, "scenarios", where) if "scenarios" in table else None
    return ConfigUse(name, _text(table, "patches", where) or "all", chosen)


def _expectation(cell: str, value: object, where: str) -> Expectation:
    where = f'{where}: expect."{cell}"'
    step = cell.partition(":")[0]
    if step not in set(Step):
        near = difflib.get_close_matches(step, list(Step), 1, 0.5)
        raise SeriesError(
            f"{where}: no step '{step}'",
            fix=f"did you mean '{near[0]}'?" if near else f"steps: {', '.join(Step)}",
        )
    if not isinstance(value, dict):
        raise SeriesError(f"{where} is not a table", fix='give it from = N and reason = "..."')
    _known(value, _EXPECT_KEYS, where)
    first = value.get("from")
    if first != "never" and (not isinstance(first, int) or isinstance(first, bool) or first < 1):
        raise SeriesError(f"{where}: from is not a patch number", fix='use a number or "never"')
    reason = _text(value, "reason", where).strip()
    if not reason:
        raise SeriesError(f"{where} has no reason", fix="say why it may be skipped before that")
    return Expectation(cell, None if first == "never" else int(first), reason)


def dump(series: Series, directory: str) -> str:
    """The text of a ``series.toml``; "" when it would say no more than the directory's name."""
    lines = [f"name = {json.dumps(series.name)}"] if series.name != directory else []
    if series.base:
        lines.append(f"base = {json.dumps(series.base)}")
    for key, values in (
        ("configs", [use.config for use in series.configs]),
        ("scenarios", list(series.scenarios)),
    ):
        if values:
            lines.append(f"{key} = {json.dumps(values)}")
    for use in series.configs:
        lines += _dump_use(use)
    for one in series.expectations:
        first = json.dumps("never") if one.from_patch is None else str(one.from_patch)
        lines += ["", f"[expect.{json.dumps(one.cell)}]", f"from = {first}",
                  f"reason = {json.dumps(one.reason)}"]
    for over in series.checks.overrides:
        lines += ["", f"[severity.{json.dumps(over.rule)}]", f"level = {json.dumps(over.level)}",
                  f"reason = {json.dumps(over.reason)}"]
    return "\n".join(lines) + "\n" if lines else ""


def _dump_use(use: ConfigUse) -> list[str]:
    said = [] if use.patches == "all" else [f"patches = {json.dumps(use.patches)}"]
    if use.scenarios is not None:
        said.append(f"scenarios = {json.dumps(list(use.scenarios))}")
    return ["", f"[config.{json.dumps(use.config)}]", *said] if said else []
