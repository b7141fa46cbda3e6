# SPDX-License-Identifier: GPL-2.0-or-later
"""Bases in a tree of the user's, which is only read, and the worktrees that runs lease."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from bases_house import FAKELINUX, House, sh

from kvtools import bases, git
from kvtools.errors import BaseError, MachineError
from kvtools.events import Event, discard
from kvtools.model import Base

# The user's tree


def snapshot(tree: Path) -> dict[str, tuple[int, int]]:
    """Everything in a tree, .git included, with size and time: did anybody write there?"""
    return {
        str(p.relative_to(tree)): (p.lstat().st_size, p.lstat().st_mtime_ns)
        for p in tree.rglob("*")
    }


def test_a_tree_of_the_users_is_only_read(house: House, fakelinux: Path) -> None:
    before = snapshot(fakelinux)
    base = bases.from_tree(fakelinux, None, house.events.append)
    head = sh("git", "--no-optional-locks", "rev-parse", "HEAD", cwd=fakelinux)
    assert (base.commit, base.version, base.public) == (head, "6.1.0", False)
    assert base.name == f"linux@{head[:12]}"
    with bases.lease(base, "run") as leased:
        assert git.rev_parse(leased.source, "HEAD") == head
        (leased.source / "mm/new.c").write_text("int x;\n")
    assert snapshot(fakelinux) == before
    assert house.events == []


@pytest.mark.parametrize(("ref", "url", "public"), [
    ("refs/remotes/origin/master", "https://git.kernel.org/linux.git", True),
    ("refs/remotes/a/b/master", "git.kernel.org:linux.git", True),
    ("refs/remotes/origin/master", "me@host.example:/srv/linux.git", True),
    ("refs/remotes/origin/master", "/home/me/linux", False),
    ("refs/remotes/origin/master", "file:///home/me/linux", False),
    ("refs/remotes/origin/master", "ssh://localhost/linux", False),
    ("refs/remotes/origin/master", "", False),  # what is left of a remote that was removed
    ("refs/tags/v6.12-rc3", "", True),
    ("refs/tags/next-20261125", "", True),
    ("refs/tags/before-my-rework", "", False),
    ("refs/heads/other", "https://git.kernel.org/linux.git", False),
])
@pytest.mark.parametrize("above", [False, True])
def test_a_base_is_public_where_a_remote_or_a_release_has_it(
    house: House, fakelinux: Path, ref: str, url: str, public: bool, above: bool
) -> None:
    commit = sh("git", "rev-parse", "HEAD", cwd=fakelinux)
    if url:
        name = ref.split("/", 2)[2].rpartition("/")[0] or "origin"
        sh("git", "remote", "add", name, url, cwd=fakelinux)
    if above:
        sh("git", "-c", "user.name=x", "-c", "user.email=x@y.org", "commit", "-q",
           "--allow-empty", "-m", "later", cwd=fakelinux)
    sh("git", "update-ref", ref, "HEAD", cwd=fakelinux)
    assert bases.from_tree(fakelinux, commit).public is public
    if above:  # and what is on top of what the remote has is not
        sh("git", "update-ref", ref, commit, cwd=fakelinux)
        assert not bases.from_tree(fakelinux, "HEAD").public


def test_a_revision_by_name(house: House, fakelinux: Path) -> None:
    sh("git", "tag", "v6.1-test", cwd=fakelinux)
    base = bases.from_tree(fakelinux, "v6.1-test")
    assert base.name == "linux@v6.1-test"
    assert base.origin == f"{fakelinux} at v6.1-test, commit {base.commit[:12]}"
    assert bases.from_tree(fakelinux, base.commit[:10]).name == f"linux@{base.commit[:12]}"


def test_uncommitted_changes_are_told(house: House, fakelinux: Path) -> None:
    (fakelinux / "Kconfig").write_text("# changed\n")
    (fakelinux / "untracked").write_text("x")
    before = snapshot(fakelinux)
    bases.from_tree(fakelinux, None, house.events.append)
    assert house.notices == [
        f"{fakelinux} has uncommitted changes, which are not tested: Kconfig"]
    assert snapshot(fakelinux) == before


def test_bare_and_linked_worktrees_will_do(house: House, fakelinux: Path, tmp_path: Path) -> None:
    sh("git", "clone", "-q", "--bare", fakelinux, tmp_path / "bare.git")
    sh("git", "worktree", "add", "-q", tmp_path / "linked", cwd=fakelinux)
    commits = {bases.from_tree(p, None, house.events.append).commit
               for p in (fakelinux, tmp_path / "bare.git", tmp_path / "linked")}
    assert len(commits) == 1 and house.events == []


def test_bad_trees_and_revisions(house: House, fakelinux: Path, tmp_path: Path) -> None:
    with pytest.raises(BaseError, match="nowhere is not a directory"):
        bases.from_tree(tmp_path / "nowhere", None)
    with pytest.raises(BaseError, match=r"is not the top of a git repository; .* inside it"):
        bases.from_tree(fakelinux / "mm", None)
    with pytest.raises(BaseError, match="'no-such-rev' is not a commit"):
        bases.from_tree(fakelinux, "no-such-rev")
    with pytest.raises(BaseError, match="'--all' is not a git revision"):
        bases.from_tree(fakelinux, "--all")
    shutil.copytree(FAKELINUX, tmp_path / "unpacked")
    with pytest.raises(BaseError, match=r"not the top of .*; make it one: cd .* git init"):
        bases.from_tree(tmp_path / "unpacked", None)
    (fakelinux / "Kbuild").unlink()
    sh("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "x", cwd=fakelinux)
    with pytest.raises(BaseError, match="is not a kernel tree at HEAD"):
        bases.from_tree(fakelinux, None)
    assert bases.from_tree(fakelinux, "HEAD^").version == "6.1.0"


def test_a_tree_without_commits(house: House, tmp_path: Path) -> None:
    git.init(tmp_path / "new")
    with pytest.raises(BaseError, match="'HEAD' is not a commit"):
        bases.from_tree(tmp_path / "new", None)


# Worktrees


@pytest.fixture
def base(house: House, fakelinux: Path) -> Base:
    return bases.from_tree(fakelinux, None)


def test_a_lease_has_source_and_objects_side_by_side(base: Base) -> None:
    with bases.lease(base, "guest-gcc") as leased:
        assert leased.source == bases.worktree(base, "guest-gcc")
        assert leased.objects == bases.objects(base, "guest-gcc")
        assert leased.source.parent == leased.objects.parent
        assert leased.source.parent == base.repo.parent / "jobs" / "guest-gcc"
        assert (leased.source / "Makefile").is_file() and leased.objects.is_dir()


def test_the_next_lease_finds_it_as_it_was_left(base: Base) -> None:
    with bases.lease(base, "k") as leased:
        (leased.source / "mm/page_alloc.c").write_text("int changed;\n")
        times = snapshot(leased.source)
    events: list[Event] = []
    with bases.lease(base, "k", events.append) as leased:
        assert snapshot(leased.source) == times
    assert events == []


def test_half_a_worktree_is_mended(base: Base) -> None:
    with bases.lease(base, "k") as leased:
        source = leased.source
    for hurt in (
        lambda: (source.with_name("src.whole").unlink(), (source / "Makefile").unlink()),
        lambda: shutil.rmtree(source),
        lambda: (source / ".git").unlink(),
        lambda: shutil.rmtree(base.repo / "worktrees"),
    ):
        hurt()
        with bases.lease(base, "k") as leased:
            assert (leased.source / "Makefile").is_file()
            assert git.rev_parse(leased.source, "HEAD") == base.commit


HOLDER = """
import sys, time
from pathlib import Path
from kvtools.bases.locks import held
from kvtools.events import discard
with held(Path(sys.argv[1]), discard, "x"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))  # the lock is held so long, or until it is killed
"""


def hold(lock: Path, seconds: float) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(lock), str(seconds)],
                              stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    return holder


def test_a_second_run_waits_and_names_who_has_it(house: House, base: Base) -> None:
    lock = base.repo.parent / "jobs" / "k" / "lock"
    with hold(lock, 0.5) as holder, bases.lease(base, "k", house.events.append) as leased:
        assert holder.wait(5) == 0
        assert leased.source.is_dir()
    assert len(house.notices) == 1
    assert house.notices[0].endswith(f"is in use by pid {holder.pid}; waiting for it to end")


def test_a_killed_holder_frees_the_lease(house: House, base: Base) -> None:
    with hold(base.repo.parent / "jobs" / "k" / "lock", 60) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait(5)
    with bases.lease(base, "k", house.events.append):
        assert house.notices == []


def test_another_key_is_not_held_up(house: House, base: Base) -> None:
    with bases.lease(base, "a"), bases.lease(base, "b", house.events.append) as other:
        assert other.source.is_dir() and house.notices == []


def test_a_worktree_needs_room(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1000))
    with (
        pytest.raises(MachineError, match=r"a worktree of linux@\S+ and its objects needs 0.3 GB"),
        bases.lease(base, "k"),
    ):
        pass


def test_a_path_that_kbuild_refuses(
    house: House, fakelinux: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KVTOOLS_HOME", str(tmp_path / "my home"))
    spaced = bases.from_tree(fakelinux, None)
    with pytest.raises(BaseError, match=r"my home.* spaces or colons; set KVTOOLS_HOME"):
        bases.worktree(spaced, "k")
    with pytest.raises(ValueError, match="cannot name a directory"):
        bases.worktree(spaced, "../k")


def test_discard_is_the_default_listener(base: Base) -> None:
    with bases.lease(base, "k", discard) as leased:
        assert leased.source.is_dir()
