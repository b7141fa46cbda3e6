# SPDX-License-Identifier: GPL-2.0-or-later
"""What kbuild wrote down beside every product: its command and all the files it read."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from kvtools import dotcmd

_PER_UNIT = ("-DKBUILD_MODFILE=", "-DKBUILD_BASENAME=", "-DKBUILD_MODNAME=",
             "-D__KBUILD_MODNAME=", "-Wp,-MMD,", "-Wp,-MD,")
# With any of these an object depends on the lines that code stands at, or on what this
# analysis does not know: debug information, sanitizers and coverage (they record locations),
# plugins, whole-program modes.
_LINES_COUNT = ("-fsanitize", "-fprofile", "-ftest-coverage", "--coverage", "-fplugin", "-flto",
                "-fwhole-program", "-save-temps", "-gdwarf", "-gstabs", "-ggdb", "-gsplit",
                "-fpatchable-function-entry-names", "-frecord", "-fdump", "-include-pch")
_FOREIGN = frozenset({"-m16", "-m32", "-D__ASSEMBLY__", "-E", "-S", "-g", "-P",
                      "-D__DISABLE_EXPORTS"})
_WORD = re.compile(r"""(?:'[^']*'|"[^"]*"|\\.|[^\s'"\\])+""")
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)"|\\(.)""")
_INCLUDED = ("compiler-version.h", "kconfig.h", "compiler_types.h")


@dataclass(frozen=True, slots=True)
class Product:
    """``target`` relative to the object directory; ``source`` and ``deps`` absolute paths,
    ``command`` the shell line that makes it, without what ``source`` alone decides."""

    target: str
    source: str
    deps: tuple[str, ...]
    command: str


def products(objects: Path) -> tuple[Product, ...]:
    """Everything below ``objects`` that records what it read."""
    found: list[Product] = []
    for directory, _, files in os.walk(objects):
        for file in files:
            if file.startswith(".") and file.endswith(".cmd"):
                said = dotcmd.read(Path(directory, file))
                if said.source or said.dependencies:  # else fixdep wrote none
                    target = os.path.relpath(Path(directory, file[1:-4]), objects)
                    found.append(_product(target, said, objects))
    return tuple(sorted(found, key=lambda p: p.target))


@lru_cache(maxsize=8192)
def _product(target: str, said: dotcmd.DotCmd, objects: Path) -> Product:
    source = _absolute(objects, said.source) if said.source else ""
    deps = [source] if source else []
    deps += (_absolute(objects, path) for path in said.dependencies)
    return Product(target, source, tuple(dict.fromkeys(deps)), said.command)


@lru_cache(maxsize=65536)
def _absolute(objects: Path, path: str) -> str:
    return os.path.normpath(objects / path)


def compile_words(product: Product) -> tuple[str, ...]:
    """The compiler call of ``product`` as arguments, () when it is no single plain call."""
    return _words(product.command)


@lru_cache(maxsize=8192)
def _words(command: str) -> tuple[str, ...]:
    head = dotcmd.unescaped(command.partition(" ; ")[0])
    words = tuple(sys.intern(_unquoted(word)) for word in _WORD.findall(head))
    plain = not any(w in ("&&", "||", "|", ";", ">", "<") or "`" in w or "$" in w for w in words)
    return words if plain and words[-4:-2] == ("-c", "-o") else ()


def _unquoted(word: str) -> str:
    """As a shell reads it; that of kbuild's commands only quotes and escapes."""
    if "'" not in word and '"' not in word and "\\" not in word:
        return word
    return _QUOTED.sub(lambda m: m[1] or m[2] or m[3] or "", word)


def is_kernel_c(product: Product, words: Sequence[str], compiler: Sequence[str]) -> bool:
    """A C unit of the kernel proper: not boot code, not a vDSO, not a program of the host.

    Only for such a unit may it be decided whether it sees a change.
    """
    if list(words[:len(compiler)]) != list(compiler) or not product.source.endswith(".c"):
        return False
    if not product.target.endswith(".o") or words[-2] != product.target:
        return False
    if "-D__KERNEL__" not in words or "-nostdinc" not in words:
        return False
    if _FOREIGN & set(words):
        return False
    if any(w.startswith(_LINES_COUNT) or (w.startswith("-g") and w[2:3].isdigit() and w != "-g0")
           for w in words):
        return False
    included = [Path(words[i + 1]).name for i, w in enumerate(words[:-1]) if w == "-include"]
    return tuple(included) == _INCLUDED


def defines(words: Sequence[str]) -> frozenset[str]:
    """Names that the command line itself defines or undefines, without the per-unit ones."""
    found = set()
    for index, word in enumerate(words):
        if word in ("-D", "-U") and index + 1 < len(words):
            found.add(words[index + 1].partition("=")[0])
        elif word[:2] in ("-D", "-U") and not word.startswith(_PER_UNIT):
            found.add(word[2:].partition("=")[0])
    return frozenset(found)
