# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a trial of a commit takes, guessed from what lies between it and what is built."""

from __future__ import annotations

from kvtools.bisection import History

# Measured on two cores with a guest config of 1,450 objects: make with nothing to do, one source
# file, and a change of a header that everything includes.
NOTHING, SOURCE, EVERYTHING = 4.0, 5.0, 230.0
WIDE = ("include/", "arch/x86/include/", "Makefile", "Kconfig", "scripts/", "tools/objtool/")
SOURCES = (".c", ".S", ".h", ".lds", "Makefile", "Kbuild", "Kconfig")


class BuildCosts:
    """Seconds of an incremental build from one commit of a history to another."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._wide = self._source = 0
        for number, commit in enumerate(history.commits):
            if any(file.startswith(WIDE) for file in commit.files):
                self._wide |= 1 << number
            if any(file.endswith(SOURCES) for file in commit.files):
                self._source |= 1 << number

    def between(self, built: str | None, wanted: str) -> float:
        """``built`` None: there are no objects at all."""
        if built is None or built not in self._history or wanted not in self._history:
            return EVERYTHING
        changed = self._history.ancestors(built) ^ self._history.ancestors(wanted)
        if changed & self._wide:
            return EVERYTHING
        return min(NOTHING + SOURCE * (changed & self._source).bit_count(), EVERYTHING)
