# SPDX-License-Identifier: GPL-2.0-or-later
"""The text of the cover letter, from a template that the user can replace. Pure but for that file.

What the template is given: ``title``, ``summary`` (of the series' own cover letter), ``revision``,
``changes`` (a draft, a line each), ``table``, ``cells`` (configs, scenarios, checks) and ``tested``
(of the run, 72 columns), ``verdict``, ``base``, ``public``, ``to`` and ``cc``. b4 adds
the diffstat, ``base-commit`` and ``change-id``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

import jinja2

from kvtools.errors import UserError
from kvtools.model import Series, Status, Step
from kvtools.report import RunReport
from kvtools.report.mail import table, tested, wrap
from kvtools.report.text import verdict_line
from kvtools.submit import revisions
from kvtools.submit.recipients import Recipient

TEMPLATE = "cover.txt"
_SHORTLOG = re.compile(r"^\S.* \(\d+\):$")
_SIGNATURE = re.compile(r"^-- ?$")
_OF_GIT = re.compile(r"^(?:base-commit|change-id|prerequisite-\S+):|^---$")


def summary(series: Series) -> str:
    """What the author wrote: the cover letter without what git and b4 added to it."""
    if series.cover is None:
        return f"EDITME: why these {len(series.patches)} patches belong together."
    kept: list[str] = []
    rows = series.cover.body.splitlines()
    for row, after in zip(rows, [*rows[1:], ""], strict=True):
        if (_SHORTLOG.match(row) and after.startswith("  ")) or _SIGNATURE.match(row) \
                or _OF_GIT.match(row):
            break
        kept.append(row)
    return "\n".join(kept).strip()


def render(series: Series, report: RunReport, recipients: Sequence[Recipient], *, revision: int,
           changes: Sequence[str], template: Path | None = None) -> str:
    """Raises UserError for a template that cannot be read or filled."""
    base = report.base
    values = {
        "title": series.title, "summary": summary(series), "revision": revision,
        "changes": ["\n".join(_item(line)) for line in changes],
        "table": "\n".join(table(report)), "tested": "\n".join(tested(report)),
        "cells": "\n".join(_cells(report)),
        "verdict": "\n".join(wrap(verdict_line(report))), "public": base.public,
        "base": "\n".join(wrap(f"{base.name} {base.version} ({base.origin})")),
        "to": [one.who for one in recipients if one.is_to],
        "cc": [one.who for one in recipients if not one.is_to],
    }
    # Autoescape is for HTML; this is a mail, and a patch may well speak of <linux/mm.h>.
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    try:
        text = environment.from_string(_template(template)).render(values)
    except jinja2.TemplateError as error:
        raise UserError(f"{template or TEMPLATE}: {error}",
                        fix="kvtools submit --help names what a template is given") from error
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _item(line: str) -> list[str]:
    return [f"- {line}"] if revisions.ARCHIVE in line else wrap(f"- {line}", "  ")


def _cells(report: RunReport) -> Iterator[str]:
    """What ran, by kind; what was only skipped did not."""
    ran = dict.fromkeys((outcome.step, outcome.name) for row, outcome in report.outcomes()
                        if outcome.status is not Status.SKIP and "subtest_of" not in
                        outcome.details)
    for head, steps in (("Configs", (Step.BUILD,)), ("Booted", (Step.BOOT,)),
                        ("Scenarios", (Step.SELFTEST, Step.DUMP)), ("Checks", (Step.CHECK,))):
        names = [name for step, name in ran if step in steps]
        yield from wrap(f"{head}: {', '.join(names) or 'none'}", "  ")


def _template(path: Path | None) -> str:
    if path is None:
        return (resources.files("kvtools") / "submit" / TEMPLATE).read_text("utf-8")
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}", fix="name a readable template") from error


def kept_by_b4(text: str) -> str:
    """``text`` so that b4 keeps it: it takes a line that begins with ``#`` for a note."""
    return "\n".join(f">{row}" if row.startswith("#") else row for row in text.splitlines()) + "\n"
