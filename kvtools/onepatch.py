# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks of single mails against a user's tree: what b4 and git hooks ask for.

Nothing is built and no worktree of the user's is touched: the patch becomes a commit in the
repository of ours that borrows the tree's objects.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from kvtools import bases, checklane, checks, git, mail, paths
from kvtools.checks import Check
from kvtools.errors import UserError
from kvtools.events import discard
from kvtools.git.command import git as run_git
from kvtools.model import Base, CoverLetter, Outcome, Patch, Person, Series, Status, Step
from kvtools.plan import PATCH, SERIES, Cell
from kvtools.steps import check
from kvtools.store import Store
from kvtools.work import Work

HEAD = ("HEAD",)
LOOKED_AT = 500
"""So many commits of a tip may be the one that a mail was made of."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A mail by its subject, and what the checks said; ``problem`` when they could not run."""

    subject: str
    outcomes: tuple[Outcome, ...]
    problem: str = ""


def check_mail(raw: bytes, tree: Path, cores: int, tips: Sequence[str] = HEAD) -> Checked:
    """Check one mail: on the parent of the commit that it was made of, else on HEAD.

    ``tips``: the branches that may have that commit.
    """
    title = mail.parse(raw).subject.title
    found = (commit for tip in tips for commit, subject in _log(tree, tip) if subject == title)
    commit = next(found, None)
    parent = f"{commit}^" if commit else "HEAD"
    return _check([raw], None, tree, parent, PATCH, cores)


def check_commit(tree: Path, rev: str, cores: int) -> Checked:
    """Check one commit of the tree; a merge or an empty one has nothing to check."""
    raw = git.format_patches(tree, f"{git.rev_parse(tree, rev)}^!")
    if not raw or not mail.parse(raw[0]).diff.strip():
        return Checked(git.log_subjects(tree, f"{rev}^!")[-1], ())
    return _check(raw[:1], None, tree, f"{rev}^", PATCH, cores)


def check_series(cover: bytes, tree: Path, cores: int, tips: Sequence[str] = HEAD) -> Checked:
    """Check the series whose cover letter it is; its patches have to be commits of a tip."""
    read = mail.parse(cover)
    flat = " ".join(read.text.split())
    for tip in tips:
        listed = [one for one, title in _log(tree, tip) if title in flat]
        total = read.subject.total or len(listed)
        if listed and len(listed) >= total:
            break
    else:
        problem = f"its {total} patches are not all commits of {' or '.join(tips)}"
        return Checked(read.subject.title, (), problem)
    mine = listed[:total][::-1]
    mails = git.format_patches(tree, f"{mine[0]}^..{mine[-1]}")
    return _check(mails, cover, tree, f"{mine[0]}^", SERIES, cores)


def _log(tree: Path, tip: str) -> list[tuple[str, str]]:
    rows = run_git(tree, "log", f"--max-count={LOOKED_AT}", "--no-merges", "--format=%H %s",
                   tip, "--").text.splitlines()
    return [(row.partition(" ")[0], row.partition(" ")[2]) for row in rows]


def _check(mails: Sequence[bytes], cover: bytes | None, tree: Path, parent: str, scope: str,
           cores: int) -> Checked:
    given = _read(mails, cover)
    base = bases.from_tree(tree, parent, discard)
    known = {c.name: c for c in checks.available(checks.configured(paths.config()))
             if c.scope == scope}
    rows: list[checklane.Row] = []
    commit, tree_before = base.commit, base.tree
    for patch in given.patches:
        made = _commit(base, commit, patch.mail, patch.author)
        if made is None:
            return Checked(patch.subject, (), f"it does not apply to {commit[:12]}")
        lines = git.touched_lines(base.repo, made)
        own = git.tree_of(base.repo, made)
        rows.append(checklane.Row(patch.number, made, commit, own, tree_before, lines))
        commit, tree_before = made, own
    outcomes = _run(given, base, known, rows[-1], scope, cores)
    return Checked(given.cover.subject if given.cover else given.patches[-1].subject, outcomes)


def _read(mails: Sequence[bytes], cover: bytes | None) -> Series:
    """A series of just these mails, whatever numbers they have."""
    patches = []
    for number, raw in enumerate(mails, 1):
        read = mail.parse(raw)
        if not read.diff.strip() or read.author is None:
            raise UserError(f"'{read.subject.title}' is no patch", fix="git format-patch makes one")
        patches.append(Patch(number, read.subject.title, read.author, read.date, read.message, raw))
    letter = mail.parse(cover) if cover else None
    of_cover = CoverLetter(letter.subject.title, letter.text, letter.raw) if letter else None
    return Series("mail", patches[0].subject, "standard input", tuple(patches), of_cover)


def _commit(base: Base, parent: str, raw: bytes, author: Person) -> str | None:
    """The mail as a commit on ``parent``, made without a worktree; None when it does not fit."""
    read = mail.parse(raw)
    with tempfile.TemporaryDirectory(prefix="kvtools-") as scratch:
        env = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        for role in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{role}_NAME": author.name, f"GIT_{role}_EMAIL": author.email,
                    f"GIT_{role}_DATE": "2000-01-01T00:00:00Z"}
        run_git(base.repo, "read-tree", parent, env=env)
        done = run_git(base.repo, "apply", "--cached", "--whitespace=nowarn", "-", env=env,
                       stdin=read.diff, check=False)
        if done.returncode != 0:
            return None
        tree = run_git(base.repo, "write-tree", env=env).text.strip()
        text = f"{read.subject.title}\n\n{read.message}\n"
        return run_git(base.repo, "commit-tree", tree, "-p", parent, env=env,
                       stdin=text.encode()).text.strip()


def _run(given: Series, base: Base, known: dict[str, Check], row: checklane.Row, scope: str,
         cores: int) -> tuple[Outcome, ...]:
    store = Store(paths.home().state)
    work = Work(store, "b4-check", discard, reuse=True)
    futures: dict[Cell, Future[Outcome]] = {
        Cell(Step.CHECK, name, scope=scope): Future() for name in known}
    with contextlib.ExitStack() as stack:
        setup = checklane.Setup(base, given, known, 1, cores,
                                stack.enter_context(_scratch(store)), discard)
        hooks = checklane.Hooks(work.first, work.perform, store.begin, check.before, check.run)
        lane = checklane.CheckLane(setup, hooks)
        stack.callback(lane.stop)
        lane.start([(row, futures)])
        outcomes = [future.result() for future in futures.values()]
    return tuple(_judged(outcome) for outcome in outcomes)


def _judged(outcome: Outcome) -> Outcome:
    """A check that could not run has nothing to say here, but says so."""
    return replace(outcome, evidence=outcome.evidence or (outcome.summary,))


@contextlib.contextmanager
def _scratch(store: Store) -> Iterator[Path]:
    place = store.begin()
    try:
        yield place
    finally:
        store.discard(place)


def worst(checked: Checked) -> Status:
    """FAIL, WARN or PASS of a mail."""
    statuses = {outcome.status for outcome in checked.outcomes}
    if Status.FAIL in statuses:
        return Status.FAIL
    return Status.WARN if checked.problem or Status.WARN in statuses else Status.PASS
