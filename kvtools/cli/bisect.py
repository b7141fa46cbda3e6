# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools bisect``."""

from __future__ import annotations

import contextlib
import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kvtools import applying, checks, git, scenarios
from kvtools.bisect import session, text
from kvtools.bisect.checked import Checked
from kvtools.bisect.observation import Tester
from kvtools.bisect.report import Bisection, Terms, exit_code, to_git_log, to_json
from kvtools.bisect.session import Asked
from kvtools.bisection import DETERMINISTIC, Commit, Flakes, History, gitlog
from kvtools.bisection.spec import Check, Kind, parse
from kvtools.cli.prepare import Prepared, prepare
from kvtools.cli.write import check_writable, dumps, write
from kvtools.console import Console, write_result
from kvtools.errors import UserError
from kvtools.events import Emit
from kvtools.model import Step
from kvtools.request import RowResult, RunRequest

SUSPECT = 8.0
CODE_QUALITY = "gl-code-quality-report.json"


def run(arguments: Namespace) -> int:
    """Raises KvtoolsError for bad input and for a machine that cannot run anything."""
    for option in ("json", "log"):
        check_writable(getattr(arguments, option), f"--{option}")
    check = parse_check(arguments.check)
    log = read_replay(arguments)
    with Console(quiet=arguments.quiet) as console:
        tester: Tester | None = None
        if check.kind is Kind.CHECK:
            prepared, history, tester = _checked(arguments, check, console.emit)
        else:
            prepared, history = _history(arguments, check, console.emit)
        asked = replace(_asked(arguments, check, prepared, history, log), tester=tester)
        found = session.run(asked, prepared.request, prepared.store, console.emit)
    with contextlib.suppress(BrokenPipeError):
        _show(arguments, found, prepared.request)
    return exit_code(found.result)


def parse_check(what: str) -> Check:
    """Raises UserError for what is no check."""
    return parse(what, scenarios.names())


def flakes(arguments: Namespace, check: Check) -> Flakes:
    """The belief that ``--flaky`` and ``--noise`` state."""
    if check.deterministic or arguments.flaky == "no":
        return replace(DETERMINISTIC, noise=arguments.noise)
    if arguments.flaky == "auto":
        return Flakes(lowest=max(0.05, 1.5 * arguments.noise), noise=arguments.noise)
    return Flakes(spike=0.0, lowest=arguments.flaky, noise=arguments.noise)


def read_replay(arguments: Namespace) -> gitlog.BisectLog | None:
    """The log of ``--replay``; what it says is added to ``arguments``."""
    if not arguments.replay:
        return None
    try:
        log = gitlog.read(Path(arguments.replay).read_text("utf-8", "surrogateescape"))
    except OSError as error:
        raise UserError(f"{arguments.replay}: {error.strerror}") from error
    arguments.term_old = arguments.term_old or log.term_old
    arguments.term_new = arguments.term_new or log.term_new
    arguments.first_parent = arguments.first_parent or log.first_parent
    arguments.path = arguments.path or list(log.paths)
    arguments.skip = [*arguments.skip, *log.of("skip")]
    if not arguments.series:
        new, old = log.of("new"), log.of("old")
        if not new or not old:
            raise UserError(f"{arguments.replay} names no {log.term_old} and {log.term_new} commit",
                            fix="name GOOD..BAD")
        arguments.series = f"{old[0]}..{new[0]}"
        if not arguments.good:
            arguments.good = []
    return log


# The history

def _history(arguments: Namespace, check: Check, emit: Emit) -> tuple[Prepared, History]:
    ends = re.fullmatch(r"([^.\s]\S*?)\.\.([^.\s]\S*)", arguments.series or "")
    is_range = bool(ends) and not Path(arguments.series).exists()
    common = Namespace(**{**vars(arguments), "patches": "all",
                          "config": [arguments.config] if arguments.config else [],
                          "only": ["boot" if check.boots else "build"]})
    if not is_range:
        if arguments.first_parent or arguments.path or arguments.good:
            raise UserError("--first-parent, --path and --good are for a range of --tree")
        prepared = prepare(common, emit)
        return prepared, _of_series(prepared, emit)
    if not arguments.tree:
        raise UserError(f"{arguments.series} is a range of which tree?", fix="give --tree PATH")
    assert ends is not None
    common.series, common.base = None, ends[1]
    prepared = prepare(common, emit)
    return prepared, _of_range(arguments, prepared.request, ends[2])


def _checked(arguments: Namespace, check: Check,
             emit: Emit) -> tuple[Prepared, History, Checked]:
    """The history of a series or of a range without merges, every patch of it checked."""
    if arguments.first_parent or arguments.path or arguments.good or arguments.fix:
        raise UserError(f"{arguments.check}: a check looks at every patch by itself",
                        fix="leave out --first-parent, --path, --good and --fix")
    common = Namespace(**{**vars(arguments), "patches": "all", "only": [arguments.check],
                          "config": [arguments.config] if arguments.config else []})
    prepared = prepare(common, emit)
    declared = prepared.request.checks.get(check.name)
    if declared is None or declared.scope is checks.Scope.SERIES:
        raise UserError(f"{arguments.check}: no check of single patches",
                        fix=f"kvtools test SERIES --only {arguments.check}")
    arguments.no_revert = True  # a patch that is taken back is no patch to check
    rows = applying.run(prepared.request, prepared.store, emit)
    outcomes = {row.tree.commit: o for row in rows if row.tree for o in row.outcomes
                if (o.step, o.name) == (Step.CHECK, check.name)}
    history = _linear(prepared.request, rows)
    return prepared, history, Checked(check, history, outcomes)


def _of_series(prepared: Prepared, emit: Emit) -> History:
    """Every patch applied, as ``kvtools test`` does it."""
    request = prepared.request
    applying.series_of(request, fix="name a SERIES, or GOOD..BAD of a tree")
    return _linear(request, applying.rows(request, prepared.store, emit))


def _linear(request: RunRequest, rows: Sequence[RowResult]) -> History:
    """One commit after the other. Raises UserError when a patch does not apply."""
    parent, commits = request.base.commit, []
    for row in applying.must_apply(tuple(rows)):
        assert row.tree is not None
        commits.append(Commit(row.tree.commit, (parent,), request.patch(row.number).subject,
                              tuple(row.tree.touched), row.number))
        parent = row.tree.commit
    return History(commits, old=(request.base.commit,), new=parent)


def _of_range(arguments: Namespace, request: RunRequest, tip: str) -> History:
    repo = request.base.repo
    new = git.rev_parse(repo, _in(arguments, tip))
    old = [request.base.commit, *(git.rev_parse(repo, _in(arguments, r)) for r in arguments.good)]
    for one in [o for o in old if not git.is_ancestor(repo, o, new)]:
        # As git bisect: what both have in common has to be good as well, or it was fixed between.
        old += git.merge_bases(repo, one, new)
    found = git.between(repo, new, old, first_parent=arguments.first_parent, paths=arguments.path)
    commits = [Commit(r.id, r.parents, r.subject, r.files) for r in found]
    return History(commits, old=tuple(dict.fromkeys(old)), new=new)


def _in(arguments: Namespace, rev: str) -> str:
    """A revision of the user's tree as its id: our repository has no branches."""
    return git.rev_parse(Path(arguments.tree).resolve(), rev)


# What is asked

def _asked(arguments: Namespace, check: Check, prepared: Prepared, history: History,
           log: gitlog.BisectLog | None) -> Asked:
    suspects = tuple(path.rstrip("/") for path in arguments.suspect)
    prior = {c.id: SUSPECT for c in history.commits
             if any(f == s or f.startswith(f"{s}/") for f in c.files for s in suspects)}
    settings = session.settings(flakes(arguments, check), arguments.confidence, arguments.fix,
                                prior, _skipped(arguments, prepared.request, history),
                                arguments.most)
    default = ("broken", "fixed") if arguments.fix else ("good", "bad")
    terms = Terms(arguments.term_old or default[0], arguments.term_new or default[1])
    return Asked(
        check=check, text=arguments.check, history=history, settings=settings, terms=terms,
        command=prepared.command, fresh=arguments.fresh, revert=not arguments.no_revert,
        first_parent=arguments.first_parent, paths=tuple(arguments.path),
        marks=_marks(log, arguments, history) if log else (),
        trials=log.trials if log else (),
    )


def _skipped(arguments: Namespace, request: RunRequest, history: History) -> frozenset[str]:
    found: set[str] = set()
    for word in arguments.skip:
        start, dots, end = word.partition("..")
        if dots:
            ids = git.between(request.base.repo, _in(arguments, end), [_in(arguments, start)])
            found.update(r.id for r in ids)
        elif word.isdigit() and any(c.number == int(word) for c in history.commits):
            found.update(c.id for c in history.commits if c.number == int(word))
        else:
            full = [c.id for c in history.commits if c.id.startswith(word) and len(word) > 3]
            found.update(full or [_in(arguments, word)])
    return frozenset(found)


def _marks(log: gitlog.BisectLog, arguments: Namespace,
           history: History) -> tuple[tuple[str, str], ...]:
    """Answers of a git bisect between its ends, by full id."""
    found = []
    for commit, mark in log.marks:
        full = next((c.id for c in history.commits if c.id == commit), None)
        if full is None and arguments.tree:
            full = _in(arguments, commit)
        if full and full in history:
            found.append((full, mark))
    return tuple(found)


# What is told

def _show(arguments: Namespace, found: Bisection, request: RunRequest) -> None:
    if arguments.json:
        write(arguments.json, dumps(to_json(found)))
    if arguments.log:
        write(arguments.log, to_git_log(found))
    if arguments.ci == "gitlab":
        write(CODE_QUALITY, text.gitlab(found))
    if "-" in (arguments.json, arguments.log):
        return
    write_result(text.render(found))
    if arguments.ci == "github":
        write_result(text.github(found))
    draft = session.mail(found, request, Path(arguments.tree) if arguments.tree else None)
    if draft and not arguments.fix:
        write_result("\ndraft of a report:\n\n" + draft)
