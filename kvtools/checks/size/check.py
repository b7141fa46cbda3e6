# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare the objects of both sides with the kernel's own bloat-o-meter."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from kvtools import process
from kvtools.checks import touched_units
from kvtools.checks.program import Figure, Finding, Note, Request, Said, Skip, run
from kvtools.formats import bloat
from kvtools.units import Compiled

_DEADLINE = 60.0
_NAMES = {"Function": "text", "Data": "data", "RO Data": "rodata"}


def check(request: Request) -> Iterator[Said]:
    touched = touched_units.find(request)
    touched.need_units(request)
    done = touched_units.compiled(request, touched)
    if request.side == "before":
        for one in done:
            place = touched_units.keep_object(request, one)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_object(one), place)
        return
    yield from touched.notes()
    compared = [(one, _old(request, one)) for one in done]
    known = [_sizes(request, one, old) for one, old in compared if old]
    new = [_sizes(request, one, None) for one, old in compared if old is None]
    yield from _figures((*known, *new))
    yield from _findings(request, known, new)
    symbols = sorted((s for sizes in (*known, *new) for s in sizes.symbols),
                     key=lambda s: -abs(s.delta))
    yield from _note(request, symbols)


def _object(one: Compiled) -> Path:
    assert one.object is not None, "touched_units.compiled gives no other"
    return one.object


def _old(request: Request, one: Compiled) -> Path | None:
    """The parent's object of the unit; of a renamed file under its old name."""
    names = {t.path: t.old for t in request.touched if t.path and t.old}
    source = PurePosixPath(names.get(one.unit.source) or one.unit.source)
    kept = [request.keep / one.unit.object, request.keep / source.with_suffix(".o")]
    return next((path for path in kept if path.is_file()), None)


def _sizes(request: Request, one: Compiled, old: Path | None) -> bloat.Sizes:
    """What the script says. It exits with 0 whatever happens to it: the tables must be whole."""
    compiler = one.unit.argv[0]
    cross = re.sub(r"(?:gcc|clang)(?:-[\d.]+)?$", "", compiler)
    prefix = ["-p", cross] if cross and cross != compiler else []
    argv = [sys.executable, "-I", str(request.at("scripts/bloat-o-meter")), *prefix, "-c",
            str(old or _empty(one)), str(_object(one))]
    done = process.run(argv, deadline=_DEADLINE, check=False)
    errors = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode != 0 or errors:
        raise Skip(f"bloat-o-meter on {one.unit.object}: {errors.splitlines()[-1:]}")
    print(done.text)
    return bloat.parse(done.text)


def _empty(one: Compiled) -> Path:
    """An object with nothing in it, to compare a new one with."""
    source, empty = Path("empty.c"), Path("empty.o")
    source.touch()
    process.run([one.unit.argv[0], "-c", "-o", str(empty), str(source)], deadline=_DEADLINE)
    return empty


def _figures(all_sizes: tuple[bloat.Sizes, ...]) -> Iterator[Figure]:
    for kind, name in _NAMES.items():
        yield Figure(name, sum(sizes.delta(kind) for sizes in all_sizes), "B")


def _findings(request: Request, known: list[bloat.Sizes], new: list[bloat.Sizes]
              ) -> Iterator[Finding]:
    for what, those, limit in (("the touched objects", known, request.options["touched"]),
                               ("the new objects", new, request.options["new"])):
        grown = sum(s.delta(kind) for s in those for kind in _NAMES)
        if grown > limit:
            yield Finding("growth", f"{what} grow by more than the limit",
                          message=f"{what} grow by {grown} bytes, more than {limit}")
    for sizes in known:
        for symbol in sizes.symbols:
            if symbol.old is not None and symbol.delta > request.options["symbol"]:
                yield Finding("symbol", f"{symbol.name} grows by more than the limit",
                              message=f"{symbol.name} grows from {symbol.old} to {symbol.new} "
                                      f"bytes")


def _note(request: Request, symbols: list[bloat.Symbol]) -> Iterator[Note]:
    if not symbols:
        yield Note("no symbol changes its size")
        return
    total = {name: sum(s.delta for s in symbols if s.kind == kind)
             for kind, name in _NAMES.items()}
    shown = symbols[:request.options["shown"]]
    more = f", {len(symbols) - len(shown)} more" if len(symbols) > len(shown) else ""
    sums = ", ".join(f"{name} {delta:+d}" for name, delta in total.items() if delta)
    yield Note(f"{sums or 'no change in sum'} bytes: "
               f"{', '.join(f'{_of(s)} {s.delta:+d}' for s in shown)}{more}")


def _of(symbol: bloat.Symbol) -> str:
    state = " (new)" if symbol.old is None else " (gone)" if symbol.new is None else ""
    return f"{symbol.name}{state}"


if __name__ == "__main__":
    run(check)
