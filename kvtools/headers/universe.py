# SPDX-License-Identifier: GPL-2.0-or-later
"""Every file that some units read, indexed by name; parsed only where a question leads."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from kvtools.cpp import Config, Item, Macro, Source, guard, items, read
from kvtools.cpp.macros import closure, parse
from kvtools.headers import files

# Names that are defined, or not, in every C unit of the kernel proper (is_kernel_c asked).
ASSUMED: Mapping[str, bool] = {
    "__KERNEL__": True, "__ASSEMBLY__": False, "__ASSEMBLER__": False, "__cplusplus": False,
    "__CHECKER__": False, "__GENKSYMS__": False, "__BINDGEN__": False, "LINKER_SCRIPT": False,
}


class Universe:
    """Texts by path, identifiers by path, and the macros of all headers together.

    ``replaced`` are headers as they were before: their definitions count beside the new
    ones. A path is a header when it ends in .h; the rest is the own text of some unit.
    ``unsure`` are symbols that may have another value than ``symbols`` says.
    """

    def __init__(self, paths: Iterable[str], symbols: Mapping[str, str],
                 replaced: Mapping[str, str],
                 unsure: AbstractSet[str] = frozenset()) -> None:
        self.files = {path: files.read(path) for path in paths}
        self.files |= {before_of(path): files.of_text(text) for path, text in replaced.items()}
        self.texts = {path: file.text for path, file in self.files.items()}
        self.identifiers = {path: file.identifiers for path, file in self.files.items()}
        self.headers = frozenset(path for path in self.texts if is_header(path))
        self._where: dict[str, set[str]] = {}
        self.undefined: set[str] = set()
        own: dict[str, set[str]] = {}
        doubtful = set(unsure)
        for path, file in self.files.items():
            for kind, name in file.touched:
                if path in self.headers:
                    self._where.setdefault(name, set()).add(path)
                    if kind == "undef":
                        self.undefined.add(name)
                else:
                    own.setdefault(path, set()).add(name)
                if (name.startswith("CONFIG_") or name in ASSUMED) and not _autoconf(path):
                    doubtful.add(name)
        self.own_defines = own
        self.config = Config(symbols, ASSUMED, frozenset(doubtful))
        self._sources: dict[str, Source] = {}
        self._defined: dict[str, dict[str, list[Macro]]] = {}
        self._items: dict[str, tuple[Item, ...]] = {}
        self._by_base: dict[str, set[str]] | None = None
        self._sorted: list[str] | None = None
        self.macros = _AllMacros(self)

    def source(self, path: str) -> Source:
        if path not in self._sources:
            self._sources[path] = read(self.texts[path], self.config)
        return self._sources[path]

    def items(self, path: str) -> tuple[Item, ...]:
        if path not in self._items:
            self._items[path] = items(self.source(path), self.macros)
        return self._items[path]

    def guarded(self, path: str) -> bool:
        """Whether a second #include of ``path`` in a unit adds nothing."""
        found = self.source(path).lines
        once = any(line.directive == "pragma" and line.rest == "once" for line in found[:3])
        return once or bool(guard(found))

    def defined_in(self, path: str) -> dict[str, list[Macro]]:
        """The macros that ``path`` may define, by name."""
        if path not in self._defined:
            source = self.source(path)
            found: dict[str, list[Macro]] = {}
            for line, live in zip(source.lines, source.live, strict=True):
                if live and line.directive == "define":
                    macro = parse(line.rest)
                    if macro:
                        found.setdefault(macro.name, []).append(macro)
            self._defined[path] = found
        return self._defined[path]

    def reach(self, start: Iterable[str]) -> set[str]:
        """Every identifier that the expansion of ``start`` may meet, pasted macro names too.

        ``##`` makes a macro's name only from two or more tokens that are there: any macro
        that can be put together from those met so far counts, once a pasting macro is met.
        """
        words = set(start)
        while True:
            seen = closure(words, self.macros)
            bodies = [m for name in seen for m in self.macros.get(name, ())]
            if not any(m.pastes for m in bodies):
                return seen
            parts = seen | {w for m in bodies for w in m.body if w[0].isalnum() or w[0] == "_"}
            made = {name for part in parts for name in self._starting(part)
                    if pasted(name[len(part):], parts)}
            if made <= seen:
                return seen
            words = seen | made

    def _starting(self, part: str) -> Iterator[str]:
        """The macros whose names begin with ``part`` and go on."""
        if self._sorted is None:
            self._sorted = sorted(self._where)
        at = bisect.bisect_right(self._sorted, part)
        while at < len(self._sorted) and self._sorted[at].startswith(part):
            yield self._sorted[at]
            at += 1

    def ending(self, name: str) -> frozenset[str]:
        """The headers whose path ends in ``name``; all that share its last part when it is
        no path but a macro."""
        if self._by_base is None:
            self._by_base = {}
            for path in self.headers:
                if not path.startswith(BEFORE):
                    self._by_base.setdefault(path.rpartition("/")[2], set()).add(path)
        tail = name.removeprefix("./")
        while tail.startswith("../"):
            tail = tail[3:]
        same = self._by_base.get(tail.rpartition("/")[2], set())
        return frozenset(path for path in same if path.endswith(f"/{tail}"))

    def files_defining(self, name: str) -> Iterable[str]:
        return self._where.get(name, ())

    def names_defined(self) -> Iterator[str]:
        return iter(self._where)


class _AllMacros(Mapping[str, Sequence[Macro]]):
    """The definitions in all headers of a universe, each file read when first asked for."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._known: dict[str, tuple[Macro, ...]] = {}

    def __getitem__(self, name: str) -> Sequence[Macro]:
        if name not in self._known:
            found: list[Macro] = []
            for path in sorted(self._universe.files_defining(name)):
                found += self._universe.defined_in(path).get(name, [])
            if found and name in self._universe.undefined:
                found.append(Macro(name, None, (name,)))  # or no macro at all
            self._known[name] = tuple(dict.fromkeys(found))
        if not self._known[name]:
            raise KeyError(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._universe.names_defined() if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        try:
            return bool(self[name]) if isinstance(name, str) else False
        except KeyError:
            return False


def pasted(rest: str, parts: AbstractSet[str]) -> bool:
    """Whether ``rest`` is made of ``parts`` and numbers, one or more."""
    if not rest or rest in parts or rest[0].isdigit():
        return bool(rest)
    return any(rest[:cut] in parts and pasted(rest[cut:], parts)
               for cut in range(1, len(rest)))


BEFORE = "\0before:"


def before_of(path: str) -> str:
    """The key under which the old text of a changed header is kept."""
    return f"{BEFORE}{path}.h"


def now_of(key: str) -> str:
    """The path a key stands for."""
    return key[len(BEFORE):-2] if key.startswith(BEFORE) else key


def is_header(path: str) -> bool:
    return path.endswith(".h")


def _autoconf(path: str) -> bool:
    return path.endswith("/include/generated/autoconf.h")
