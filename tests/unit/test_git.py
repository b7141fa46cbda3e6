# SPDX-License-Identifier: GPL-2.0-or-later
"""git on tiny real repositories."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kvtools import git
from kvtools.errors import MachineError, UserError
from kvtools.model import Person

WHO = Person("Änne Author", "anne@example.org")
WHEN = "2018-05-23T17:11:01+02:00"
TEXT = "".join(f"line {n}\n" for n in range(1, 41))


def run(where: Path, *args: str, **env: str) -> str:
    full = {**os.environ, **git.environment(), **env}
    for role in ("AUTHOR", "COMMITTER"):
        full.setdefault(f"GIT_{role}_NAME", "Änne Author")
        full.setdefault(f"GIT_{role}_EMAIL", "anne@example.org")
        full.setdefault(f"GIT_{role}_DATE", WHEN)
    return subprocess.run(
        ["git", *args], cwd=where, env=full, check=True, capture_output=True, text=True
    ).stdout.strip()


def write(tree: Path, name: str, content: str | bytes) -> None:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def commit(tree: Path, message: str) -> str:
    return git.commit_all(tree, message, when=WHEN, who=WHO)


def snapshot(directory: Path) -> dict[str, str]:
    """Every file with its content and mtime: equal before and after means untouched.

    Not the times of objects: git renews those of an alternate instead of writing a copy.
    """
    return {
        str(path.relative_to(directory)): ""
        + ("" if "objects" in path.parts else f"{path.lstat().st_mtime_ns}:")
        + (hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "dir")
        for path in sorted(directory.rglob("*"))
    }


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    tree = tmp_path / "repo"
    git.init(tree)
    write(tree, "mm/page.c", TEXT)
    write(tree, "mm/other.c", "int other;\n")
    write(tree, "README", "a tree\n")
    commit(tree, "Base")
    return tree


@pytest.fixture
def worktree(repo: Path, tmp_path: Path) -> Path:
    path = tmp_path / "wt"
    git.worktree_add(repo, path, git.rev_parse(repo, "HEAD"))
    return path


def mail_of(
    repo: Path, change: dict[str, str | bytes | None], message: str = "mm: change"
) -> bytes:
    """The mail of a commit on top of the repo's HEAD; the repo goes back to HEAD."""
    base = git.rev_parse(repo, "HEAD")
    for name, content in change.items():
        if content is None:
            (repo / name).unlink()
        else:
            write(repo, name, content)
    commit(repo, message)
    (mail,) = git.format_patches(repo, f"{base}..HEAD")
    run(repo, "reset", "--hard", base)
    run(repo, "clean", "-fdxq")
    return mail


def edited(number: int, new: str = "LINE") -> str:
    return TEXT.replace(f"line {number}\n", f"{new} {number}\n")


def test_commit_is_the_same_everywhere(repo: Path, tmp_path: Path) -> None:
    again = tmp_path / "elsewhere" / "copy"
    git.init(again)
    for name in ("mm/page.c", "mm/other.c", "README"):
        write(again, name, (repo / name).read_bytes())
    assert commit(again, "Base") == git.rev_parse(repo, "HEAD")
    write(again, "README", "another\n")
    assert commit(again, "Base") != git.rev_parse(repo, "HEAD")


def test_ignored_files_are_committed(repo: Path) -> None:
    write(repo, ".gitignore", "*.o\n")
    write(repo, "blob.o", "object")
    assert git.show(repo, commit(repo, "all"), "blob.o") == b"object"


def test_rev_parse(repo: Path, tmp_path: Path) -> None:
    head = git.rev_parse(repo, "main")
    assert len(head) == 40 and head == git.rev_parse(repo, head[:10])
    for bad in ("--all", "-1", "", "no-such-branch", "HEAD:README"):
        with pytest.raises(UserError):
            git.rev_parse(repo, bad)
    with pytest.raises(UserError, match="not the top of a git repository"):
        git.rev_parse(tmp_path, "HEAD")
    with pytest.raises(UserError, match="not the top of a git repository"):
        git.rev_parse(repo / "mm", "HEAD")
    with pytest.raises(UserError, match="not a directory"):
        git.rev_parse(tmp_path / "absent", "HEAD")
    for several in ("main..main", "^main", "@"):
        if several == "@":
            assert git.rev_parse(repo, several) == head
        else:
            with pytest.raises(UserError):
                git.rev_parse(repo, several)


def test_is_repository_wants_the_top(repo: Path, tmp_path: Path) -> None:
    assert git.is_repository(repo)
    assert not git.is_repository(repo / "mm")
    assert not git.is_repository(tmp_path)
    assert not git.is_repository(tmp_path / "absent")


def test_configuration_and_hooks_of_others_are_ignored(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "ran"
    hooks = tmp_path / "hooks"
    write(hooks, "post-checkout", f"#!/bin/sh\ntouch {mark}\n")
    (hooks / "post-checkout").chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(
        f"[core]\n hooksPath = {hooks}\n autocrlf = true\n[i18n]\n commitEncoding = latin1\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    run(repo, "config", "core.hooksPath", str(hooks))
    run(repo, "config", "format.subjectPrefix", "WRONG")
    run(repo, "config", "diff.noprefix", "true")
    run(repo, "config", "diff.external", "false")
    before = (repo / "README").read_text()
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    assert git.show(repo, git.rev_parse(repo, "HEAD"), "README").decode() == before
    monkeypatch.delenv("GIT_DIR")
    git.worktree_add(repo, tmp_path / "w", git.rev_parse(repo, "HEAD"))
    assert b"\r" not in (tmp_path / "w" / "README").read_bytes()
    assert not mark.exists()
    mail = mail_of(repo, {"README": "new\n"})
    assert b"[PATCH 1/1]" in mail and b"--- a/README" in mail


def test_checkout_cleans_everything_and_keeps_times(repo: Path, worktree: Path) -> None:
    base = git.rev_parse(repo, "HEAD")
    write(repo, "mm/page.c", edited(3))
    other = commit(repo, "other")
    old = worktree / "mm/other.c"
    before = old.stat().st_mtime_ns
    write(worktree, "stray/file.o", "x")
    write(worktree, "README", "dirty\n")
    git.checkout(worktree, other)
    assert (worktree / "mm/page.c").read_text() == edited(3)
    assert (worktree / "README").read_text() == "a tree\n"
    assert not (worktree / "stray").exists()
    git.checkout(worktree, base)
    assert git.rev_parse(worktree, "HEAD") == base
    assert old.stat().st_mtime_ns == before


def test_checkout_survives_what_a_kill_leaves(repo: Path, worktree: Path) -> None:
    base = git.rev_parse(repo, "HEAD")
    admin = Path(run(worktree, "rev-parse", "--absolute-git-dir"))
    write(admin, "index.lock", "")
    write(admin, "rebase-apply/next", "1")
    git.checkout(worktree, base)
    assert not (admin / "index.lock").exists()
    assert not (admin / "rebase-apply").exists()


def test_worktree_add_reuses_and_refuses(repo: Path, worktree: Path, tmp_path: Path) -> None:
    base = git.rev_parse(repo, "HEAD")
    write(worktree, "README", "dirty")
    git.worktree_add(repo, worktree, base)
    assert (worktree / "README").read_text() == "a tree\n"
    write(tmp_path / "taken", "precious", "x")
    with pytest.raises(MachineError, match="in the way"):
        git.worktree_add(repo, tmp_path / "taken", base)
    assert (tmp_path / "taken" / "precious").read_text() == "x"


def test_worktree_add_after_a_kill(repo: Path, worktree: Path) -> None:
    base = git.rev_parse(repo, "HEAD")
    admin = Path(run(worktree, "rev-parse", "--absolute-git-dir"))
    write(admin, "locked", "initializing")
    shutil.rmtree(worktree)  # killed before the first file
    git.worktree_add(repo, worktree, base)
    assert (worktree / "README").read_text() == "a tree\n"
    write(admin, "locked", "initializing")
    write(admin, "index.lock", "")
    (admin / "index").unlink()
    (worktree / "README").unlink()  # killed in the middle
    git.worktree_add(repo, worktree, base)
    assert run(worktree, "status", "--porcelain") == ""


def test_archive_and_show(repo: Path, tmp_path: Path) -> None:
    head = git.rev_parse(repo, "HEAD")
    git.archive(repo, head, ["mm"], tmp_path / "out")
    assert (tmp_path / "out/mm/page.c").read_text() == TEXT
    assert not (tmp_path / "out/README").exists()
    with pytest.raises(UserError, match="no-such"):
        git.archive(repo, head, ["no-such"], tmp_path / "out")
    assert git.show(repo, head, "README") == b"a tree\n"
    with pytest.raises(UserError, match="no file mm/none"):
        git.show(repo, head, "mm/none")


def test_ids_tell_contents(repo: Path, tmp_path: Path) -> None:
    head = git.rev_parse(repo, "HEAD")
    before = git.ids_of(repo, head, ("mm", "README", "no-such"))
    assert before.keys() == {"mm", "README"}
    write(repo, "mm/page.c", "other\n")
    after = git.ids_of(repo, git.commit_all(repo, "x", when=WHEN, who=WHO), ("mm", "README"))
    assert (after["mm"] != before["mm"], after["README"] == before["README"]) == (True, True)
    assert git.content(repo, after["README"]) == (repo / "README").read_bytes()
    for name in ("f" * 40, before["README"]):
        with pytest.raises(UserError, match="is not a commit"):
            git.ids_of(repo, name, ("mm",))


def test_commits_there(repo: Path) -> None:
    head = git.rev_parse(repo, "HEAD")
    asked = [head, "f" * 40, git.tree_of(repo, head)]
    assert git.commits_there(repo, asked) == {head}
    assert git.commits_there(repo, []) == set()


def test_lines_of_many_commits_are_those_of_each(repo: Path) -> None:
    base = git.rev_parse(repo, "HEAD")
    write(repo, "mm/page.c", edited(3) + f"{base}\n")  # an id as a line of a file
    first = commit(repo, "first")
    write(repo, "mm/page.c", edited(4))
    second = commit(repo, "second")
    empty = git.commit_all(repo, "nothing", when=WHEN, who=WHO)
    commits = [second, base, empty, first]
    found = git.touched_lines_of(repo, commits)
    assert found == {one: git.touched_lines(repo, one) for one in commits}
    assert found[empty] == {} and found[first] != found[second]
    assert git.touched_lines_of(repo, []) == {}


def test_history(repo: Path) -> None:
    base = git.rev_parse(repo, "HEAD")
    write(repo, "mm/page.c", edited(3).replace("line 20\n", "new a\nnew b\n") + "tail\n")
    write(repo, "new file.c", "one\ntwo\n")
    (repo / "mm/other.c").unlink()
    first = commit(repo, "mm: first\n\nBody.")
    write(repo, "README", b"\x00\x01binary")
    second = commit(repo, "second: ü")
    assert git.log_subjects(repo, f"{base}..HEAD") == ["mm: first", "second: ü"]
    assert git.touched_lines(repo, first) == {
        "mm/page.c": ((3, 3), (20, 21), (42, 42)),
        "new file.c": ((1, 2),),
    }
    assert git.changes(repo, first) == git.Changes(files=3, insertions=6, deletions=3)
    assert git.changes(repo, second).files == 1
    assert git.touched_lines(repo, base)["README"] == ((1, 1),)
    mails = git.format_patches(repo, f"{base}..HEAD")
    assert [b"[PATCH 1/2]" in mails[0], b"[PATCH 2/2]" in mails[1]] == [True, True]
    assert b"GIT binary patch" in mails[1]
    assert git.merges(repo, f"{base}..HEAD") == []


@pytest.mark.parametrize("kind", ["plain", "bare", "shallow", "worktree"])
def test_borrow_only_reads(repo: Path, tmp_path: Path, kind: str) -> None:
    write(repo, "README", "second\n")
    head = commit(repo, "second")
    source = repo
    if kind == "bare":
        run(tmp_path, "clone", "-q", "--bare", str(repo), "source")
        source = tmp_path / "source"
    elif kind == "shallow":
        run(tmp_path, "clone", "-q", "--depth=1", f"file://{repo}", "source")
        source = tmp_path / "source"
    elif kind == "worktree":
        source = tmp_path / "source"
        run(repo, "worktree", "add", "-q", "--detach", str(source), head)
    before = snapshot(repo) | snapshot(source)
    ours = tmp_path / "cache" / "ours"
    for _ in range(2):
        git.borrow(source, ours, head)
    git.worktree_add(ours, tmp_path / "wt", head)
    assert (tmp_path / "wt/README").read_text() == "second\n"
    write(tmp_path / "wt", "README", "third\n")
    mine = commit(tmp_path / "wt", "third")
    assert git.touched_lines(ours, mine) == {"README": ((1, 1),)}
    assert snapshot(repo) | snapshot(source) == before
    with pytest.raises(UserError):
        git.rev_parse(source, mine)
    assert git.log_subjects(ours, mine)[-2:] == ["second", "third"]


def test_borrow_refuses_a_commit_with_holes(repo: Path, tmp_path: Path) -> None:
    run(repo, "config", "uploadpack.allowFilter", "true")
    run(tmp_path, "clone", "-q", "--bare", "--filter=blob:none", f"file://{repo}", "partial")
    head = git.rev_parse(repo, "HEAD")
    with pytest.raises(UserError, match="partial clone"):
        git.borrow(tmp_path / "partial", tmp_path / "ours", head)


def test_am_is_deterministic(repo: Path, tmp_path: Path) -> None:
    mail = mail_of(repo, {"mm/page.c": edited(3)}, "mm: größer\n\nWhy.\n\nSigned-off-by: A <a@b.c>")
    base = git.rev_parse(repo, "HEAD")
    ids = set()
    for name in ("one", "two"):
        git.worktree_add(repo, tmp_path / name, base)
        applied = git.am(tmp_path / name, mail, log=tmp_path / f"{name}.log")
        assert applied.commit is not None and applied.conflicts == ()
        ids.add(applied.commit)
        assert "Applying: mm: größer" in (tmp_path / f"{name}.log").read_text()
    assert len(ids) == 1
    shown = run(repo, "show", "-s", "--format=%an|%ae|%aI|%cn|%ce|%cI|%B", ids.pop())
    assert shown == (
        f"Änne Author|anne@example.org|{WHEN}|Änne Author|anne@example.org|{WHEN}|"
        "mm: größer\n\nWhy.\n\nSigned-off-by: A <a@b.c>"
    )


def test_am_without_a_date_does_not_take_the_present(repo: Path, worktree: Path) -> None:
    mail = mail_of(repo, {"mm/page.c": edited(3)})
    rows = [row for row in mail.split(b"\n") if not row.startswith(b"Date: ")]
    applied = git.am(worktree, b"\n".join(rows))
    assert applied.commit is not None
    assert run(worktree, "show", "-s", "--format=%at %ct") == "0 0"


def test_am_takes_a_from_line_in_the_message(repo: Path, worktree: Path) -> None:
    message = "mm: quote\n\nFrom a@b.c Mon Sep 17 00:00:00 2001\nSubject: not a mail\n\nend"
    applied = git.am(worktree, mail_of(repo, {"mm/page.c": edited(3)}, message))
    assert applied.commit is not None
    assert run(worktree, "show", "-s", "--format=%B").endswith("Subject: not a mail\n\nend")


@pytest.mark.parametrize(
    "change",
    [
        {"brand/new.c": "int x;\n"},
        {"mm/other.c": None},
        {"mm/page.c": None, "mm/renamed.c": edited(5)},
        {"logo.bin": bytes(range(256)) * 4},
        {"crlf.bat": "a\r\nb\r\n"},
        {"no-newline.c": "int x;"},
        {"sp ace ü.c": "x\n"},
    ],
    ids=["new", "delete", "rename", "binary", "crlf", "no-newline", "odd-name"],
)
def test_am_kinds(repo: Path, worktree: Path, change: dict[str, str | bytes | None]) -> None:
    applied = git.am(worktree, mail_of(repo, change))
    assert applied.conflicts == ()
    for name, content in change.items():
        path = worktree / name
        if content is None:
            assert not path.exists()
        else:
            expected = content.encode() if isinstance(content, str) else content
            assert path.read_bytes() == expected


def test_am_mode_change(repo: Path, worktree: Path) -> None:
    base = git.rev_parse(repo, "HEAD")
    (repo / "README").chmod(0o755)
    commit(repo, "exec")
    (mail,) = git.format_patches(repo, f"{base}..HEAD")
    assert git.am(worktree, mail).commit is not None
    assert os.access(worktree / "README", os.X_OK)


def test_am_crlf_file(repo: Path, tmp_path: Path) -> None:
    write(repo, "dos.inf", "one\r\ntwo\r\nthree\r\n")
    base = commit(repo, "dos")
    mail = mail_of(repo, {"dos.inf": "one\r\nTWO\r\nthree\r\n"})
    git.worktree_add(repo, tmp_path / "w", base)
    assert git.am(tmp_path / "w", mail).commit is not None
    assert (tmp_path / "w/dos.inf").read_bytes() == b"one\r\nTWO\r\nthree\r\n"


def refused(worktree: Path, mail: bytes) -> tuple[git.Conflict, ...]:
    """The conflicts of a mail that must not apply; the worktree must be clean after it."""
    before = git.rev_parse(worktree, "HEAD")
    applied = git.am(worktree, mail)
    assert applied.commit is None and applied.tree is None and applied.conflicts
    assert git.rev_parse(worktree, "HEAD") == before
    assert run(worktree, "status", "--porcelain", "--ignored") == ""
    assert not (Path(run(worktree, "rev-parse", "--absolute-git-dir")) / "rebase-apply").exists()
    return applied.conflicts


def foreign(mail: bytes) -> bytes:
    """The same mail as if made from a tree whose blobs nobody here has."""
    return mail.replace(b"\nindex ", b"\nindex 1234567", 1)


def test_conflict_by_three_way(repo: Path, worktree: Path) -> None:
    mail = mail_of(repo, {"mm/page.c": edited(20), "mm/other.c": "int another;\n"})
    write(worktree, "mm/page.c", edited(20, "OTHER"))
    commit(worktree, "diverge")
    (conflict,) = refused(worktree, mail)
    assert conflict.file == "mm/page.c"
    assert conflict.hunk.startswith("@@ -17,7 +17,7 @@")
    assert conflict.reason == "context not found: no 'line 20' near line 20"
    assert "20: OTHER 20" in conflict.found


def test_three_way_resolves_what_it_can(repo: Path, worktree: Path) -> None:
    mail = mail_of(repo, {"mm/page.c": edited(20)})
    write(worktree, "mm/page.c", edited(18, "NEAR"))
    commit(worktree, "near")
    assert git.am(worktree, mail).commit is not None


def test_a_link_beside_the_file_is_no_reason(repo: Path, worktree: Path) -> None:
    write(repo, "mm/deep/er.c", TEXT)
    (repo / "mm/aside").symlink_to("page.c")
    base = commit(repo, "deep")
    mail = mail_of(repo, {"mm/deep/er.c": edited(20)})
    git.checkout(worktree, base)
    write(worktree, "mm/deep/er.c", edited(20, "OTHER"))
    commit(worktree, "diverge")
    (conflict,) = refused(worktree, mail)
    assert conflict.reason.startswith("context not found")


def test_conflict_names_only_the_hunks_that_fail(repo: Path, worktree: Path) -> None:
    text = edited(5).replace("line 30\n", "LINE 30\n")
    mail = foreign(mail_of(repo, {"mm/page.c": text}))
    write(worktree, "mm/page.c", "above\n" * 7 + edited(30, "WAS"))
    commit(worktree, "diverge")
    (conflict,) = refused(worktree, mail)
    assert conflict.hunk.startswith("@@ -27,7 +27,7 @@")
    assert "37: WAS 30" in conflict.found


def test_conflict_missing_and_existing_file(repo: Path, worktree: Path) -> None:
    missing = mail_of(repo, {"mm/other.c": "int y;\n"})
    existing = mail_of(repo, {"mm/fresh.c": "int z;\n"})
    (worktree / "mm/other.c").unlink()
    write(worktree, "mm/fresh.c", "int here;\n")
    commit(worktree, "diverge")
    (one,) = refused(worktree, foreign(missing))
    assert (one.file, one.reason) == ("mm/other.c", "the tree has no such file")
    (two,) = refused(worktree, existing)
    assert two.file == "mm/fresh.c" and "has it already" in two.reason
    assert two.found == ("1: int here;", "2: ")


def test_already_applied(repo: Path, worktree: Path) -> None:
    mail = mail_of(repo, {"mm/page.c": edited(20)})
    assert git.am(worktree, mail).commit is not None
    for again in (mail, foreign(mail)):
        (conflict,) = refused(worktree, again)
        assert conflict.reason.startswith("already applied")
        assert conflict.file == "mm/page.c"


def test_white_space_and_crlf_are_named(repo: Path, worktree: Path) -> None:
    write(worktree, "mm/page.c", TEXT.replace("line 19", "line\t19"))
    commit(worktree, "tabs")
    mail = mail_of(repo, {"mm/page.c": edited(20)})
    (conflict,) = refused(worktree, foreign(mail))
    assert "white space" in conflict.reason
    write(worktree, "mm/page.c", TEXT.replace("\n", "\r\n"))
    commit(worktree, "dos")
    (conflict,) = refused(worktree, foreign(mail))
    assert conflict.reason == "the tree's lines end in CRLF and the patch's in LF"


def test_mails_git_cannot_use(repo: Path, worktree: Path) -> None:
    mail = mail_of(repo, {"mm/page.c": edited(20)})
    head = mail.partition(b"---\n")[0]
    (empty,) = refused(worktree, head)
    assert (empty.file, empty.reason) == ("", "the mail has no diff")
    (corrupt,) = refused(worktree, mail.replace(b"\n line 19\n", b"\nline 19\n"))
    assert corrupt.reason.startswith("corrupt patch: line ")
    (binary,) = refused(
        worktree,
        head + b"---\ndiff --git a/README b/README\nindex 1234567..89abcde 100644\n"
        b"Binary files a/README and b/README differ\n",
    )
    assert binary.file == "README" and "binary" in binary.reason


def test_outside_paths_are_refused(repo: Path, worktree: Path, tmp_path: Path) -> None:
    mail = mail_of(repo, {"evil.txt": "x\n"})
    (worktree / "link").symlink_to(tmp_path)
    commit(worktree, "link")
    for name in (b"../evil.txt", b".git/evil.txt", b"link/evil.txt"):
        conflicts = refused(worktree, mail.replace(b"evil.txt", name))
        assert any("invalid path" in c.reason or "symbolic link" in c.reason for c in conflicts)
    assert not (tmp_path / "evil.txt").exists()


def test_a_machine_fault_is_not_the_patchs(repo: Path, worktree: Path) -> None:
    mail = mail_of(repo, {"mm/page.c": edited(20)})
    lock = Path(run(worktree, "rev-parse", "--absolute-git-dir")) / "index.lock"
    lock.touch()
    with pytest.raises(MachineError, match="unable to write"):
        git.am(worktree, mail)
    assert git.am(worktree, mail).commit is not None


def test_the_user_is_who_git_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    assert git.identity() is None
    (tmp_path / ".gitconfig").write_text("[user]\nname = A\nemail = a@example.org\n")
    assert git.identity() == Person("A", "a@example.org")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "B")
    assert git.identity() == Person("A", "a@example.org")  # one half is nobody
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "b@example.org")
    assert git.identity() == Person("B", "b@example.org")
