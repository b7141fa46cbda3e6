# SPDX-License-Identifier: GPL-2.0-or-later
"""Which trees stand for each other: those whose comments alone differ, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvtools import git
from kvtools.model import Base, Outcome, Person, Status, Step
from kvtools.store import Store
from kvtools.twins import Twins, Unread

WHO = Person("A U Thor", "author@example.org")
FILES = {
    "include/linux/a.h": "/* old words */\n#define A 1\n",
    "include/uapi/linux/u.h": "/* old words */\n#define U 1\n",
    "arch/x86/include/asm/cpufeatures.h": "#define B 1 /* old words */\n",
    "scripts/gen.c": "/* old words */\n",
    "mm/a.c": "/* old words */\nint a;\n",
    "mm/data.txt": "/* old words */\n",
    "mm/Makefile": "obj-y += a.o\n",
    "arch/x86/Makefile": "caps: include/asm/cpufeatures.h\n",
}


class House:
    def __init__(self, work: Path) -> None:
        self.repo = work / "repo"
        git.init(self.repo)
        self.base = self.commit()
        self.store = Store(work / "state")
        self.out = work / "out"
        self.out.mkdir()
        self.config = ""

    def write(self, path: str, text: str) -> None:
        (self.repo / path).parent.mkdir(parents=True, exist_ok=True)
        (self.repo / path).write_text(text)

    def commit(self, *edits: tuple[str, str, str]) -> str:
        """A commit of the base with each edit (path, old, new) made."""
        texts = dict(FILES)
        for path, old, new in edits:
            assert old in texts[path]
            texts[path] = texts[path].replace(old, new)
        for path, text in texts.items():
            self.write(path, text)
        return git.commit_all(self.repo, "edit", when="2018-05-24T15:12:14Z", who=WHO)

    @property
    def twins(self) -> Twins:
        tree = git.tree_of(self.repo, self.base)
        return Twins(self.store, Base("test", self.repo, self.base, tree, "6.1", "test", False))

    def build(self, commit: str, config: str = "guest") -> str:
        """Say that a commit was built; its git tree."""
        tree = git.tree_of(self.repo, commit)
        (self.out / "config").write_text(self.config)
        self.twins.know(commit, tree, config, Outcome(Step.BUILD, "", Status.PASS, 0.0, "",
                                                      directory=self.out))
        return tree

    def twin(self, *edits: tuple[str, str, str], unread: Unread = Unread.ALL) -> bool:
        """Whether a tree with code and these edits stands for the one that was built."""
        code = ("include/linux/a.h", "A 1", "A 2")
        other = self.commit(code, *edits)
        tree = self.build(self.commit(code))
        assert git.tree_of(self.repo, other) != tree
        return self.twins.of(other, "guest", unread) == tree


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.mark.parametrize("path", ["include/linux/a.h", "mm/a.c"])
def test_other_words(house: House, path: str) -> None:
    assert house.twin((path, "old words", "new"))


@pytest.mark.parametrize(("path", "old", "new"), [
    ("mm/a.c", "int a", "int b"),
    ("mm/a.c", "old words", "old\nwords"),  # __LINE__ of what comes below
    ("include/linux/a.h", "/* old words */", "/* old words */ int b;"),
    ("include/uapi/linux/u.h", "old", "new"),  # user space gets it as it is
    ("arch/x86/include/asm/cpufeatures.h", "old", "new"),  # the Makefile names it
    ("scripts/gen.c", "old", "new"),
    ("mm/data.txt", "old", "new"),
    ("mm/Makefile", "a.o", "a.o #"),
])
def test_what_a_build_may_see(house: House, path: str, old: str, new: str) -> None:
    assert not house.twin((path, old, new))


def test_a_file_that_a_changed_makefile_names(house: House) -> None:
    assert house.twin(("mm/a.c", "old", "new"))
    assert not house.twin(("mm/a.c", "old", "new"), ("mm/Makefile", "a.o", "$(shell cat a.c)"))


def test_kernel_doc_reads_the_comments_of_units(house: House) -> None:
    assert house.twin(("include/linux/a.h", "old", "new"), unread=Unread.HEADERS)
    assert not house.twin(("mm/a.c", "old", "new"), unread=Unread.HEADERS)


def test_another_config_was_not_built(house: House) -> None:
    commit = house.commit(("mm/a.c", "old", "new"))
    house.build(commit)
    assert house.twins.of(commit, "guest", Unread.ALL)
    assert house.twins.of(commit, "debug", Unread.ALL) is None


@pytest.mark.parametrize(("text", "known"), [
    ("CONFIG_DEBUG_INFO=y\n", False), ("CONFIG_IKHEADERS=m\n", False),
    ("# CONFIG_DEBUG_INFO is not set\nCONFIG_DEBUG_INFO_NONE=y\n", True),
])
def test_a_kernel_that_has_its_headers_in_it(house: House, text: str, *, known: bool) -> None:
    house.config = text
    commit = house.commit(("mm/a.c", "old", "new"))
    house.build(commit)
    assert (house.twins.of(commit, "guest", Unread.ALL) is not None) is known


def test_a_twin_comes_after_the_tree_itself(house: House) -> None:
    one, other = (house.commit(("mm/a.c", "old", new)) for new in ("one", "other"))
    tree = house.build(one)
    own = git.tree_of(house.repo, other)
    assert list(house.twins.pairs(((other, own),), "guest", "all")) == [(own,), (tree,)]
    assert list(house.twins.pairs(((one, tree),), "guest", "all")) == [(tree,)]
