# SPDX-License-Identifier: GPL-2.0-or-later
"""The candidates of a bisection as a graph: who is an ancestor of whom, as bit masks.

A set of commits is an int: bit i stands for the commit ``history[i]``. Ten thousand commits
take 12 MB and the size of an intersection is one ``int.bit_count``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kvtools.errors import UserError


@dataclass(frozen=True, slots=True)
class Commit:
    """``parents`` may name commits outside of the candidates (the good ones); ``files`` changed.

    ``number`` is the patch number in a series, 0 in a range of a tree.
    """

    id: str
    parents: tuple[str, ...]
    subject: str = ""
    files: tuple[str, ...] = ()
    number: int = 0


class History:
    """The candidates for the first new commit, parents before children.

    ``old`` and ``new`` are the verified ends: every candidate is an ancestor of ``new`` or
    ``new`` itself, none is one of ``old``. ``new`` need not be a candidate (path limits).
    """

    def __init__(self, commits: Sequence[Commit], *, old: Sequence[str], new: str) -> None:
        """Raises UserError when there is no candidate at all."""
        if not commits:
            raise UserError(
                f"there is no commit between {', '.join(c[:12] for c in old)} and {new[:12]}",
                fix="is the order GOOD..BAD right, and do --path and --first-parent leave any?")
        self.commits = tuple(_parents_first(commits))
        self.old, self.new = tuple(old), new
        self._index = {commit.id: number for number, commit in enumerate(self.commits)}
        self.all = (1 << len(self.commits)) - 1
        self._above: list[int] = []
        for number, commit in enumerate(self.commits):
            mask = 1 << number
            for parent in commit.parents:
                if parent in self._index:
                    mask |= self._above[self._index[parent]]
            self._above.append(mask)

    def __len__(self) -> int:
        return len(self.commits)

    def __getitem__(self, index: int) -> Commit:
        return self.commits[index]

    def __contains__(self, commit: str) -> bool:
        return commit in self._index or commit == self.new or commit in self.old

    def index(self, commit: str) -> int:
        """Raises KeyError for a commit that is no candidate."""
        return self._index[commit]

    def ancestors(self, commit: str) -> int:
        """The candidates of which ``commit`` is new if they were the first: it and its ancestors.

        Empty for the old ends, all for the new one.
        """
        if commit in self._index:
            return self._above[self._index[commit]]
        if commit in self.old:
            return 0
        if commit == self.new:
            return self.all
        raise KeyError(commit)

    def of(self, mask: int) -> Iterator[Commit]:
        """The commits of a set, parents first."""
        return (self.commits[index] for index in bits(mask))

    def mask(self, commits: Iterable[str]) -> int:
        """The set of those of ``commits`` that are candidates."""
        return sum(1 << self._index[c] for c in set(commits) if c in self._index)


def bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _parents_first(commits: Sequence[Commit]) -> Iterator[Commit]:
    """Kahn's order, stable: of those that are ready the one named first."""
    known = {commit.id: commit for commit in commits}
    if len(known) != len(commits):
        raise ValueError("a commit is named twice")
    done: set[str] = set()
    for commit in commits:
        stack = [commit]
        while stack:
            top = stack[-1]
            missing = [p for p in top.parents if p in known and p not in done]
            if top.id in done:
                stack.pop()
            elif missing:
                stack.append(known[missing[0]])
            else:
                done.add(top.id)
                yield stack.pop()
