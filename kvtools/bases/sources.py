# SPDX-License-Identifier: GPL-2.0-or-later
"""The untouched tree of a base: one repository for each version, made by the first way that can.

``<cache>/bases/<base>/<version>/`` holds ``repo.git``, ``source.json`` and later ``jobs/``.
It is built under another name and renamed, so what is there under its own name is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from kvtools.bases import kernel, room
from kvtools.bases.data import BaseData, Way
from kvtools.bases.locks import held
from kvtools.bases.ways import Offer, label, offer
from kvtools.errors import BaseError, ToolFailed, ToolMissing
from kvtools.events import Emit, Notice, Working

RECORD = "source.json"
STAGING = ".new-"


@dataclass(frozen=True, slots=True)
class Source:
    """An imported tree: ``commit`` is the untouched one, ``version`` the kernel's,
    ``way`` which of the data file's ways made it, ``origin`` the line for the report."""

    directory: Path
    way: str
    commit: str
    version: str
    origin: str
    public: bool

    @property
    def repo(self) -> Path:
        return self.directory / "repo.git"


def prepared(place: Path) -> list[Source]:
    """What is there already, the newest first."""
    records = sorted(place.glob(f"*/{RECORD}"), key=lambda f: f.stat().st_mtime, reverse=True)
    return [_load(record.parent) for record in records if not record.parent.name.startswith(".")]


def get(data: BaseData, cache: Path, emit: Emit) -> Source:
    """The source of ``data``, made if it is not there, by the first of its ways that works.

    What the ways before it said becomes part of ``origin``. Where none works, what an
    earlier time prepared is used with a Notice. Raises BaseError naming every way.
    """
    place = cache / "bases" / data.name
    failed: list[str] = []
    with held(place / "lock", emit, f"base {data.name}"), room.writing(place):
        for left in place.glob(f"{STAGING}*"):
            shutil.rmtree(left)
        for way in data.ways:
            before = [s for s in prepared(place) if s.way == label(way)]
            try:
                offered = offer(way, cache)
                found = place / offered.slug
                if (found / RECORD).is_file():
                    return _load(found)
                return _make(data, way, offered, place, failed, emit)
            except (ToolFailed, ToolMissing, BaseError) as error:
                failed.append(f"{label(way)}: {error}")
            if before:
                emit(Notice(f"{failed[-1]}; using {before[0].directory.name} from before",
                            level="warning"))
                return before[0]
    raise BaseError(
        f"base {data.name} cannot be had here. " + ". ".join(failed),
        fix="or use a clone of your own: --tree PATH --base REV",
    )


def _make(
    data: BaseData, way: Way, offered: Offer, place: Path, failed: list[str], emit: Emit
) -> Source:
    staging = place / f"{STAGING}{offered.slug}"
    staging.mkdir(parents=True)
    phases = _Phases(emit)
    try:
        taken = offered.take(staging, phases.say)
        version = kernel.version_at(staging / "repo.git", taken.commit)
        if version is None or not data.version.fullmatch(version):
            raise BaseError(
                f"{taken.origin}: holds {f'kernel {version}' if version else 'no kernel tree'}, "
                f"base {data.name} wants {data.version.pattern}"
            )
        for left in staging.iterdir():
            if left.name != "repo.git":
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        final = place / taken.slug
        if (final / RECORD).is_file():
            return _load(final)
        origin = "; ".join([taken.origin, *(f"not from {line}" for line in failed)])
        source = Source(final, label(way), taken.commit, version, origin, offered.public)
        _store(source, staging)
        staging.rename(final)
        return source
    finally:
        phases.end()
        if staging.exists():
            shutil.rmtree(staging)


class _Phases:
    """Tells one phase after the other, each ended when the next begins."""

    def __init__(self, emit: Emit) -> None:
        self._emit: Callable[[Working], None] = emit
        self._now = ""

    def say(self, what: str) -> None:
        self.end()
        self._now = what
        self._emit(Working(what))

    def end(self) -> None:
        if self._now:
            self._emit(Working(self._now, done=True))
        self._now = ""


def _store(source: Source, directory: Path) -> None:
    record = asdict(source)
    del record["directory"]
    (directory / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _load(directory: Path) -> Source:
    record = json.loads((directory / RECORD).read_text(encoding="utf-8"))
    return Source(directory=directory, **record)
