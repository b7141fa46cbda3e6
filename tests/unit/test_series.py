# SPDX-License-Identifier: GPL-2.0-or-later
"""Series from every source, and every bad input."""

from __future__ import annotations

import gzip
import os
import random
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kvtools import git, process, series
from kvtools.errors import MachineError, SeriesError
from kvtools.events import Event, Notice
from kvtools.model import ConfigUse, Expectation, Person, Series

DATA = Path(__file__).parents[1] / "data" / "series"
LOUDER = DATA / "louder"
BASE = "cfbbeee77e958ac359fd0b61ae7a6d4f507ac0e0"
ANNE = Person("Änne Author", "anne@example.org")
JUERGEN = Person("Jürgen Groß", "jg@example.org")
TITLES = [
    "mm: größer: shout on line 3",
    "mm: rename other to another and add files",
    "mm: shout on line 30",
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree that the series in tests/data/series was made on."""
    path = tmp_path_factory.mktemp("tree") / "repo"
    git.init(path)
    (path / "mm").mkdir()
    (path / "mm/page.c").write_text("".join(f"line {n}\n" for n in range(1, 41)))
    (path / "mm/other.c").write_text("int other;\n")
    (path / "README").write_text("a tree\n")
    commit = git.commit_all(path, "Base", when="2018-05-23T17:11:01+02:00", who=ANNE)
    assert commit == BASE
    return path


@pytest.fixture
def apply(tree: Path, tmp_path: Path) -> Callable[[Series], list[str]]:
    """Applies a whole series on the base; returns the commit ids."""

    def all_of(wanted: Series) -> list[str]:
        worktree = tmp_path / "applied"
        git.worktree_add(tree, worktree, BASE)
        commits = []
        for patch in wanted.patches:
            applied = git.am(worktree, patch.mail)
            assert applied.conflicts == () and applied.commit
            commits.append(applied.commit)
        return commits

    return all_of


def read(path: Path | str, **options: object) -> Series:
    tree = options.get("tree")
    return series.read(str(path), tree=tree if isinstance(tree, Path) else None)


def refuse(path: Path | str, *words: str, tree: Path | None = None) -> SeriesError:
    """``path`` must be refused in one line that has all of ``words``."""
    with pytest.raises(SeriesError) as caught:
        series.read(str(path), tree=tree)
    text = str(caught.value)
    assert "\n" not in text and "Traceback" not in text
    for word in words:
        assert word in text, text
    return caught.value


def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(LOUDER, tmp_path / "copy"))


def patch(name: str = "0001") -> bytes:
    (found,) = LOUDER.glob(f"v2-{name}-*.patch")
    return found.read_bytes()


def one(tmp_path: Path, content: bytes, name: str = "one.patch") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


# What is read


def test_directory() -> None:
    got = read(LOUDER)
    assert (got.name, got.title, got.revision) == ("louder", "mm: make lines louder", 2)
    assert [p.subject for p in got.patches] == TITLES
    assert [p.number for p in got.patches] == [1, 2, 3]
    assert [p.author for p in got.patches] == [ANNE, JUERGEN, ANNE]
    assert got.patches[0].date == "Wed, 23 May 2018 17:20:00 +0200"
    assert got.patches[0].message.startswith("The löss is real")
    assert got.patches[0].mail == patch()
    assert got.patches[0].source.endswith("v2-0001-mm-gr-er-shout-on-line-3.patch")
    assert got.base_commit == BASE
    assert got.change_id == "20180523-louder-abcdef012345"
    assert got.prerequisites == (
        "prerequisite-change-id: 20180501-quiet-1234abcd:v3",
        "prerequisite-patch-id: 3b9f0d2a1c4e5f60718293a4b5c6d7e8f9012345",
    )
    assert got.cover is not None and "Blurb of the series." in got.cover.body


def test_round_trip(tmp_path: Path, apply: Callable[[Series], list[str]]) -> None:
    first = read(LOUDER)
    series.to_directory(first, tmp_path / "louder")
    again = read(tmp_path / "louder")
    assert [p.mail for p in again.patches] == [p.mail for p in first.patches]
    for key in ("name", "title", "cover", "revision", "base_commit", "change_id", "prerequisites"):
        assert getattr(again, key) == getattr(first, key)
    assert apply(first) == apply(again)
    with pytest.raises(SeriesError, match="not empty"):
        series.to_directory(first, tmp_path / "louder")


def test_round_trip_of_raw_latin1(tmp_path: Path, apply: Callable[[Series], list[str]]) -> None:
    source = tmp_path / "latin1"
    source.mkdir()
    raw = patch().decode().split("\n\n", 1)[1].encode("latin-1")
    head = "From: Änne Äuthor <anne@example.org>\nDate: Wed, 23 May 2018 17:20:00 +0200\n"
    subject = "Subject: [PATCH] mm: größer\n\n"
    (source / "0001-x.patch").write_bytes((head + subject).encode("latin-1") + raw)
    first = read(source)
    assert first.patches[0].author.name == "Änne Äuthor"
    assert first.patches[0].subject == "mm: größer"
    series.to_directory(first, tmp_path / "again")
    assert apply(first) == apply(read(tmp_path / "again"))


def test_settings_round_trip(tmp_path: Path) -> None:
    source = copy(tmp_path)
    (source / "series.toml").write_text(
        'name = "loud"\nbase = "debian-6.1"\nconfigs = ["guest", "debug"]\nscenarios = ["boot"]\n'
        '[config.debug]\npatches = "tip"\nscenarios = []\n'
        '[expect."selftest:vmem.probe"]\nfrom = 2\nreason = "the driver comes \\"late\\""\n'
        '[expect."boot:guest"]\nfrom = "never"\nreason = "no driver"\n'
    )
    first = read(source)
    assert first.expectations == (
        Expectation("selftest:vmem.probe", 2, 'the driver comes "late"'),
        Expectation("boot:guest", None, "no driver"),
    )
    assert (first.name, first.base, first.configs) == (
        "loud", "debian-6.1", (ConfigUse("guest"), ConfigUse("debug", "tip", ()))
    )
    series.to_directory(first, tmp_path / "again")
    again = read(tmp_path / "again")
    for key in ("name", "base", "configs", "scenarios", "expectations"):
        assert getattr(again, key) == getattr(first, key)


@pytest.mark.parametrize("box", ["thread.mbox", "mailman.mbox", "b4.mbx"])
def test_mailboxes(box: str, apply: Callable[[Series], list[str]]) -> None:
    got = read(DATA / box)
    assert [p.subject for p in got.patches] == TITLES
    assert (got.name, got.revision) == (box.rpartition(".")[0], 2)
    commits = apply(got)
    if box != "b4.mbx":  # b4 left a '>' in a message
        assert commits == apply(read(LOUDER))


def test_newest_complete_revision(tmp_path: Path) -> None:
    events: list[Event] = []
    series.read(str(DATA / "thread.mbox"), emit=events.append)
    assert [(e.text, e.level) for e in events if isinstance(e, Notice)] == [
        (f"{DATA / 'thread.mbox'} holds 2 revisions, v2 is taken", "info")
    ]
    box = (DATA / "thread.mbox").read_bytes()
    parts = [p for p in box.split(b"From mboxrd@z") if b"Message-ID: <v2-2@" not in p]
    events.clear()
    got = series.read(str(one(tmp_path, b"From mboxrd@z".join(parts))), emit=events.append)
    assert got.revision == 1 and len(got.patches) == 2
    (notice,) = (e for e in events if isinstance(e, Notice))
    assert "v1 is taken (v2: patch 2 of 3 missing)" in notice.text and notice.level == "warning"
    parts = [p for p in box.split(b"From mboxrd@z") if not re.search(b"Message-ID: <v2-[123]@", p)]
    events.clear()
    assert series.read(
        str(one(tmp_path, b"From mboxrd@z".join(parts))), emit=events.append
    ).revision == 1
    assert "v2: only its cover letter" in str(events)


def test_gzip_maildir_and_a_directory_of_b4(tmp_path: Path) -> None:
    packed = one(tmp_path, gzip.compress((DATA / "mailman.mbox").read_bytes()), "t.mbox.gz")
    assert [p.subject for p in read(packed).patches] == TITLES
    assert read(packed).name == "t"
    box = tmp_path / "Maildir"
    for part in ("cur", "new", "tmp"):
        (box / part).mkdir(parents=True)
    for number, file in enumerate(sorted(LOUDER.iterdir())):
        shutil.copy(file, box / ("cur" if number % 2 else "new") / f"{9 - number}.host:2,S")
    (box / "new" / "talk").write_text("From: a@b.c\nSubject: lunch\n\nSoup?\n")
    assert [p.subject for p in read(box).patches] == TITLES
    out = tmp_path / "b4out"
    out.mkdir()
    shutil.copy(DATA / "b4.mbx", out / "v2_louder.mbx")
    shutil.copy(LOUDER / "v2-0000-cover-letter.patch", out / "v2_louder.cover")
    got = read(out)
    assert got.title == "mm: make lines louder" and len(got.patches) == 3


def test_git_range(tree: Path, apply: Callable[[Series], list[str]]) -> None:
    commits = apply(read(LOUDER))
    got = read(f"{BASE}..{commits[-1]}", tree=tree)
    assert [p.subject for p in got.patches] == TITLES
    assert got.patches[1].author == JUERGEN
    assert got.patches[0].source == f"commit {commits[0][:12]}"
    assert apply(got) == commits
    assert [p.subject for p in read(f"{commits[1]}..{commits[2]}", tree=tree).patches] == TITLES[2:]


def test_quilt_series_file_rules(tmp_path: Path) -> None:
    source = copy(tmp_path)
    for file in source.glob("v2-000[123]*"):
        file.rename(source / file.name.split("-", 2)[2])
    names = ["mm-shout-on-line-30.patch", "mm-gr-er-shout-on-line-3.patch -p1 # first"]
    (source / "series").write_text("# order\n\n" + "\n".join(names) + "\n")
    got = read(source)
    assert [p.subject for p in got.patches] == [TITLES[2], TITLES[0]]
    assert got.cover is not None
    (source / "series").write_text("absent.patch\n")
    refuse(source, "lists absent.patch", "does not exist")
    (source / "series").write_text("mm-shout-on-line-30.patch -p0\n")
    refuse(source, "-p0", "quilt refresh")


def test_unnumbered(tmp_path: Path) -> None:
    bare = [patch(f"000{n}").replace(b"[PATCH v2 %d/3]" % n, b"[PATCH v2]") for n in (1, 3)]
    source = tmp_path / "numbered-names"
    source.mkdir()
    (source / "0002-b.patch").write_bytes(bare[1])
    (source / "0001-a.patch").write_bytes(bare[0])
    assert [p.subject for p in read(source).patches] == [TITLES[0], TITLES[2]]
    stdout = one(tmp_path, bare[0] + bare[1])
    assert [p.subject for p in read(stdout).patches] == [TITLES[0], TITLES[2]]
    (source / "0002-b.patch").rename(source / "b.patch")
    refuse(source, "b.patch has no number")
    (source / "0001-a.patch").rename(source / "a.patch")
    refuse(source, "neither names nor subjects number the 2 patches")


def test_one_patch_by_itself(tmp_path: Path) -> None:
    events: list[Event] = []
    got = series.read(str(one(tmp_path, patch("0002"))), emit=events.append)
    assert [(p.number, p.subject) for p in got.patches] == [(1, TITLES[1])]
    assert any("patch 2 of 3" in e.text for e in events if isinstance(e, Notice))


def test_stray_files_are_ignored(tmp_path: Path) -> None:
    source = copy(tmp_path)
    for name in ("README", "v2-0001-x.patch.orig", "v2-0001-x.patch~", ".#0001.patch.swp", "x.rej"):
        (source / name).write_text("not a patch")
    assert len(read(source).patches) == 3
    (source / "notes.patch").write_text("not a patch")
    refuse(source, "notes.patch", "not a patch")


# Bad input


def test_missing_and_empty(tmp_path: Path) -> None:
    refuse(tmp_path / "absent", "absent", "no such file or directory")
    refuse("patches/../absent.patch", "no such file or directory")
    refuse(tmp_path, str(tmp_path), "no *.patch files", "git format-patch")
    refuse(one(tmp_path, b""), "one.patch is empty")
    refuse(tmp_path, "one.patch is empty")
    refuse("x" * 5000, "cannot read xxx", "File name too long")
    (tmp_path / "dangling").symlink_to("nowhere")
    refuse(tmp_path / "dangling", "symbolic link to nothing")


def test_unreadable_and_huge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "0001-dir.patch").mkdir()
    refuse(tmp_path, "0001-dir.patch is not a regular file")
    (tmp_path / "0001-dir.patch").rmdir()
    (tmp_path / "0001-loop.patch").symlink_to("0001-loop.patch")
    refuse(tmp_path, "cannot read", "0001-loop.patch")
    refuse("/dev/zero", "not a regular file")
    broken = one(tmp_path, gzip.compress(b"x" * 9999)[:-12], "t.mbox.gz")
    refuse(broken, "cannot read", "t.mbox.gz")
    huge = tmp_path / "huge.mbox"
    with huge.open("wb") as file:
        file.truncate((64 << 20) + 1)
    refuse(huge, "larger than 64 MiB")


def test_not_a_patch(tmp_path: Path) -> None:
    refuse(one(tmp_path, b"#include <stdio.h>\nint main(void) {}\n"), "not a patch: no diff")
    noise = os.urandom(3000).replace(b"\r", b"")  # a first line that ends in CRLF is told as that
    refuse(one(tmp_path, noise), "not a patch")
    bare = b"--- a/README\n+++ b/README\n@@ -1 +1 @@\n-a tree\n+b\n"
    refuse(one(tmp_path, bare), "no From: header", "git format-patch")
    empty = patch().partition(b"---\n")[0]
    refuse(one(tmp_path, empty), "changes nothing")
    nameless = patch().replace(b"Subject: ", b"X-Subject: ")
    refuse(one(tmp_path, nameless), "no subject")


def test_cover_letter_alone(tmp_path: Path) -> None:
    shutil.copy(LOUDER / "v2-0000-cover-letter.patch", tmp_path)
    refuse(tmp_path, "only a cover letter")
    refuse(tmp_path / "v2-0000-cover-letter.patch", "only a cover letter")


def test_a_mailbox_of_talk(tmp_path: Path) -> None:
    talk = b"From a@b.c Wed May 23 17:50:00 2018\nFrom: a@b.c\nSubject: lunch\n\nSoup?\n\n"
    refuse(one(tmp_path, talk * 2), "holds no patch")


def test_gap_and_double(tmp_path: Path) -> None:
    source = copy(tmp_path)
    middle = next(source.glob("v2-0002*"))
    content = middle.read_bytes()
    middle.unlink()
    refuse(source, "patch 2 of 3 missing")
    next(source.glob("v2-0003*")).unlink()
    refuse(source, "patches 2, 3 of 3 missing")
    middle.write_bytes(content)
    (source / "v2-0002-again.patch").write_bytes(content)
    refuse(source, "v2-0002-again.patch and", "are both patch 2")
    (source / "v2-0002-again.patch").rename(source / "v2-0003-again.patch")
    refuse(source, "v2-0003-again.patch: its subject says 2/3")


def test_gap_in_file_names(tmp_path: Path) -> None:
    for number in (1, 3):
        raw = patch(f"000{number}").replace(b" %d/3]" % number, b"]")
        (tmp_path / f"000{number}-x.patch").write_bytes(raw)
    refuse(tmp_path, "patch 2 of 3 missing")


def test_two_series(tmp_path: Path) -> None:
    refuse(DATA / "two-series.mbox", "two series", TITLES[0][:8], "net: something else")
    box = (DATA / "two-series.mbox").read_bytes()
    refuse(one(tmp_path, box.replace(b"PATCH v2 1/1", b"PATCH v3 1/1")), "two series",
           "'net: something else'", "'mm: make lines louder'")
    lone = [
        patch(n).replace(b"[PATCH v2 %s/3]" % n[3:].encode(), b"[PATCH]").replace(
            b"Subject:", b"Message-Id: <%s@x>\nSubject:" % n.encode()
        )
        for n in ("0001", "0003")
    ]
    refuse(one(tmp_path, b"".join(lone)), "two series")


def test_damaged_by_a_mail_client(tmp_path: Path) -> None:
    lost = one(tmp_path, patch().replace(b"\n line 4\n", b"\nline 4\n"))
    number = lost.read_bytes().split(b"\n").index(b"line 4") + 1
    refuse(lost, "one.patch", f"corrupt patch at line {number}", "white space was lost")
    html = patch().replace(b"text/plain", b"text/html")
    refuse(one(tmp_path, html), "is HTML mail", "git send-email")
    flowed = patch().replace(b"charset=UTF-8", b"charset=UTF-8; format=flowed")
    refuse(one(tmp_path, flowed), "format=flowed")


def test_crlf(tmp_path: Path) -> None:
    crlf = patch("0003").replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    refuse(one(tmp_path, crlf), "one.patch", "CRLF", "dos2unix")
    assert b"+one\r\n" in patch("0002")
    assert len(read(one(tmp_path, patch("0002"))).patches) == 1


def test_binary_without_its_content(tmp_path: Path) -> None:
    head = patch().partition(b"---\n")[0] + b"---\n"
    absent = b"diff --git a/l.bin b/l.bin\nBinary files a/l.bin and b/l.bin differ\n"
    refuse(one(tmp_path, head + absent), "l.bin", "not in the patch", "--binary")
    short = patch("0002").replace(b"index " + b"0" * 40, b"index " + b"0" * 7)
    assert short != patch("0002")
    refuse(one(tmp_path, short), "logo.bin", "--full-index")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (b"../evil", "out of the tree"),
        (b"mm/../../evil", "out of the tree"),
        (b".git/config", "git's own directory"),
        (b"mm/.GIT/hooks/x", "git's own directory"),
        (b".git./config", "git's own directory"),
    ],
)
def test_paths_that_lead_astray(tmp_path: Path, path: bytes, why: str) -> None:
    evil = patch("0001").replace(b"/mm/page.c", b"/" + path)
    refuse(one(tmp_path, evil), path.decode(), why)


def test_absolute_path_and_no_prefix(tmp_path: Path) -> None:
    head = patch().partition(b"---\n")[0] + b"---\n"
    hunk = b"@@ -1 +1 @@\n-a\n+b\n"
    refuse(one(tmp_path, head + b"--- /etc/passwd\n+++ /etc/passwd\n" + hunk), "/etc/passwd")
    bare = b"diff --git mm/page.c mm/page.c\n--- mm/page.c\n+++ mm/page.c\n"
    refuse(one(tmp_path, head + bare + hunk), "diff.noprefix", "--src-prefix")


def test_path_through_a_link_of_the_series(tmp_path: Path) -> None:
    head = patch().partition(b"---\n")[0] + b"---\n"
    hunk = b"@@ -0,0 +1 @@\n+/tmp\n"
    link = b"diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n" + hunk
    inner = link.replace(b"120000", b"100644").replace(b"/l", b"/l/x")
    assert read(one(tmp_path, head + link)).patches
    refuse(one(tmp_path, head + link + inner), "l/x", "symbolic link l")


def test_bad_ranges(tree: Path, tmp_path: Path) -> None:
    refuse(f"{BASE}..HEAD", "range of no tree", "--tree")
    refuse(f"{BASE}..no-such", "'no-such' is not a commit", tree=tree)
    refuse("v5.0..v5.1", "'v5.0' is not a commit", tree=tree)
    refuse("HEAD..HEAD", "is empty", tree=tree)
    refuse("HEAD..HEAD", "not the top of a git repository", tree=tmp_path)
    refuse("main...HEAD", "neither a git range", tree=tree)


def test_range_with_a_merge(tmp_path: Path) -> None:
    repo = tmp_path / "merge"
    git.init(repo)

    def command(*args: str) -> None:
        ident = {f"GIT_{role}_{key}": "x" for role in ("AUTHOR", "COMMITTER")
                 for key in ("NAME", "EMAIL")}
        process.run(["git", *args], cwd=repo, deadline=30, env={**git.environment(), **ident})

    def commit(name: str) -> str:
        (repo / name).write_text(name)
        return git.commit_all(repo, name, when="2018-05-23T17:11:01+02:00", who=ANNE)

    base = commit("a")
    command("checkout", "-qb", "side")
    commit("b")
    command("checkout", "-q", "main")
    commit("c")
    command("merge", "-q", "-m", "merge", "side")
    refuse(f"{base}..main", "1 merges", tree=repo)
    assert len(read(f"{base}..main^1", tree=repo).patches) == 1


def test_message_id_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_b4(tmp_path, monkeypatch, 'echo "Could not retrieve thread: All hosts failed" >&2; exit 1')
    with pytest.raises(MachineError, match="All hosts failed") as caught:
        read("<20180523.1@example.org>")
    assert "b4 am -o DIR 20180523.1@example.org" in caught.value.fix
    fake_b4(tmp_path, monkeypatch, 'echo "thread: Server returned an error: 404"; exit 1')
    refuse("b4:20180523.1@example.org", "no series for the message-id")


@pytest.mark.parametrize(
    "source",
    [
        "<v2-0@example.org>",
        "v2-0@example.org",
        "b4:v2-0@example.org",
        "https://lore.kernel.org/linux-mm/v2-0@example.org/",
        "https://lore.kernel.org/r/v2-0@example.org",
        "https://lore.kernel.org/all/v2-0@example.org/T/#u",
        "https://patch.msgid.link/v2-0@example.org",
    ],
)
def test_message_id(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_b4(
        tmp_path,
        monkeypatch,
        f'for last; do :; done; [ "$last" = v2-0@example.org ] || exit 9\n'
        f'while [ "$1" != --outdir ]; do shift; done; cp {DATA / "b4.mbx"} "$2/v2.mbx"',
    )
    got = read(source)
    assert [p.subject for p in got.patches] == TITLES
    assert got.patches[0].source == "v2-0@example.org: v2.mbx, mail 1"


def fake_b4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a ``b4`` into a virtual environment of ours that does what ``script`` says."""
    directory = tmp_path / "venv" / "bin"
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / "b4"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "prefix", str(directory.parent))


def test_damaged_input_never_ends_in_a_traceback(tmp_path: Path) -> None:
    """Anything but SeriesError fails the test; a few mutants stay readable, which is right."""
    chance = random.Random(7)
    seeds = [p.read_bytes() for p in sorted([*DATA.glob("*.mb*"), *LOUDER.iterdir()])]
    words = [b"\n", b"@@ -1,2 +1,3 @@\n", b"\ndiff --git ", b"=?utf-8?q?", b"\r\n", b"[PATCH 9/2] ",
             b"\nContent-Transfer-Encoding: base64\n", b"From x Wed May 23 17:50:00 2018\n"]
    refused = 0
    for _ in range(300):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 40)] = chance.choice(
                [b"", bytes([chance.randrange(256)]), chance.choice(words)]
            )
        try:
            read(one(tmp_path, bytes(data)))
        except SeriesError as error:
            assert "\n" not in str(error)
            refused += 1
    assert 50 < refused < 300


# series.toml


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('scenario = ["boot"]', ["unknown key 'scenario'", "did you mean 'scenarios'?"]),
        ("zzz = 1", ["unknown key 'zzz'", "valid keys: name"]),
        ("name = 1", ["name is not a string"]),
        ('configs = "guest"', ["configs is not a list of strings"]),
        ("name = ", ["series.toml", "line 1"]),
        ("expect = 3", ["expect is not a table"]),
        ('expect."selftset:x" = {}', ["no step 'selftset'", "did you mean 'selftest'?"]),
        ('expect."selftest:x" = {from = 0, reason = "r"}', ["from is not a patch number"]),
        ('expect."selftest:x" = {from = true, reason = "r"}', ["from is not a patch number"]),
        ('expect."selftest:x" = {reason = "r"}', ["from is not a patch number"]),
        ('expect."selftest:x" = {from = 1}', ["has no reason"]),
        ('expect."selftest:x" = {form = 1}', ["unknown key 'form'", "did you mean 'from'?"]),
        ('expect."selftest:x" = {from = 9, reason = "r"}', ["from = 9", "has 3 patches"]),
    ],
)
def test_bad_settings(text: str, words: list[str], tmp_path: Path) -> None:
    source = copy(tmp_path)
    (source / "series.toml").write_text(text + "\n")
    refuse(source, "series.toml", *words)
