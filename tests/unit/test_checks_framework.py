# SPDX-License-Identifier: GPL-2.0-or-later
"""A check is a folder and a program: declarations, the protocol, what is new, levels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from reports import report, row

from kvtools import checks
from kvtools.checks.enclosing import function_of
from kvtools.checks.findings import ProtocolError, State, compare, parse
from kvtools.checks.program import Finding, Touched
from kvtools.checks.request import CheckRequest, Mails
from kvtools.errors import ConfigError
from kvtools.model import Level, Outcome, Override, Status
from kvtools.report import to_json
from kvtools.steps import check as step

TOML = 'description = "x"\nscope = "patch"\nprogram = "check"\n'


def folder(tmp_path: Path, script: str, toml: str = TOML) -> Path:
    """A user's check, a shell script."""
    place = tmp_path / "mine"
    place.mkdir(exist_ok=True)
    (place / "check.toml").write_text(toml)
    (place / "check").write_text(f"#!/bin/sh\n{script}\n")
    (place / "check").chmod(0o755)
    return place


def request(tmp_path: Path, script: str, toml: str = TOML, **more: Any) -> CheckRequest:
    tree = tmp_path / "tree"
    (tree / "mm").mkdir(parents=True, exist_ok=True)
    (tree / "mm" / "a.c").write_text("int f(int x)\n{\n\treturn x;\n}\n")
    for name in ("out", "keep"):
        (tmp_path / name).mkdir(exist_ok=True)
    mail = tmp_path / "1.patch"
    mail.write_text("From: A <a@b.c>\nSubject: [PATCH] mm: x\n\nText.\n")
    values: dict[str, Any] = {
        "check": checks.load(folder(tmp_path, script, toml)), "repo": tree, "commit": "c" * 40,
        "parent": "b" * 40, "base_commit": "b" * 40, "number": 1, "count": 1,
        "mails": Mails((mail,)), "out": tmp_path / "out", "keep": tmp_path / "keep",
        "cache": tmp_path / "keep",
        "worktree": tree, "touched": (Touched("mm/a.c", "mm/a.c", "M"),),
        "lines": {"mm/a.c": ((3, 3),)},
    }
    return CheckRequest(**{**values, **more})


def run(tmp_path: Path, script: str, toml: str = TOML, **more: Any) -> Outcome:
    return step.run(request(tmp_path, script, toml, **more))


FINDING = '{"rule":"R","file":"mm/a.c","line":3,"text":"bad"}'


def test_a_finding_warns_by_default_and_fails_where_the_declaration_says_so(
    tmp_path: Path,
) -> None:
    said = f"echo '{FINDING}'"
    warned = run(tmp_path, said)
    assert (warned.status, warned.summary) == (Status.WARN, "R: mm/a.c:3: bad")
    assert warned.evidence == ("warn: mm/a.c:3: R: bad [f()]",)
    failed = run(tmp_path, f"{said}; exit 1", TOML + '[severities]\n"R*" = "fail"\n')
    assert failed.status is Status.FAIL and failed.owner == "patch"


def test_a_quiet_program_passes_and_the_log_is_kept(tmp_path: Path) -> None:
    passed = run(tmp_path, "echo all well; echo '{' ; cat >/dev/null")
    assert (passed.status, passed.summary) == (Status.PASS, "clean")
    assert "all well" in (tmp_path / "out" / "check.log").read_text()


def test_what_a_check_measures_is_kept_as_the_schema_has_it(tmp_path: Path) -> None:
    said = '{"figure":"text","value":120,"unit":"B"}'
    passed = run(tmp_path, f"echo '{said}'; echo '{FINDING}'")
    assert passed.details["figures"] == {"text": {"value": 120, "unit": "B"}}
    document = to_json(report(row(0), row(1, passed)))
    schema = json.loads((checks.OWN.parent / "schema" / "run.schema.json").read_text())
    jsonschema.validate(document, schema)


def test_status_1_without_a_finding_is_one(tmp_path: Path) -> None:
    failed = run(tmp_path, "echo no such thing; exit 1", TOML + 'severity = "fail"\n')
    assert (failed.status, failed.summary) == (Status.FAIL, "failed: no such thing")


@pytest.mark.parametrize("script", ["echo no tree >&2; exit 4", "echo '{\"skip\":\"no tree\"}'"])
def test_a_check_that_cannot_run_says_why(tmp_path: Path, script: str) -> None:
    skipped = run(tmp_path, script)
    assert (skipped.status, skipped.summary) == (Status.SKIP, "no tree")


@pytest.mark.parametrize("end", ["echo no tree >&2; exit 4", "echo '{\"skip\":\"no tree\"}'"])
def test_what_it_found_before_it_could_not_go_on_counts(tmp_path: Path, end: str) -> None:
    found = run(tmp_path, "echo '{\"rule\":\"R\",\"text\":\"t\"}'; " + end)
    assert found.status is Status.WARN and found.summary.startswith("R: t")
    assert found.details["notes"] == ["no tree"]


@pytest.mark.parametrize(
    "script",
    ["exit 2", "kill -9 $$", 'echo \'{"colour":"red"}\'',
     'echo \'{"rule":"R","text":5}\'', 'echo \'{"rule":"R","text":"t","severity":"loud"}\''],
)
def test_a_check_that_breaks_blames_nobody(tmp_path: Path, script: str) -> None:
    broken = run(tmp_path, script)
    assert (broken.status, broken.owner) == (Status.ERROR, "machine")


def test_a_check_that_hangs_is_stopped(tmp_path: Path) -> None:
    hung = run(tmp_path, "sleep 60", TOML + "deadline = 0.3\n")
    assert hung.status is Status.ERROR and "ran past" in hung.summary and hung.seconds < 10


def test_what_is_not_installed_or_not_in_the_tree_is_a_skip(tmp_path: Path) -> None:
    gone = run(tmp_path, "exit 0", TOML + 'programs = ["no-such"]\npackages = ["pkg"]\n')
    assert (gone.status, gone.summary) == (
        Status.SKIP, "no-such is not installed (apt-get install pkg)")
    old = run(tmp_path, "exit 0", TOML + 'tree = ["scripts/new.pl"]\n')
    assert old.summary == "this kernel has no scripts/new.pl"


def test_a_patch_without_its_files_is_not_asked_about(tmp_path: Path) -> None:
    passed = run(tmp_path, "exit 2", TOML + 'files = ["*.yaml"]\n')
    assert (passed.status, passed.summary) == (Status.PASS, "touches no *.yaml")
    assert passed.details["asked"] is False


def test_the_program_gets_the_request(tmp_path: Path) -> None:
    asked = request(tmp_path, "cat", TOML + '[options]\na = 1\nb = 2\n', options={"b": 3})
    assert step.run(asked).status is Status.PASS
    data = json.loads((tmp_path / "out" / "after.request.json").read_text())
    assert data["files"] == ["mm/a.c"] and data["lines"] == {"mm/a.c": [[3, 3]]}
    assert data["options"] == {"a": 1, "b": 3} and data["side"] == "after"


def test_what_the_parent_said_already_is_nobodys_fault(tmp_path: Path) -> None:
    asked = request(tmp_path, f"echo '{FINDING}'", TOML + "compares = true\n")
    first = step.before(asked)
    passed = step.run(replace(asked, before=first))
    assert (passed.status, passed.summary) == (Status.PASS, "nothing new (1 pre-existing)")
    swapped = request(tmp_path, f"echo '{FINDING}' | sed s/bad/worse/")
    warned = step.run(replace(swapped, before=first))
    assert (warned.status, warned.summary) == (Status.WARN, "R: mm/a.c:3: worse (1 fixed)")


def test_a_finding_in_an_untouched_file_says_so(tmp_path: Path) -> None:
    script = f"echo '{FINDING}' | sed s/a.c/b.c/"
    warned = run(tmp_path, script)
    assert "the patch does not touch" in warned.summary
    of_series = run(tmp_path, script, TOML.replace('"patch"', '"series"'))
    assert of_series.status is Status.WARN and "does not touch" not in of_series.summary


def test_the_author_overrides_a_level_with_a_reason(tmp_path: Path) -> None:
    lenient = (Override("mine.R", Level.IGNORE, "it is the style there"),)
    passed = run(tmp_path, f"echo '{FINDING}'", overrides=lenient)
    assert (passed.status, passed.summary) == (Status.PASS, "nothing new (1 ignored)")
    assert passed.details["overrides"] == [
        {"rule": "mine.R", "level": "ignore", "reason": "it is the style there", "findings": 1}]
    other = (Override("mine.S", Level.IGNORE, "x"), Override("theirs", Level.IGNORE, "x"))
    assert run(tmp_path, f"echo '{FINDING}'", overrides=other).status is Status.WARN


def _at(file: str, line: int, text: str, function: str = "f") -> Finding:
    return Finding("R", text, file, line, function)


def test_moved_lines_and_positions_are_the_same_finding() -> None:
    states, fixed = compare([_at("a.c", 3, "x at line 3")], [_at("a.c", 9, "x at line 9")], {})
    assert [s for _, s in states] == [State.OLD] and fixed == []


def test_a_second_one_of_the_same_is_new() -> None:
    one = _at("a.c", 3, "x")
    states, _ = compare([one], [one, one], {})
    assert [s for _, s in states] == [State.OLD, State.NEW]


def test_a_renamed_file_keeps_its_findings() -> None:
    states, fixed = compare([_at("a.c", 3, "x")], [_at("b.c", 3, "x")], {"a.c": "b.c"})
    assert [s for _, s in states] == [State.OLD] and fixed == []


def test_code_carried_to_another_file_is_moved_but_other_code_is_new() -> None:
    states, fixed = compare([_at("a.c", 3, "x")], [_at("b.c", 3, "x")], {})
    assert [s for _, s in states] == [State.MOVED] and fixed == []
    states, fixed = compare([_at("a.c", 3, "x")], [_at("b.c", 3, "x", "g")], {})
    assert [s for _, s in states] == [State.NEW] and len(fixed) == 1


def test_json_of_no_known_shape_is_refused_and_a_brace_in_a_log_is_not() -> None:
    assert parse("{ not json\n").log == ["{ not json"]
    with pytest.raises(ProtocolError):
        parse('{"text": "a finding without a rule"}\n')


C = """\
static int one(int a,
        int b)
{
    return a;
}

#define X 1
int __init two(void)
{
    if (1) {
    }
}
SYSCALL_DEFINE1(three, int, x)
{
}
struct s {
    int a;
};
"""


@pytest.mark.parametrize(
    ("line", "name"),
    [(1, "one"), (2, "one"), (4, "one"), (5, "one"), (7, ""), (8, "two"), (10, "two"),
     (12, "two"), (14, "SYSCALL_DEFINE1"), (17, ""), (99, "")],
)
def test_the_function_around_a_line(line: int, name: str) -> None:
    assert function_of(C, line) == name


@pytest.mark.parametrize(
    ("toml", "says"),
    [("descripton = 'x'", "did you mean 'description'"), ("description = 'x'", "scope is missing"),
     (TOML + "cost = true", "cost has the wrong type"),
     (TOML + "deadline = 0", "not a positive number"), (TOML + "files = [1]", "list of strings"),
     (TOML.replace("patch", "file"), "scope = 'file' is none of"),
     (TOML + "severity = 'loud'", "none of fail, warn, ignore"),
     (TOML.replace('"check"', '"gone"'), "no program gone")],
)
def test_a_wrong_declaration_is_named(tmp_path: Path, toml: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        checks.load(folder(tmp_path, "exit 0", toml))


def test_a_program_that_is_not_executable_is_named(tmp_path: Path) -> None:
    place = folder(tmp_path, "exit 0")
    (place / "check").chmod(0o644)
    with pytest.raises(ConfigError, match=r"not executable.*chmod"):
        checks.load(place)


def test_our_checks_load_cheapest_first_and_a_users_takes_the_place_of_ours(
    tmp_path: Path,
) -> None:
    ours = checks.available()
    assert [c.cost for c in ours] == sorted(c.cost for c in ours)
    place = folder(tmp_path, "exit 0").rename(tmp_path / "inline")
    assert next(c for c in checks.available([place]) if c.name == "inline").folder == place
