# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks of a run: those of patches and series in a worktree and on threads of their own,
those of objects where the kernel is built.

Whoever owns the run gives a way to look an outcome up and one to run and store it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kvtools import bases, git, pending, process
from kvtools.checks import Check
from kvtools.checks.findings import Side
from kvtools.checks.program import Touched
from kvtools.checks.request import Built, CheckRequest, Mails
from kvtools.errors import Interrupted
from kvtools.events import Emit, Tick
from kvtools.model import Base, Outcome, Override, Series
from kvtools.plan import OBJECTS, SERIES, Cell
from kvtools.sources import PACKAGE, code_digest
from kvtools.store import key

CODE = ("steps/check.py", "mail.py", "diff.py", "warnings.py", "units", "formats",
        *(f"checks/{path.name}" for path in sorted((PACKAGE / "checks").glob("*.py"))))
"""Our sources that decide what the outcome of a check is, beside those in its folder."""

Work = Callable[[Path, Tick], Outcome]
Pairs = tuple[tuple[str, str], ...]
"""Commits and their git trees."""


@dataclass(frozen=True, slots=True)
class Row:
    """A patch that applied: its commit and its parent's, the git trees of both; ``lines`` are
    the new-side ranges that it touched, by file."""

    number: int
    commit: str
    parent: str
    tree: str
    parent_tree: str
    lines: Mapping[str, tuple[tuple[int, int], ...]]


@dataclass(frozen=True, slots=True)
class Setup:
    """What the checks of a run have in common; ``mails`` is a directory for them."""

    base: Base
    series: Series
    checks: Mapping[str, Check]
    jobs: int
    cores: int
    mails: Path
    emit: Emit


@dataclass(frozen=True, slots=True)
class Hooks:
    """How the owner of the run looks outcomes up, runs and stores them, and asks programs.

    ``stored`` gives the outcome of the first key that has one, ``perform`` runs work in a fresh
    directory and stores what it found, ``scratch`` makes a directory; ``before`` and ``run`` are
    those of :mod:`kvtools.steps.check`, ``twins`` is :meth:`kvtools.twins.Twins.pairs`.
    """

    stored: Callable[[Cell, Iterable[str]], Outcome | None]
    perform: Callable[[int, Cell, str, Work], Outcome]
    scratch: Callable[[], Path]
    before: Callable[[CheckRequest], Side]
    run: Callable[[CheckRequest, Tick], Outcome]
    twins: Callable[[Pairs, str, str], Iterable[Sequence[str]]] | None = None


@dataclass(frozen=True, slots=True)
class Todo:
    """A check whose outcome is not known yet."""

    row: Row
    cell: Cell
    key: str
    request: CheckRequest
    future: Future[Outcome]


class CheckLane:
    """Every check of one run."""

    def __init__(self, setup: Setup, hooks: Hooks) -> None:
        self._setup, self._hooks = setup, hooks
        self._stopped = threading.Event()
        self._touched: dict[str, tuple[Touched, ...]] = {}
        self._mails = _write_mails(setup.series, setup.mails)
        self._pool = ThreadPoolExecutor(setup.cores, thread_name_prefix="check")
        self._digests = _digests(setup.series)

    # Checks of patches and series

    def start(self, work: Sequence[tuple[Row, Mapping[Cell, Future[Outcome]]]]) -> None:
        """Run the checks of the rows in order, in a thread; each ends its future."""
        threading.Thread(target=self._walk, args=(work,), name="checks").start()

    def stop(self) -> None:
        """Start no more of them."""
        self._stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _walk(self, work: Sequence[tuple[Row, Mapping[Cell, Future[Outcome]]]]) -> None:
        try:
            with contextlib.ExitStack() as stack:
                worktree: Path | None = None
                for row, cells in work:
                    todo = self.unknown(row, cells)
                    patches = [t for t in todo if t.cell.scope != SERIES]
                    if patches and worktree is None:
                        lease = bases.lease(self._setup.base, "checks", self._setup.emit)
                        worktree = stack.enter_context(lease).source
                    if worktree is not None and patches:
                        self._patch(row, patches, worktree)
                    self._all([t for t in todo if t.cell.scope == SERIES], None)
        except BaseException as error:  # whoever waits has to see it
            for future in (f for _, cells in work for f in cells.values()):
                with contextlib.suppress(Exception):
                    if not future.done():
                        future.set_exception(error)

    def _patch(self, row: Row, todo: Sequence[Todo], worktree: Path) -> None:
        comparing = [t for t in todo if t.request.check.compares]
        sides: dict[Cell, Side] = {}
        if comparing:
            git.checkout(worktree, row.parent)
            here = [replace(t.request, worktree=worktree) for t in comparing]
            asked = list(self._pool.map(self._hooks.before, here))
            sides = {t.cell: side for t, side in zip(comparing, asked, strict=True)}
        self._check_stop()
        git.checkout(worktree, row.commit)
        self._all(todo, worktree, sides)

    def _all(self, todo: Sequence[Todo], worktree: Path | None,
             sides: Mapping[Cell, Side] | None = None) -> None:
        """Run checks side by side, the cheap ones first; returns when all have ended."""

        def one(item: Todo) -> None:
            self._settle(item, replace(item.request, worktree=worktree,
                                       before=(sides or {}).get(item.cell)))

        list(self._pool.map(one, todo))
        self._check_stop()

    def _check_stop(self) -> None:
        if self._stopped.is_set():
            raise Interrupted("the checks were stopped")

    # Checks of objects

    def before_objects(
        self, todo: Sequence[Todo], worktree: Path, built: Built
    ) -> dict[Cell, Side]:
        """Ask those that compare about the parent, which ``worktree`` and objects are at."""
        comparing = [t for t in todo if t.request.check.compares]
        return {t.cell: self._hooks.before(replace(t.request, worktree=worktree, built=built))
                for t in comparing}

    def after_objects(self, todo: Sequence[Todo], worktree: Path, built: Built,
                      sides: Mapping[Cell, Side]) -> None:
        """Run the checks of objects behind the build, one after the other: each may use make."""
        for item in todo:
            request = replace(item.request, worktree=worktree, built=built,
                              before=sides.get(item.cell))
            self._settle(item, request)

    # One check

    def unknown(self, row: Row, cells: Mapping[Cell, Future[Outcome]],
                **depends: str) -> list[Todo]:
        """Those of ``cells`` that have to run; the others get their stored outcome.

        ``depends`` is what the outcome of an objects check depends on besides.
        """
        todo = []
        for cell, future in cells.items():
            check = self._setup.checks[cell.name]
            found = None
            if not check.volatile:
                found = self._hooks.stored(cell, self._keys(row, check, depends))
            if found:
                future.set_result(found)
            else:
                outcome_key = next(self._keys(row, check, depends))
                todo.append(Todo(row, cell, outcome_key, self._request(row, check), future))
        return todo

    def _settle(self, item: Todo, request: CheckRequest) -> None:
        pending.settle(item.future, lambda: self._run(item, request))

    def _run(self, item: Todo, request: CheckRequest) -> Outcome:
        def work(out: Path, tick: Tick) -> Outcome:
            shutil.copytree(item.request.out, out, dirs_exist_ok=True)
            return self._hooks.run(replace(request, out=out), tick)

        try:
            self._check_stop()
            return self._hooks.perform(item.row.number, item.cell, item.key, work)
        finally:
            shutil.rmtree(item.request.keep.parent, ignore_errors=True)

    def _request(self, row: Row, check: Check) -> CheckRequest:
        scratch = self._hooks.scratch()
        for name in ("out", "keep"):
            (scratch / name).mkdir()
        series, base = self._setup.series, self._setup.base
        cache = base.repo.parent / "checks" / check.name
        cache.mkdir(parents=True, exist_ok=True)
        return CheckRequest(
            check=check,
            repo=base.repo,
            commit=row.commit,
            parent=row.parent,
            base_commit=base.commit,
            number=row.number,
            count=len(series.patches),
            mails=self._mails,
            out=scratch / "out",
            keep=scratch / "keep",
            cache=cache,
            touched=self._files(row.commit),
            lines=row.lines,
            jobs=self._setup.jobs,
            options=series.checks.options.get(check.name, {}),
            overrides=_overrides(series.checks.overrides, check.name),
        )

    def _files(self, commit: str) -> tuple[Touched, ...]:
        if commit not in self._touched:
            found = git.touched_files(self._setup.base.repo, commit)
            self._touched[commit] = tuple(Touched(new, old, status) for status, old, new in found)
        return self._touched[commit]

    def _keys(self, row: Row, check: Check, depends: Mapping[str, str]) -> Iterator[str]:
        """The key of a check, and then that of trees whose comments alone are others."""
        looks = self._looks_at(row, check)
        yield self._key(check, depends, looks)
        if self._hooks.twins and check.unread_comments and check.scope == OBJECTS:
            trees = ((row.commit, looks["tree"]), (row.parent, looks["parent"]))
            for tree, parent in list(self._hooks.twins(
                    trees, depends["config"], check.unread_comments))[1:]:
                yield self._key(check, depends, {**looks, "tree": tree, "parent": parent})

    def _key(self, check: Check, depends: Mapping[str, str], looks: Mapping[str, Any]) -> str:
        series = self._setup.series
        return key(
            step="check",
            check=check.name,
            folder=check.digest,
            code=code_digest(*CODE),
            base=self._setup.base.commit,
            options=series.checks.options.get(check.name, {}),
            overrides=[asdict(one) for one in _overrides(series.checks.overrides, check.name)],
            programs={program: _program(program) for program in check.programs},
            reads={name: _file(Path(name).expanduser()) for name in check.reads},
            **looks,
            **depends,
        )

    def _looks_at(self, row: Row, check: Check) -> dict[str, Any]:
        """What of the series a check can see. One of objects sees none of its words, one of a
        patch only its own: a message amended before it gives its commit another id, no more."""
        series = self._setup.series
        seen: dict[str, Any] = {"tree": row.tree, "parent": row.parent_tree}
        if check.scope == OBJECTS:
            return seen
        seen |= {"number": row.number, "count": len(series.patches),
                 "mail": self._digests[row.number - 1],
                 "cover": _sha(series.cover.mail) if series.cover else ""}
        if check.scope == SERIES:
            seen |= {"commit": row.commit, "mails": self._digests,
                     "previous": [_sha(one) for one in series.previous]}
        return seen


def _overrides(all_of_them: Iterable[Override], name: str) -> tuple[Override, ...]:
    return tuple(o for o in all_of_them if o.rule.partition(".")[0] == name)


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digests(series: Series) -> list[str]:
    return [_sha(patch.mail) for patch in series.patches]


def _program(name: str) -> str:
    """Which program it is, without asking it: path, size and time of change."""
    found = process.which(name)
    if found is None:
        return ""
    state = found.resolve().stat()
    return f"{found.resolve()} {state.st_size} {state.st_mtime_ns}"


def _file(path: Path) -> str:
    return _sha(path.read_bytes()) if path.is_file() else ""


def _write_mails(series: Series, directory: Path) -> Mails:
    """The mails as files that the programs can read, and a reader of the run later."""
    return Mails(
        tuple(_write(directory, series.revision, f"{patch.number:04d}-{_slug(patch.subject)}",
                     patch.mail) for patch in series.patches),
        _write(directory, series.revision, "0000-cover-letter", series.cover.mail)
        if series.cover else None,
        tuple(_write(directory / "previous", 0, f"{number:04d}", one)
              for number, one in enumerate(series.previous, 1)),
    )


def _write(directory: Path, revision: int, name: str, data: bytes) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    version = f"v{revision}-" if revision > 1 else ""
    path = directory / f"{version}{name}.patch"
    path.write_bytes(data)
    return path


def _slug(subject: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", subject).strip("-.")[:52] or "patch"

