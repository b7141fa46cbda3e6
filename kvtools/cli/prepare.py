# SPDX-License-Identifier: GPL-2.0-or-later
"""From arguments to a run request: series, base, configs, toolchain, accelerator."""

from __future__ import annotations

import os
import re
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kvtools import (
    accel,
    bases,
    bwrap,
    checks,
    configs,
    emulator,
    paths,
    plan,
    scenarios,
    series,
    session,
    toolchain,
)
from kvtools.errors import UserError
from kvtools.events import Emit, Notice
from kvtools.model import Base, Config, ConfigUse, Series
from kvtools.request import RunRequest, guest_slots
from kvtools.store import Store

DEFAULT_CONFIG = "guest"
NO_GUESTS = accel.Accel("none", "no guest is started")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a command needs to start a run; ``command`` is the line as typed."""

    request: RunRequest
    store: Store
    command: tuple[str, ...]


def accelerator(choice: str) -> accel.Accel:
    """The accelerator for ``--accel``: probed for ``auto``, else the one named."""
    return accel.probe(
        override=None if choice == "auto" else choice, cache=paths.home().cache
    )


def prepare(arguments: Namespace, emit: Emit, read: Series | None = None) -> Prepared:
    """Everything up to the first step. Raises UserError or MachineError before any work.

    ``read`` is the series when it was read already: one from the list is fetched once.
    """
    root = paths.data()
    tree = Path(arguments.tree) if arguments.tree else None
    verify = _verifies(arguments)
    chosen = read or _series(arguments, root, tree, emit)
    untrusted = chosen is not None and _untrusted(arguments)
    loaded, uses = _configs(
        arguments.config, chosen, root, getattr(arguments, "extra_warnings", "")
    )
    count = len(chosen.patches) if chosen else 0
    wanted = (chosen.scenarios if chosen else ()) or _all_scenarios()
    known = checks.available(_check_folders(chosen)) if count else ()
    check_uses = tuple(plan.CheckUse(c.name, str(c.scope)) for c in known)
    whole = plan.make(count, uses, wanted, checks=check_uses)
    _known_scenarios(whole)
    if chosen:
        _known_promises(chosen, whole)
        _known_checks(chosen, known)
    run_plan = plan.make(
        count, uses, wanted, checks=check_uses, patches=arguments.patches, only=arguments.only
    )
    store = Store(paths.home().state)
    chain = toolchain.probe(next(iter(loaded.values())).arch, root)
    tools = emulator.versions(chain.arch.qemu) if run_plan.boots else {}
    speed = accelerator(arguments.accel) if run_plan.boots else NO_GUESTS
    base = _base(arguments, chosen, tree, emit)
    cores = os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    request = RunRequest(
        run_id=session.new_id(store),
        base=base,
        series=chosen,
        plan=run_plan,
        configs=loaded,
        toolchain=chain,
        accel=speed,
        emulator=tools,
        jobs=arguments.jobs or cores + 1,
        guests=arguments.guests or guest_slots(cores, memory),
        reuse=not arguments.no_reuse and not verify,
        keep=getattr(arguments, "keep", False),
        early=getattr(arguments, "early", False),
        header_aware=getattr(arguments, "header_aware", False),
        verify=verify,
        expectations={e.cell: e for e in chosen.expectations} if chosen else {},
        checks={c.name: c for c in known},
        cores=cores,
        untrusted=untrusted,
        ccache=paths.home().cache / "ccache" if getattr(arguments, "ccache", True) else None,
    )
    if speed.name == "tcg":
        emit(Notice(f"guests run under TCG: {speed.reason}"))
    return Prepared(request, store, _command())


def _verifies(arguments: Namespace) -> bool:
    """Whether builds are verified. Raises UserError where none keeps objects: nothing would be."""
    asked = bool(getattr(arguments, "verify_build", False))
    if asked and not arguments.header_aware:
        raise UserError("--verify-build: with --no-header-aware there is nothing to verify",
                        fix="leave one of the two out")
    return asked


def _untrusted(arguments: Namespace) -> bool:
    """Whether the series has to be confined: asked for, of a command that is for the series of
    others, or its SERIES names the list archive.

    Raises UserError where the command cannot do that, MachineError where this machine cannot.
    """
    told: bool | None = getattr(arguments, "untrusted", None)
    foreign = getattr(arguments, "foreign", False) or series.from_archive(arguments.series or "")
    if not (foreign if told is None else told):
        return False
    if not hasattr(arguments, "untrusted"):
        raise UserError(
            f"{arguments.series} comes from outside, and this command does not confine it",
            fix="read it, then give it as a file (b4 am), or use kvtools test")
    if getattr(arguments, "verify_build", False):
        raise UserError("--verify-build moves object directories, which a confined build cannot",
                        fix="verify with a series that you trust")
    bwrap.probe()
    return True


def _command() -> tuple[str, ...]:
    return ("kvtools", *(shlex.quote(word) for word in sys.argv[1:]))


def _series(arguments: Namespace, root: Path, tree: Path | None, emit: Emit) -> Series | None:
    if arguments.series:
        return series.read(arguments.series, tree=tree, emit=emit)
    if arguments.tree or arguments.base:
        emit(Notice("no SERIES was named: only the base is tested"))
        return None
    return series.read(str(root / "patches" / "virtio-mem"), emit=emit)


def _base(arguments: Namespace, chosen: Series | None, tree: Path | None, emit: Emit) -> Base:
    if tree is not None:
        rev = arguments.base or _range_start(arguments.series, chosen)
        return bases.from_tree(tree, rev, emit)
    return bases.prepare(arguments.base or (chosen.base if chosen else None), emit)


def _range_start(source: str | None, chosen: Series | None) -> str | None:
    """The base of a git range is where it starts; of another series, its base-commit."""
    match = re.fullmatch(r"(\S+?)\.\.(?!\.)\S*", source or "")
    if match and not Path(source or "").exists():
        return match[1]
    return chosen.base_commit if chosen else None


def _configs(
    named: Sequence[str], chosen: Series | None, root: Path, extra_warnings: str = ""
) -> tuple[dict[str, Config], tuple[ConfigUse, ...]]:
    """The configs by name, and what they are for: as the series says; ``named`` for every patch.

    Raises UserError for two files of one name: a column of the matrix has one meaning.
    """
    of_series = {use.config: use for use in chosen.configs} if chosen else {}
    names = tuple(dict.fromkeys(named)) or tuple(of_series) or (DEFAULT_CONFIG,)
    loaded: dict[str, Config] = {}
    uses = []
    for name in names:
        config = configs.load(name, root)
        if extra_warnings:
            config = configs.with_warnings(config, extra_warnings)
        if config.name in loaded:
            raise UserError(f"two configs are called {config.name}", fix=f"rename {name}")
        loaded[config.name] = config
        use = replace(of_series.get(name, ConfigUse(name)), config=config.name)
        uses.append(replace(use, patches="all") if named else use)
    return loaded, tuple(uses)


def _known_promises(chosen: Series, whole: plan.RunPlan) -> None:
    """A misspelt cell in series.toml would never be enforced."""
    cells = {str(cell) for cell in whole.cells}
    for expectation in chosen.expectations:
        step, _, name = expectation.cell.partition(":")
        if expectation.cell not in cells and (step not in ("build", "boot") or not name):
            raise UserError(
                f"series.toml expects {expectation.cell}, which is no cell of this run",
                fix="the cells are: " + ", ".join(sorted(cells)),
            )


def _check_folders(chosen: Series | None) -> list[Path]:
    """Folders of checks that the series and the user's config.toml name."""
    return [*checks.configured(paths.config()), *(chosen.checks.folders if chosen else ())]


def _known_checks(chosen: Series, known: Sequence[checks.Check]) -> None:
    """A misspelt check in series.toml would change nothing, silently."""
    names = {check.name for check in known}
    told = [o.rule.partition(".")[0] for o in chosen.checks.overrides]
    for name in (*told, *chosen.checks.options):
        if name not in names:
            raise UserError(f"series.toml speaks of the check {name!r}, which does not exist",
                            fix="the checks are: " + ", ".join(sorted(names)))


def _all_scenarios() -> tuple[str, ...]:
    return tuple(name for name in scenarios.names() if name != "boot")


def _known_scenarios(run_plan: plan.RunPlan) -> None:
    known: Sequence[str] = scenarios.names()
    for cell in run_plan.cells:
        if cell.scenario and cell.scenario not in known:
            raise UserError(
                f"series.toml names the scenario {cell.scenario!r}, which does not exist",
                fix="the scenarios are: " + ", ".join(known),
            )
