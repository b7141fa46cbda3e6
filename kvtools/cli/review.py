# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools review``."""

from __future__ import annotations

import mailbox
import time
from argparse import Namespace
from pathlib import Path

from kvtools import applying, bases, git, series, session
from kvtools.cli.prepare import Prepared, prepare
from kvtools.cli.test import EXIT, show
from kvtools.cli.write import check_writable, wanted
from kvtools.console import Console, write_result
from kvtools.errors import Interrupted, MachineError, UserError
from kvtools.events import Emit, Notice
from kvtools.model import Series
from kvtools.paths import home
from kvtools.report import RunReport, TriedBase
from kvtools.review.candidates import best, order, told, tried
from kvtools.review.replies import Reply, numbers, replies, same, untested
from kvtools.session import Session
from kvtools.store import Store


def run(arguments: Namespace) -> int:
    """As ``kvtools test``. Raises KvtoolsError for bad input and for a machine that fails."""
    output = Path(arguments.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output} is not empty", fix="name a new directory")
    for name, path in wanted(arguments).items():
        check_writable(path, f"--{name}")
    reviewer = git.identity()
    if reviewer is None:
        raise UserError("git does not know who you are, and the replies are from you",
                        fix="git config --global user.name and user.email")
    with Console(quiet=arguments.quiet) as console:
        tree = Path(arguments.tree) if arguments.tree else None
        chosen = series.read(arguments.series, tree=tree, emit=console.emit)
        report = _report(arguments, chosen, console.emit)
    made = replies(chosen, report, reviewer, tag=arguments.tested_by, now=time.time())
    _write(output, made)
    show(arguments, report)
    write_result(_told(output, chosen, report, made, tag=arguments.tested_by))
    return EXIT[report.status]


def _report(arguments: Namespace, chosen: Series, emit: Emit) -> RunReport:
    """The stored run of ``--run``, or one that is made now on the base that was found."""
    if arguments.run_id:
        store = Store(home().state)
        if arguments.run_id not in store.runs():
            raise UserError(f"there is no run {arguments.run_id}", fix="kvtools runs lists them")
        report = session.read(store, arguments.run_id)
        if why := same(chosen, report):
            raise UserError(f"the run {arguments.run_id} is not one of this series: {why}",
                            fix="kvtools runs lists what each tested")
        return report
    results: list[TriedBase] = []
    arguments.base = arguments.base or _base(arguments, chosen, results, emit)
    prepared = prepare(arguments, emit, chosen)
    return Session(prepared.store, prepared.request, prepared.command, emit, tuple(results)).run()


def _base(arguments: Namespace, chosen: Series, results: list[TriedBase],
          emit: Emit) -> str | None:
    """The name or, with --tree, the revision to test on; None where the tree or the series says
    it. What was tried is added to ``results``."""
    if (chosen.base or arguments.tree) and not arguments.candidate:
        return None
    known = [] if arguments.tree else bases.names()
    found = chosen.base_commit or ""
    for info in known:
        if found and info.commit and info.commit.startswith(found):
            emit(Notice(f"the series was made on {info.name}: its base-commit says so"))
            return info.name
    if found and not arguments.tree:
        emit(Notice(f"its base-commit {found[:12]} is no base that is here: trying those that are"))
    names = order([i.name for i in known], [i.name for i in known if i.commit],
                  arguments.candidate)
    if not names:
        raise UserError("no base is prepared, and none was named",
                        fix="kvtools base prepare NAME, or --candidate NAME")
    for name in names:
        results.append(_tried(arguments, chosen, name, emit))
        emit(Notice(f"tried {told(results[-1])}"))
    return best(results)


def _tried(arguments: Namespace, chosen: Series, name: str, emit: Emit) -> TriedBase:
    """A base that cannot be had is told as the others are; a misspelt one ends it all."""
    common = Namespace(**{**vars(arguments), "base": name, "only": ["apply"]})
    try:
        prepared: Prepared = prepare(common, emit, chosen)
        base = prepared.request.base
        try:
            rows = applying.rows(prepared.request, prepared.store, emit)
        finally:  # a look at a base is no run
            prepared.store.discard_run(prepared.request.run_id)
        return tried(name, base.version, rows)
    except Interrupted:
        raise
    except MachineError as error:
        return TriedBase(name, "", 0, len(chosen.patches), str(error), failed=True)


def _write(output: Path, made: tuple[Reply, ...]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    box = mailbox.mbox(output / "replies.mbox")
    for one in made:
        name = f"{one.number:04}-reply.eml"
        (output / name).write_bytes(one.message.as_bytes())
        box.add(one.message)
    box.close()


def _told(output: Path, chosen: Series, report: RunReport, made: tuple[Reply, ...], *,
          tag: bool) -> str:
    rows = [f"{len(made)} replies in {output}, a summary and to patches {numbers(made)}. "
            "Nothing was sent."]
    reason = untested(chosen, report)
    if reason and tag:
        rows.append(f"no Tested-by is offered: {reason}")
    if not all(one.threaded for one in made):
        rows.append("WARNING: the patches have no Message-ID, the replies thread nowhere: review "
                    "the mails as they were sent (a message-id, or the thread's mbox)")
    return "\n".join(rows) + "\n"
