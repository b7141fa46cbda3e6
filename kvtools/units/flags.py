# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``make W=1`` and ``make C=1`` add to a compilation, asked of the tree's own Makefiles.

Asked once for every state of the Makefiles and the .config, because make reads for a second.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kvtools import process
from kvtools.errors import MachineError

CACHE = ".kvtools-units"
"""Directory in O= for what this room keeps: no target of kbuild, ours to remove."""

_DEADLINE = 60.0
# Makefile of the kernel: a target "%install" reads the configuration and does not renew it.
_TARGET = "kvtools-ask-install"
_ASKED = ("KBUILD_CFLAGS", "CHECKFLAGS")
_MAKEFILES = ("Makefile", "arch/*/Makefile", "scripts/Makefile*", "scripts/Kbuild.include")


@dataclass(frozen=True, slots=True)
class Flags:
    """``plain`` and ``extra``: KBUILD_CFLAGS of make and of make W=1; ``sparse``: CHECKFLAGS."""

    plain: tuple[str, ...]
    extra: tuple[str, ...]
    sparse: tuple[str, ...]

    def with_extra(self, argv: Sequence[str]) -> tuple[str, ...]:
        """A unit's command as make W=1 would have it: warnings, none of them an error.

        What a directory or a file asks for stands behind KBUILD_CFLAGS and keeps its last word.
        """
        dropped = Counter(self.plain) - Counter(self.extra)
        added = list((Counter(self.extra) - Counter(self.plain)).elements())
        ours = (at for at, word in enumerate(argv) if word in self.plain)
        last = max(ours, default=len(argv) - 1)
        kept: list[str] = []
        for at, word in enumerate(argv):
            if dropped[word]:
                dropped[word] -= 1
            elif word != "-Werror":
                kept.append(word)
            if at == last:
                kept += added
        return tuple(kept)


def ask(make: Sequence[str], env: Mapping[str, str], source: Path, objects: Path) -> Flags:
    """The flags of this tree, from the cache in ``objects`` or from make.

    Raises MachineError when make says nothing usable.
    """
    cache = objects / CACHE / f"flags-{_digest(make, source, objects)}.json"
    try:
        stored = json.loads(cache.read_text("utf-8"))
        return Flags(**{name: tuple(words) for name, words in stored.items()})
    except (OSError, ValueError, TypeError):
        pass
    plain, extra = _asked(make, env), _asked([*make, "W=1"], env)
    found = Flags(plain["KBUILD_CFLAGS"], extra["KBUILD_CFLAGS"], plain["CHECKFLAGS"])
    cache.parent.mkdir(exist_ok=True)
    part = cache.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(asdict(found)), "utf-8")
    part.replace(cache)
    return found


def _asked(make: Sequence[str], env: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    say = " ".join(f"$(info kvtools:{name}=$({name}))" for name in _ASKED)
    done = process.run([*make, "-s", f"--eval={_TARGET}: ; @: {say}", _TARGET],
                       env=env, deadline=_DEADLINE, check=False)
    return read_answer(done.text, done.stderr.decode("utf-8", "replace"))


def read_answer(text: str, errors: str = "") -> dict[str, tuple[str, ...]]:
    """The variables in make's output. The Makefile is read twice; the last time counts."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        if line.startswith("kvtools:"):
            name, _, value = line.removeprefix("kvtools:").partition("=")
            found[name] = tuple(shlex.split(value))
    if not all(found.get(name) for name in _ASKED):
        last = errors.strip().splitlines()[-1:] or ["no output"]
        raise MachineError(f"make does not tell the flags of a compilation: {last[0]}")
    return found


def _digest(make: Sequence[str], source: Path, objects: Path) -> str:
    digest = hashlib.sha256("\0".join(make).encode())
    for pattern in _MAKEFILES:
        for path in sorted(source.glob(pattern)):
            digest.update(path.read_bytes())
    config = objects / ".config"
    digest.update(config.read_bytes() if config.is_file() else b"")
    return digest.hexdigest()[:16]
