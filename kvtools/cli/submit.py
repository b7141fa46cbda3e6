# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools submit``."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from kvtools import applying, git, series, session
from kvtools.cli.prepare import prepare
from kvtools.console import Console, write_result
from kvtools.errors import UserError
from kvtools.events import Emit
from kvtools.model import Person
from kvtools.report import RunReport
from kvtools.store import Store
from kvtools.submit import session as submission

NEWEST = 50
"""So many runs are looked at for one that tested the series."""


def run(arguments: Namespace) -> int:
    """1 when the series is refused. Raises KvtoolsError for bad input and a failing machine."""
    return _prepare(arguments) if arguments.action == "prepare" else _send(arguments)


def _prepare(arguments: Namespace) -> int:
    output = Path(arguments.output)
    with Console(quiet=arguments.quiet) as console:
        common = Namespace(**{**vars(arguments), "patches": "all", "config": [],
                              "only": ["apply"]})
        prepared = prepare(common, console.emit)
        try:
            first = applying.series_of(prepared.request).patches[0].author
            asked = _asked(arguments, first, console.emit)
            reports = _reports(prepared.store, arguments.run_id)
            made = submission.prepare(asked, prepared.request, prepared.store, reports,
                                      console.emit)
        except submission.Refused as refused:
            sys.stderr.writelines(f"  {reason}\n" for reason in refused.reasons)
            raise
        finally:
            prepared.store.discard_run(prepared.request.run_id)
    write_result(_told(output, made))
    return 0


def _asked(arguments: Namespace, first: Person, emit: Emit) -> submission.Asked:
    tree = Path(arguments.tree) if arguments.tree else None
    previous = None
    if arguments.previous:
        previous = series.read(arguments.previous, tree=tree, emit=emit)
    elif arguments.resend:
        raise UserError("--resend of what?", fix="name what was sent with --previous")
    replies = Path(arguments.replies) if arguments.replies else None
    if replies and not replies.is_file():
        raise UserError(f"--replies {replies}: no such mailbox", fix="b4 mbox saves a thread")
    template = Path(arguments.template) if arguments.template else None
    return submission.Asked(
        output=Path(arguments.output), sender=git.identity() or first, previous=previous,
        replies=replies, revision=arguments.reroll, resend=arguments.resend, template=template,
        to=tuple(arguments.to), cc=tuple(arguments.cc))


def _reports(store: Store, run_id: str | None) -> list[RunReport]:
    if run_id:
        if run_id not in store.runs():
            raise UserError(f"there is no run {run_id}", fix="kvtools runs lists them")
        if not store.report_file(run_id).exists():
            raise UserError(f"run {run_id} did not end", fix="run kvtools test again: what has "
                            "ended is taken from the store")
        return [session.read(store, run_id)]
    finished = [name for name in store.runs() if store.report_file(name).exists()]
    return [session.read(store, name) for name in finished[-NEWEST:]]


def _told(output: Path, made: submission.Made) -> str:
    rows = [f"{len(made.mails)} mails in {output / submission.MAILS}, tested in run {made.run}; "
            "git am makes the tested tree of the patches. Nothing was sent."]
    rows += [f"  {'To' if one.is_to else 'Cc'}: {one.who}" for one in made.recipients]
    rows += [f"from a reply, {text}" for text in made.trailers]
    rows += [f"WARNING: {text}" for text in made.warnings]
    rows += ["", f"read them, edit the cover letter with: cd {output / submission.TREE} && "
             "b4 prep --edit-cover", f"then: kvtools submit send {output}"]
    return "\n".join(rows) + "\n"


def _send(arguments: Namespace) -> int:
    output = Path(arguments.directory)
    branch, state = submission.reopened(output)
    if not state["public"]:
        print(f"WARNING: the base {state['base']} is not public: nobody can apply this series",
              file=sys.stderr)
    if arguments.really_send:
        return branch.send()
    mails = branch.write(output / submission.MAILS)
    write_result(f"{len(mails)} mails are in {output / submission.MAILS}. Nothing was sent; "
                 "--really-send hands them to b4 send.\n")
    return 0
