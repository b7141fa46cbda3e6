# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees that a compiler cannot tell apart: they differ in the words of comments.

A tree is named by its base and by what the files changed since contain, comments blanked; line
breaks in comments count, and so do columns. What was built of one tree stands for the other.
Comments stay what they are in files that a build may read otherwise than as C: those that a
Makefile or a script names (arch/x86/kernel/cpu/mkcapflags.sh takes flags' names from comments),
those of user space and of the build itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path, PurePosixPath

from kvtools import cpp
from kvtools.errors import KvtoolsError
from kvtools.git.command import git as run
from kvtools.model import Base, Outcome
from kvtools.sources import code_digest
from kvtools.store import Store, key

# Our sources that decide which trees are one: what another version of them said does not count.
_CODE = ("twins.py", "cpp/comments.py")
# What says how a kernel is built; a file that one of them names may be read in any way.
_RULES = (
    *(f":(glob)**/{name}" for name in (
        "Makefile*", "Kbuild*", "*.mk", "*.sh", "*.pl", "*.awk", "*.sed", "*.py")),
    "scripts", ":(exclude)tools/testing", ":(exclude)tools/perf",
    ":(exclude,glob)**/include/**/Kbuild",  # lists of headers to wrap, whatever is in them
)
_RULE = re.compile(r"(?:Makefile|Kbuild)[^/]*$|\.(?:mk|sh|pl|awk|sed|py)$|^scripts/")
_NAMED = re.compile(r"[A-Za-z0-9_-]+\.[chS]\b")
_OTHERWISE = re.compile(r"(?:^|/)uapi/|^(?:tools|scripts|usr|rust)/")
# Options with which more of a header than its code gets into a kernel.
_UNFIT = re.compile(r"^CONFIG_(?:IKHEADERS|DEBUG_INFO)=[ym]$", re.MULTILINE)


class Unread(StrEnum):
    """Whose comments a step does not see: kernel-doc, which W=1 runs, reads those of units."""

    ALL = "all"
    HEADERS = "headers"


class Twins:
    """What the store knows of trees that are built upon one base."""

    def __init__(self, store: Store, base: Base) -> None:
        self._store, self._base = store, base
        self._rules: frozenset[str] | None = None
        self._codes: dict[tuple[str, Unread], str | None] = {}

    def of(self, commit: str, config: str, unread: Unread) -> str | None:
        """The git tree of a kernel that was built with a config's digest and is the same code."""
        name = self._name(commit, config, unread)
        return self._store.twin(name) if name else None

    def pairs(self, trees: tuple[tuple[str, str], ...], config: str, unread: str) -> Iterator[
            tuple[str, ...]]:
        """Trees (commit, tree) as they are, and then, if there are any, with their twins."""
        own = tuple(tree for _, tree in trees)
        yield own
        found = tuple(self.of(commit, config, Unread(unread)) or tree for commit, tree in trees)
        if found != own:
            yield found

    def know(self, commit: str, tree: str, config: str, built: Outcome) -> None:
        """A tree was built with a config; the outcome has the .config as it came out."""
        try:
            text = ((built.directory or Path()) / "config").read_text("utf-8", "replace")
        except OSError:
            return
        if _UNFIT.search(text):
            return
        for unread in Unread:
            if name := self._name(commit, config, unread):
                self._store.know_twin(name, tree)

    def _name(self, commit: str, config: str, unread: Unread) -> str | None:
        code = self._code(commit, unread)
        if not code:
            return None
        return key(twin=code, config=config, unread=unread, code=code_digest(*_CODE))

    def _code(self, commit: str, unread: Unread) -> str | None:
        if (commit, unread) not in self._codes:
            found = None
            with suppress(KvtoolsError):
                found = self._read(commit, unread)
            self._codes[commit, unread] = found
        return self._codes[commit, unread]

    def _read(self, commit: str, unread: Unread) -> str:
        repo = self._base.repo
        told = run(repo, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff",
                   "--no-abbrev", self._base.commit, commit).text
        words = told.split("\0")
        changed = {path: raw.split() for raw, path in zip(words[::2], words[1::2], strict=False)}
        named = self._named()
        for path, raw in changed.items():
            if _RULE.search(path):
                named |= _names(_blob(repo, raw[3]).decode("utf-8", "replace"))
        suffixes = (".h",) if unread is Unread.HEADERS else (".h", ".c")
        files = []
        for path, (mode_then, mode, before, after, _) in sorted(changed.items()):
            content = after
            if (path.endswith(suffixes) and mode == "100644" and PurePosixPath(path).name
                    not in named and not _OTHERWISE.search(path)):
                content = _digest(repo, after)
                if mode_then == f":{mode}" and content == _digest(repo, before):
                    continue
            files.append([path, mode, content])
        return key(base=self._base.tree, files=files)

    def _named(self) -> frozenset[str]:
        """The names of C files in the base's rules of building."""
        if self._rules is None:
            found = run(self._base.repo, "grep", "-h", "-o", "-I", "-E", r"[A-Za-z0-9_-]+\.[chS]",
                        self._base.commit, "--", *_RULES, check=False)
            if found.returncode > 1:
                raise KvtoolsError("git grep failed")
            self._rules = _names(found.text)
        return self._rules


def _names(text: str) -> frozenset[str]:
    return frozenset(_NAMED.findall(text))


def _digest(repo: Path, blob: str) -> str:
    """Of a file without its comments, or the blob's own id."""
    code = cpp.without_comments(_blob(repo, blob))
    return blob if code is None else f"code {hashlib.sha256(code).hexdigest()}"


def _blob(repo: Path, name: str) -> bytes:
    """A file by its id; nothing for one that was removed (an id of zeros)."""
    return run(repo, "cat-file", "blob", name).stdout if name.strip("0") else b""
