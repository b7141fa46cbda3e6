# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools cache``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from kvtools import paths, pruning
from kvtools.console import write_result
from kvtools.pruning import Entry, Kind
from kvtools.store import Store

WORDS = {
    Kind.OUTCOME: "stored outcomes (logs, images)",
    Kind.COMPILED: "ccache's compiled files",
    Kind.OBJECTS: "worktrees with objects",
    Kind.BASE: "kernel repositories",
}


def run(arguments: Namespace) -> int:
    home = paths.home()
    store = Store(home.state)
    entries = pruning.survey(store, home.cache)
    if arguments.action != "prune":
        write_result(_table(entries) + f"in {home.state} and {home.cache}\n")
        return 0
    going = pruning.choose(entries, arguments.limit)
    if not arguments.dry_run:
        pruning.remove(going, store)
    word = "would go" if arguments.dry_run else "gone"
    left = sum(e.size for e in entries) - sum(e.size for e in going)
    text = _table(going) + f"{word}; {_gib(left)} kept"
    if left > arguments.limit:
        text += ": the rest is in use, or the newest version of a base"
    write_result(text + "\n")
    return 0


def _table(entries: Sequence[Entry]) -> str:
    lines = []
    for kind, words in WORDS.items():
        of_kind = [e for e in entries if e.kind is kind]
        lines.append(f"{len(of_kind):6} {words:32} {_gib(sum(e.size for e in of_kind)):>10}\n")
    return "".join(lines)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
