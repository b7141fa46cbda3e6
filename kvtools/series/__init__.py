# SPDX-License-Identifier: GPL-2.0-or-later
"""A patch series from any source, and back to a directory."""

from __future__ import annotations

import re
from pathlib import Path

from kvtools import mail
from kvtools.errors import SeriesError
from kvtools.events import Emit, discard
from kvtools.model import CoverLetter, Expectation, Patch, Person, Series
from kvtools.series.assemble import Entry, Revision, assemble
from kvtools.series.letters import collect, from_archive
from kvtools.series.settings import FILE, Settings, dump, load

__all__ = ["from_archive", "read", "to_directory"]


def read(source: str, *, tree: Path | None = None, emit: Emit = discard) -> Series:
    """Read a series: a directory, mbox, ``.mbx``, Maildir, range of ``tree``, or message-id.

    Of several revisions the newest complete one is taken, with a notice. Raises
    SeriesError naming what is wrong and where, MachineError when b4 has no network.
    """
    letters, name = collect(source, tree)
    found = assemble(letters, source, emit)
    settings = load(Path(source)) if Path(source).is_dir() else Settings()
    trailers = _trailers(found)
    title = (found.cover or found.patches[0]).title
    _expectations_fit(settings.expectations, len(found.patches), source)
    return Series(
        name=settings.name or name or _slug(title),
        title=title,
        source=source,
        patches=tuple(_patch(entry, n) for n, entry in enumerate(found.patches, 1)),
        cover=_cover(found.cover),
        revision=found.revision,
        base_commit=next(
            (v for k, v in trailers if k == "base-commit" and re.fullmatch("[0-9a-f]{7,64}", v)),
            None,
        ),
        change_id=next((v for k, v in trailers if k == "change-id"), None),
        prerequisites=tuple(f"{k}: {v}" for k, v in trailers if k.startswith("prerequisite-")),
        base=settings.base,
        configs=settings.configs,
        scenarios=settings.scenarios,
        expectations=settings.expectations,
        checks=settings.checks,
        previous=tuple(entry.mail.raw for entry in found.previous),
    )


def to_directory(series: Series, path: Path) -> None:
    """Write ``series`` as ``git format-patch`` would name it, and ``series.toml`` if needed.

    The mails are written byte for byte. Raises SeriesError when ``path`` is not empty.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise SeriesError(f"{path} is not empty", fix="name a new directory")
    path.mkdir(parents=True, exist_ok=True)
    version = f"v{series.revision}-" if series.revision > 1 else ""
    if series.cover is not None:
        (path / f"{version}0000-cover-letter.patch").write_bytes(series.cover.mail)
    for patch in series.patches:
        name = f"{version}{patch.number:04}-{_slug(patch.subject)[:52]}.patch"
        (path / name).write_bytes(patch.mail)
    if text := dump(series, path.name):
        (path / FILE).write_text(text, encoding="utf-8")


def _slug(title: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", title).strip("-.") or "series"


def _patch(entry: Entry, number: int) -> Patch:
    return Patch(
        number=number,
        subject=entry.title,
        author=entry.mail.author or Person("", ""),
        date=entry.mail.date,
        message=entry.mail.message,
        mail=entry.mail.raw,
        source=entry.letter.path or entry.letter.origin,
    )


def _cover(entry: Entry | None) -> CoverLetter | None:
    if entry is None:
        return None
    return CoverLetter(entry.title, entry.mail.text.strip("\n"), entry.mail.raw)


def _trailers(found: Revision) -> tuple[tuple[str, str], ...]:
    entries = [*([found.cover] if found.cover else []), *found.patches]
    return tuple(
        dict.fromkeys(pair for entry in entries for pair in mail.trailers(entry.mail.text))
    )


def _expectations_fit(expectations: tuple[Expectation, ...], count: int, source: str) -> None:
    for one in expectations:
        if one.from_patch is not None and one.from_patch > count:
            raise SeriesError(
                f'{source}/{FILE}: expect."{one.cell}": from = {one.from_patch}, '
                f"and the series has {count} patches",
                fix='use the number of a patch, or "never"',
            )
