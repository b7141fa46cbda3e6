# SPDX-License-Identifier: GPL-2.0-or-later
"""A report as one HTML page that needs nothing beside itself and asks for nothing.

Two nets under hostile text (a subject, a log, a file name): every value that the template
writes is made printable (no control, bidi or raw byte survives) and then escaped, without the
template having to ask for it; and the page's own policy lets only this style sheet and
this script run, by their hashes.
"""

from __future__ import annotations

import base64
import functools
import hashlib

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kvtools.report.cell import read_log
from kvtools.report.html.log import safe
from kvtools.report.html.plots import WIDTH
from kvtools.report.html.view import LogOf, page
from kvtools.report.model import RunReport
from kvtools.report.printable import printable

__all__ = ["render", "to_html"]


def to_html(report: RunReport) -> str:
    """The page of a run, with its logs read from the disk where they still are."""
    return render(report, read_log)


def render(report: RunReport, log_of: LogOf) -> str:
    """The page; ``log_of`` gives the text of an outcome's log, None when it is gone."""
    environment = _environment()
    style, script = _asset("page.css"), _asset("page.js")
    return environment.get_template("page.html.j2").render(
        p=page(report, log_of),
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        safe=safe,
        plot_width=WIDTH,
    )


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("kvtools.report.html", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_clean,
        keep_trailing_newline=True,
    )


def _clean(value: object) -> object:
    """What is not markup of ours is made printable before it is escaped."""
    if isinstance(value, Markup):
        return value
    return printable(str(value)) if value is not None else ""


def _asset(name: str) -> str:
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _hash(text: str) -> str:
    """As Content-Security-Policy wants it: SHA-256 of what is between the tags."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
