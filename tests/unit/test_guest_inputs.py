# SPDX-License-Identifier: GPL-2.0-or-later
"""The content key of a guest's outcome: what it sees and what it does not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvtools import git, scenarios
from kvtools.errors import UserError
from kvtools.guest_session import GuestRequest, inputs_of
from kvtools.guest_session.inputs import CODE, digest
from kvtools.model import Person, Step
from kvtools.scenarios import Guest, Scenario, Subtest
from kvtools.sources import PACKAGE, code_digest, files_of
from kvtools.vng import Machine

HEADER = "include/linux/page-flags.h"
TEXT = "/* Page flags. */\n#define PG_offline 0x00000100 /* not memory */\n"


def passes(guest: Guest) -> Iterator[Subtest]:
    yield from ()


def test_inputs(tmp_path: Path) -> None:
    request = GuestRequest(Step.SELFTEST, tmp_path, "t", "tcg", tmp_path, "HEAD", tmp_path)
    one = Scenario("t", 1, (), Machine(), 1.0, passes)
    assert inputs_of(one, request) == inputs_of(one, request)
    others = [
        Scenario("t", 2, (), Machine(), 1.0, passes),
        Scenario("t", 1, (), Machine(cpus=1), 1.0, passes),
    ]
    assert all(inputs_of(other, request) != inputs_of(one, request) for other in others)
    json.dumps(inputs_of(one, request))
    assert inputs_of(one, request)["code"] == code_digest(*CODE)


def test_the_code_that_judges_is_in_the_key() -> None:
    found = {str(path.relative_to(PACKAGE)) for path in files_of(PACKAGE, CODE)}
    assert {"dmesg.py", "ktap.py", "channel.py", "qmp.py", "vng.py"} <= found
    assert {"guest_session/cell.py", "guest_session/faults.py", "scenarios/vmem/load.py"} <= found
    assert all((PACKAGE / name).is_file() and name.endswith(".py") for name in found)


def test_digest_sees_names_modes_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    seen = {digest(tmp_path)}
    (tmp_path / "a").write_text("y")
    seen.add(digest(tmp_path))
    (tmp_path / "a").chmod(0o755)
    seen.add(digest(tmp_path))
    (tmp_path / "a").rename(tmp_path / "b")
    seen.add(digest(tmp_path))
    assert len(seen) == 4


def commit(repo: Path, text: str, *, test: str = "") -> str:
    for name, content in ((HEADER, text), ("tools/testing/selftests/memory-hotplug/t.sh", test)):
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text(content)
    if not (repo / ".git").is_dir():
        subprocess.run(["git", "init", "-q"], cwd=repo, check=True)
    for words in (("add", "."), ("commit", "-q", "--allow-empty", "-m", "x")):
        subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@b.c", *words], cwd=repo,
                       check=True)
    return git.rev_parse(repo, "HEAD")


def test_of_a_header_the_code_is_seen_and_of_a_file_all(tmp_path: Path) -> None:
    def key(commit: str, scenario: str = "dump.vmcoreinfo") -> object:
        request = GuestRequest(Step.DUMP, tmp_path, "t", "tcg", tmp_path, commit, tmp_path)
        return inputs_of(scenarios.get(scenario), request, scenarios.paths())

    first = commit(tmp_path, TEXT)
    said = commit(tmp_path, TEXT.replace("not memory", "is no ram"))
    other = commit(tmp_path, TEXT.replace("0x100", "0x200").replace("00100", "00200"))
    unsure = commit(tmp_path, TEXT + 'char *a = "/*;\n')
    again = commit(tmp_path, TEXT.replace("not memory", "is no ram") + 'char *a = "/*;\n')
    assert key(first) == key(said)
    # Where it is not certain what is a comment, all of the header counts.
    assert len({json.dumps(key(one)) for one in (first, other, unsure, again)}) == 4
    script = commit(tmp_path, TEXT, test="# a comment\n")
    assert key(script) == key(first)
    assert key(script, "kselftest:memory-hotplug") != key(first, "kselftest:memory-hotplug")
    (tmp_path / HEADER).unlink()
    gone = git.commit_all(tmp_path, "gone", when="2022-12-11T22:15:18+00:00",
                          who=Person("A", "a@b.c"))
    assert key(gone) not in (key(first), key(other))
    with pytest.raises(UserError):
        key("f" * 40)
