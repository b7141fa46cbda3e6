# SPDX-License-Identifier: GPL-2.0-or-later
"""Prepare an object directory so that make leaves alone what an edit cannot have changed.

kbuild is as it is: a file whose content is what the objects were made of gets an old time
again, and so does an edited header once everything that may see the edit has been removed.
The order matters, see :func:`prepare`: killed at any point, make alone does right.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from kvtools import git, process
from kvtools.cpp import parse_autoconf
from kvtools.errors import KvtoolsError, ToolFailed, ToolTimeout
from kvtools.git.command import READ
from kvtools.git.command import git as run
from kvtools.headers import state
from kvtools.headers.commands import Product, products
from kvtools.headers.compiler import check_alone, linked, remake
from kvtools.headers.decide import Decision, decide
from kvtools.headers.unread import all_unread, in_makefiles, stale

_SETTING = re.compile(r"^(CONFIG_\w+)=(.*)$", re.MULTILINE)
# Options whose products depend on headers in ways that no .cmd file tells.
UNFIT = ("CONFIG_MODVERSIONS", "CONFIG_IKHEADERS", "CONFIG_LTO", "CONFIG_DEBUG_INFO_BTF",
         "CONFIG_FTRACE_MCOUNT_USE_RECORDMCOUNT", "CONFIG_RUST", "CONFIG_GCC_PLUGINS")
_MARK = ".kvtools-age"
SAMPLE = 3
SAMPLE_SECONDS = 2.0
"""No further object is begun after that."""


@dataclass(frozen=True, slots=True)
class Spared:
    """What was prepared. ``why`` says why nothing was, or what make decides by itself.

    ``products`` are those that may stay, ``ages`` the times in ns that they have. ``unread``:
    make has nothing to do, ``expected`` is how many objects it is going to compile, if known.
    """

    decision: Decision | None = None
    restored: int = 0
    seconds: float = 0.0
    why: tuple[str, ...] = ()
    products: Mapping[str, Product] | None = None
    ages: Mapping[str, int] = field(default_factory=dict)
    unread: bool = False
    expected: int | None = None

    @property
    def targets(self) -> AbstractSet[str]:
        return self.decision.spare if self.decision else frozenset()


@dataclass(frozen=True, slots=True)
class Sampled:
    """``checked`` spared objects were made again; ``wrong`` came out different."""

    checked: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


def prepare(source: Path, objects: Path, *, compiler: Sequence[str], env: Mapping[str, str],
            jobs: int, warned: AbstractSet[str], enabled: bool) -> Spared:
    """Make the object directory ready for make; call it after the configuration.

    ``warned`` are targets without their suffix whose warnings are remembered: they are
    compiled, so that the lines told are those of now. Raises MachineError.

    1. What the objects were made of is put aside: from here on only times count.
    2. Files that are as they were get an old time, others a new one: right by itself.
    3. What may see an edit is removed: right by itself, make makes it.
    4. The edited headers get an old time: right after 3.
    """
    begun = time.monotonic()
    if not enabled:
        state.forget(objects)
        return Spared()
    state.recover(objects)
    recorded = state.recorded(objects)
    state.put_aside(objects)
    if not recorded:
        return Spared(why=("the objects' tree is not known",))
    set_otherwise = reconfigured(recorded["config"], state.config(objects))
    try:
        changed = _changed(source, recorded["commit"])
    except KvtoolsError as error:
        return Spared(why=(str(error),))
    listed = products(objects)
    made = [p for p in listed if (objects / p.target).exists()]
    gone = [p for p in listed if Path(p.source).exists() and not (objects / p.target).exists()]
    if not made:
        return Spared(why=("no products",))
    if not any(Path(p.source).is_relative_to(source.absolute()) for p in made):
        return Spared(why=("the .cmd files name another place",))  # all would look unread
    old = min(state.age(objects / p.target) for p in made) - 2_000_000_000
    restored = _restore(source, objects, changed, old)
    edits, left = _edits(source, recorded["commit"], changed)
    symbols = parse_autoconf(
        (objects / "include/generated/autoconf.h").read_text("utf-8", "replace"))
    unfit = [name for name in UNFIT if name in symbols or name in set_otherwise]
    unread = (not unfit and not gone and recorded["config"] == state.config(objects)
              and all_unread(changed, made, source) and _clean(source))
    late = stale(changed, made, source) | {p.target for p in gone if p.target.endswith(".o")}
    if unread or unfit or not edits:
        why = (f"{unfit[0]} is set",) if unfit and edits else tuple(left.values())
        return Spared(restored=restored, seconds=time.monotonic() - begun, unread=unread,
                      why=() if unread else why, expected=len(late))
    check = partial(check_alone, objects=objects, env=env, jobs=jobs)
    always = {p.target for p in made if p.target.rpartition(".")[0] in warned}
    decision = decide(edits, made, symbols, compiler, check, always, set_otherwise)
    for target in sorted(decision.rebuild):
        (objects / target).unlink(missing_ok=True)
    for path in decision.decided:
        os.utime(path, ns=(old, old))
    why = tuple({**left, **decision.left}.values())
    return Spared(decision, restored, time.monotonic() - begun, why,
                  {p.target: p for p in made if p.target in decision.spare},
                  {target: state.age(objects / target) for target in decision.spare},
                  expected=len((late - decision.spare) | decision.rebuild))


def sample(spared: Spared, objects: Path, *, env: Mapping[str, str],
           choose: Callable[[Sequence[str], int], Sequence[str]] = random.sample) -> Sampled:
    """Make some of the spared objects again, beside them, and compare every byte.

    What make made all the same, for a symbol or for a flag, says nothing: its command is another.
    """
    begun = time.monotonic()
    known = spared.products or {}
    # What an earlier patch added may still lie there, without its source.
    names = [t for t in sorted(known) if Path(known[t].source).is_file()
             and state.age(objects / t) == spared.ages.get(t)]
    checked: list[str] = []
    wrong: list[str] = []
    for target in choose(names, min(SAMPLE, len(names))):
        if checked and time.monotonic() - begun > SAMPLE_SECONDS:
            break
        try:
            same = remake(known[target], objects, env) == (objects / target).read_bytes()
        except ToolTimeout:
            continue
        except ToolFailed:
            if not linked(target, objects):
                continue
            same = False
        checked.append(target)
        if not same:
            wrong.append(target)
    return Sampled(tuple(checked), tuple(wrong))


def distrust(spared: Spared, objects: Path) -> None:
    """Give the edited headers the time of now: make makes everything that reads them."""
    state.forget(objects)
    for path in spared.decision.decided if spared.decision else ():
        os.utime(path)


def reconfigured(before: str, now: str) -> frozenset[str]:
    """The names in which two .config differ, as a C file may ask for them."""
    old, new = (dict(_SETTING.findall(text)) for text in (before, now))
    names = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    return frozenset(names | {f"{name}_MODULE" for name in names})


def _changed(source: Path, commit: str) -> dict[str, str]:
    """What differs between ``commit`` and the files checked out: path to git's letter."""
    done = run(source, "diff", "--raw", "-z", "--no-renames", "--no-ext-diff", "--no-textconv",
               commit, "--")
    words = done.text.split("\0")
    return {path: status.rpartition(" ")[2]
            for status, path in zip(words[::2], words[1::2], strict=False) if path}


def _restore(source: Path, objects: Path, changed: Mapping[str, str], old: int) -> int:
    """Files that are what the objects were made of get an old time; how many did.

    Of the others an edited header may have one, from a build that did not end.
    """
    for name in changed:
        with suppress(FileNotFoundError):
            os.utime(source / name, follow_symlinks=False)
    count = 0
    mark = objects / _MARK
    mark.touch()
    os.utime(mark, ns=(old, old))
    for name in _younger(source, mark).difference(changed):
        os.utime(source / name, ns=(old, old), follow_symlinks=False)
        count += 1
    return count


def _younger(source: Path, mark: Path) -> set[str]:
    """The tracked files changed later than ``mark``: find asks 80000 of them in 0.25 s, Python
    in 0.7."""
    found = process.run(["find", ".", "-path", "./.git", "-prune", "-o", "!", "-type", "d",
                         "-newer", str(mark), "-print0"], cwd=source, deadline=READ)
    names = {name.removeprefix("./") for name in found.text.split("\0")} - {""}
    return names & set(run(source, "ls-files", "-z").text.split("\0")) if names else names


def _clean(source: Path) -> bool:
    """No file there that git does not know: one may stand before a header that is included."""
    return not run(source, "ls-files", "-z", "--others", "--exclude-standard").text


def _edits(source: Path, commit: str, changed: Mapping[str, str]) -> tuple[
        dict[str, str], dict[str, str]]:
    """Headers that may be decided about, with their text before; the others and why not."""
    edits: dict[str, str] = {}
    left: dict[str, str] = {}
    for name, status in changed.items():
        if not name.endswith(".h"):
            continue
        path = source / name
        if status != "M" or path.is_symlink():
            left[name] = f"{name}: not just edited"
        elif "/uapi/" in name or name.startswith(("tools/", "scripts/", "usr/")):
            left[name] = f"{name}: read by more than the kernel"
        elif in_makefiles(source, Path(name).name):
            left[name] = f"{name}: a Makefile names it"
        else:
            text = git.show(source, commit, name)
            edits[os.path.normpath(path.absolute())] = text.decode("utf-8", "surrogateescape")
    return edits, left
