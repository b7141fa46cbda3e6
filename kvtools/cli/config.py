# SPDX-License-Identifier: GPL-2.0-or-later
"""``kvtools config bisect`` and ``kvtools config minimize``."""

from __future__ import annotations

import contextlib
from argparse import Namespace

from kvtools import bases, configs, paths
from kvtools.bisect.configs import ConfigResult, ConfigSearch
from kvtools.bisect.kernels import ConfigKernels, Kernels
from kvtools.bisect.observation import encode
from kvtools.bisect.search import Ending
from kvtools.bisection import Commit, History
from kvtools.bisection.spec import Kind
from kvtools.cli.bisect import flakes, parse_check
from kvtools.cli.prepare import prepare
from kvtools.cli.write import check_writable, dumps, write
from kvtools.console import Console, write_result
from kvtools.errors import UserError
from kvtools.events import Notice
from kvtools.model import Config, Json

NONE = "0" * 40


def run(arguments: Namespace) -> int:
    """Raises KvtoolsError for bad input and for a machine that gives no verdict."""
    for option in ("json", "output"):
        check_writable(getattr(arguments, option), f"--{option}")
    wanted = 2 if arguments.action == "bisect" else 1
    if len(arguments.files) != wanted:
        raise UserError(f"kvtools config {arguments.action} takes {wanted} config"
                        f"{'s' * (wanted > 1)}, not {len(arguments.files)}")
    check = parse_check(arguments.check)
    if check.kind is Kind.CHECK:
        raise UserError(f"--check {arguments.check} is of patches, and configs have none",
                        fix="check what a kernel does: build, boot, selftest:NAME, ...")
    loaded = [configs.load(name, paths.data()) for name in arguments.files]
    bad = loaded[-1]
    with Console(quiet=arguments.quiet) as console:
        base = arguments.base if arguments.tree or arguments.base else bases.names()[0].name
        common = Namespace(**{**vars(arguments), "series": None, "base": base, "patches": "all",
                              "config": [arguments.files[-1]],
                              "only": ["boot" if check.boots else "build"]})
        prepared = prepare(common, console.emit)
        commit = prepared.request.base.commit
        history = History([Commit(commit, (NONE,))], old=(NONE,), new=commit)
        kernels = Kernels(prepared.request, check, history, prepared.store, console.emit)
        try:
            good = loaded[0] if wanted == 2 else _floor(bad)
            finals = [kernels.settle(one, commit) for one in (good, bad)]
            search = ConfigSearch(ConfigKernels(kernels, commit), bad.arch,
                                  flakes(arguments, check), arguments.confidence,
                                  lambda text: console.emit(Notice(text)))
            found = search.run(*finals, good_is_tried=wanted == 2)
        finally:
            kernels.close()
    with contextlib.suppress(BrokenPipeError):
        _show(arguments, found)
    return {Ending.FOUND: 0, Ending.UNDECIDED: 3}.get(found.ending, 1)


def _floor(bad: Config) -> Config:
    """What a config is reduced towards: the smallest kernel of that architecture."""
    return Config("floor", bad.arch, "tinyconfig", "", {}, {}, "floor")


def _show(arguments: Namespace, found: ConfigResult) -> None:
    if arguments.output and found.config:
        write(arguments.output, found.config)
    if arguments.json:
        write(arguments.json, dumps(_json(arguments, found)))
    if "-" not in (arguments.json, arguments.output):
        write_result(_text(found))


def _text(found: ConfigResult) -> str:
    if found.ending is not Ending.FOUND:
        return f"no symbol found: {found.why}\n"
    one = len(found.symbols) == 1
    rows = [f"of {found.differ} symbols that differ, {'this one makes' if one else 'these make'} "
            "the failure:"]
    for symbol, good, bad in found.symbols:
        why = "   (others of these depend on it)" if symbol in found.carried else ""
        rows.append(f"  CONFIG_{symbol}: {good} -> {bad}{why}")
    rows.append(f"{found.asked} kernels tried in {len(found.trials)} trials; {found.dropped} "
                "questions were answered by the .config alone")
    return "\n".join(rows) + "\n"


def _json(arguments: Namespace, found: ConfigResult) -> dict[str, Json]:
    return {
        "schema": 1, "kind": f"config-{arguments.action}", "check": arguments.check,
        "ending": str(found.ending), "why": found.why, "differ": found.differ,
        "symbols": [{"symbol": s, "good": g, "bad": b, "carried": s in found.carried}
                    for s, g, b in found.symbols],
        "asked": found.asked, "dropped": found.dropped,
        "trials": [encode(one) for one in found.trials],
    }
