# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports for other readers: mail, Markdown, KTAP, patchwork, GitHub, GitLab.

What they must not do is as much tested as what they say: run a command of a CI, mention a
person, close a fence, drive a terminal.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
import reports
import rich_reports
from markdown_it import MarkdownIt  # rich brings it
from rich.cells import cell_len

from kvtools import ktap
from kvtools.cli.arguments import FORMATS
from kvtools.model import Owner, Status
from kvtools.report import RunReport, dumps
from kvtools.report.findings import Kind, findings
from kvtools.report.forges import PER_KIND, to_github, to_gitlab, to_patchwork
from kvtools.report.formats import WRITERS, writer
from kvtools.report.kcidb import to_kcidb
from kvtools.report.ktapreport import to_ktap
from kvtools.report.mail import to_mail, wrap
from kvtools.report.markdown import MOST_CHARACTERS, escape, fence, to_markdown
from kvtools.report.printable import abroad

RUNS = {
    "twelve": reports.twelve(),
    "rich": rich_reports.rich(),
    "hostile": rich_reports.hostile(),
    "base alone": reports.report(reports.row(0)),
    "no rows": replace(reports.report(), rows=()),
}
TEXTS = [name for name in WRITERS if name != "json"]


@pytest.fixture(params=RUNS, ids=list(RUNS))
def run(request: pytest.FixtureRequest) -> RunReport:
    return RUNS[request.param]


def test_every_option_has_a_writer() -> None:
    assert set(FORMATS) == set(WRITERS)
    assert all(callable(writer(name)) for name in WRITERS)


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_drives_a_terminal(name: str) -> None:
    text = writer(name)(RUNS["hostile"])
    assert all(c == "\n" or (ord(c) >= 32 and not 0x7F <= ord(c) < 0xA0) for c in text)
    if name != "junit":  # which is never shown as it is
        assert not set("\u202e\u2066") & set(text)
    text.encode("utf-8")


def test_mail_keeps_to_72_columns(run: RunReport) -> None:
    lines = to_mail(run).splitlines()
    assert max(map(cell_len, lines)) <= 72
    assert not any(line.startswith("From ") for line in lines)  # an mbox would split there


def test_mail_says_what_a_list_wants_to_know() -> None:
    text = to_mail(reports.twelve())
    assert text.startswith("PG_offline and virtio-mem\n\nFAIL: 2 of 12 patches at fault")
    assert re.search(r"(?m)^  10  virtio-mem: para.* ok +ok +ok +ok +FAIL +ok$", text)
    assert "  e    vmem.resize" in text and "the same on patch 11" in text
    assert "  | [    4.812345] BUG: Bad page state in process kworker/0:1" in text
    assert "/state/outcomes" not in text and "kvtools report" not in text
    assert "commit\n  " + "b" * 40 + " (not public)\n" in text and "$ kvtools test" in text


def test_mail_says_nothing_of_where_things_lie_here() -> None:
    run = reports.report(command=(
        "kvtools", "test", "/home/me/mine", "--tree=/home/me/linux", "--only", "build", "--json",
        "/tmp/run.json", "--html=-", "-q"))
    text = to_mail(replace(run, base=replace(run.base, origin="/home/me/linux at commit bbb")))
    assert "$ kvtools test mine --tree=linux --only build -q\n" in text
    assert "/home" not in text and "/tmp" not in text
    assert "linux-source-6.1" in to_mail(run)  # where others get it from stays


def test_mail_of_a_run_without_guests() -> None:
    run = reports.report()
    assert "with tcg guests on" in to_mail(run)
    assert "with no guests on" in to_mail(replace(run, accel=replace(run.accel, name="none")))


def test_mail_with_many_columns_makes_bands() -> None:
    cells = [f"selftest:scenario.number{n:02d}" for n in range(30)]
    made = reports.report(*(reports.row(n, *map(reports.outcome, cells)) for n in range(3)))
    text = to_mail(made)
    assert text.count("   2  mm: let PG_off") == 4 and text.count(" ok") == 90
    assert "  ad   scenario.number29" in text


def test_wrap_loses_nothing_but_spaces() -> None:
    for text in ("x" * 200, "word " * 40, "[    4.8] " + "y" * 90, "日本語" * 40, " ", ""):
        lines = wrap(text, "   ")
        assert max(map(cell_len, lines)) <= 72
        assert "".join("".join(lines).split()) == "".join(text.split())


def test_markdown_table() -> None:
    lines = to_markdown(reports.twelve()).splitlines()
    head = next(n for n, line in enumerate(lines) if line.startswith("| | patch |"))
    table = lines[head : head + 15]
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in table]
    assert bars == [9] * 15
    assert "**\u2717 FAIL** 32s" in table[12] and table[2].startswith("| base |")


def test_markdown_is_no_markup_of_others() -> None:
    text = to_markdown(RUNS["hostile"])
    outside = re.sub(r"(?ms)^(`{3,})\w*\n.*?^\1$", "", text)
    assert "<script" not in outside and "<img" not in outside
    assert not re.search(r"(?<!\\)\]\(", re.sub(r"<summary>.*</summary>", "", outside))
    assert not re.search(r"@\w", outside) and not re.search(r"(?<!&)#\d", outside)
    assert set(re.findall(r"<(\w+)", outside)) <= {"details", "summary"}


def test_markdown_as_a_renderer_sees_it() -> None:
    """With raw HTML allowed, as forges do: what comes out is ours, and the text is whole."""
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(
        to_markdown(RUNS["hostile"])
    )
    own = {"h3", "p", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "ul", "li",
           "pre", "code", "strong"}  # fmt: skip
    assert set(re.findall(r"<(\w+)", page)) <= own
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10 and "<table>" in page
    twelve = MarkdownIt("commonmark", {"html": True}).enable("table").render(
        to_markdown(RUNS["twelve"])
    )
    assert twelve.count("<tr>") == 14 and "virtio-mem: paravirtualized memory" in twelve


def test_a_fence_outlasts_the_fences_in_it() -> None:
    assert fence(["````", "x"]) == "`````\n````\nx\n`````"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("mm: let PG_offline pages be (re)used", "mm: let PG_offline pages be (re)used"),
        ("a|b `c` <d> & _e_", "a\\|b \\`c\\` &lt;d&gt; &amp; \\_e\\_"),
        ("@torvalds #1 #x :+1: :tada:", "@&#8203;torvalds #&#8203;1 #x :+1: \\:tada:"),
        ("https://x.org www.x.org", "https&#8203;://x.org www&#8203;.x.org"),
        ("# no heading", "\\# no heading"),
        ("    no code", "no code"),
        ("1. no list", "1&#8203;. no list"),
        ("- no list", "\\- no list"),
    ],
)
def test_escape(text: str, escaped: str) -> None:
    assert escape(text) == escaped


def test_markdown_stays_under_what_a_comment_may_have() -> None:
    evidence = tuple("x" * 400 for _ in range(40))
    rows = [
        reports.row(n, reports.outcome("boot:g", Status.FAIL, summary=str(n), evidence=evidence))
        for n in range(40)
    ]
    text = to_markdown(reports.report(*rows, status=Status.FAIL))
    assert len(text) < MOST_CHARACTERS + 200 and text.endswith("sections are in the full report.\n")


def test_ktap_reads_back(run: RunReport) -> None:
    tree = ktap.parse(to_ktap(run))
    assert list(tree.all_problems()) == []
    assert len(tree.subtests) == len(run.rows)
    for row, test in zip(run.rows, tree.subtests, strict=True):
        assert len(test.subtests) == len(row.outcomes)
        bad = [o.status in (Status.FAIL, Status.ERROR) for o in row.outcomes]
        assert [t.result is ktap.Result.FAIL for t in test.subtests] == bad
        assert (test.status is Status.FAIL) == any(bad)


def test_ktap_directives() -> None:
    text = to_ktap(reports.twelve())
    assert text.startswith("KTAP version 1\n1..13\n  KTAP version 1\n  # Subtest: base debian")
    assert "\n  ok 4 selftest:vmem.probe # SKIP the kernel has no CONFIG_VIRTIO_MEM" in text
    assert "\n    not ok 2 shrink\n" in text and "\nnot ok 11 0010 virtio-mem: para" in text
    error = "not ok 6 selftest:kselftest:memory-hotplug # ERROR the guest stopped answering"
    assert error in text


def test_ktap_of_a_failure_the_base_has_too_is_expected() -> None:
    parts = {"subtests": [{"name": "a#b", "status": "FAIL"}, {"name": "c", "status": "PASS"}]}
    made = reports.outcome("selftest:x", Status.WARN, details={**parts, "preexisting": ["a"]})
    text = to_ktap(reports.report(reports.row(1, made)))
    assert "ok 1 a\\x23b # XFAIL pre-existing on the base\n" in text
    assert ktap.parse(text).status is Status.PASS


def test_patchwork_checks() -> None:
    patches = json.loads(to_patchwork(reports.twelve()))
    assert [p["number"] for p in patches] == list(range(1, 13))
    checks = {c["context"]: c for c in patches[9]["checks"]}
    assert checks["kvtools-selftest-vmem-resize"]["state"] == "fail"
    assert "kvtools-selftest-vmem-probe" not in {c["context"] for c in patches[0]["checks"]}
    lost = patches[6]["checks"][-1]
    assert lost["state"] == "warning" and lost["description"].startswith("no verdict, the machine")
    for patch in json.loads(to_patchwork(RUNS["hostile"])):
        for check in patch["checks"]:
            # patchwork: a slug of at most 255, one of four states
            assert re.fullmatch(r"[-a-zA-Z0-9_]{1,255}", check["context"])
            assert check["state"] in ("pending", "success", "warning", "fail")


def test_github_annotations() -> None:
    lines = to_github(RUNS["rich"]).splitlines()
    assert lines[0] == (
        "::error file=mm/page_alloc.c,line=81,title=patch 4%2C build%3Aguest-off::"
        "gcc: mm/page_alloc.c: free_pages: undeclared"
    )
    assert any(line.startswith("::error title=base%2C boot%3Aguest%3A FAIL::WARNING in x86_init%0A")
               for line in lines)  # fmt: skip
    assert any("file=mm/memory_hotplug.c,line=1612" in line for line in lines)
    assert lines[-1].startswith("::notice title=kvtools::FAIL: 1 of 12 patches at fault")


def test_github_shows_ten_of_a_kind_and_says_so() -> None:
    cells = [reports.outcome(f"boot:c{n}", Status.FAIL, summary=str(n)) for n in range(25)]
    text = to_github(reports.report(reports.row(1, *cells), status=Status.FAIL))
    assert text.count("::error") == PER_KIND and "(15 more than GitHub shows" in text


def test_no_text_is_a_workflow_command(run: RunReport) -> None:
    for line in to_github(run).splitlines():
        assert re.match(r"::(error|warning|notice) ", line)
        properties = line.split("::", 2)[1]
        assert re.fullmatch(r"\w+( \w+=[^,:]*(,\w+=[^,:]*)*)", properties), line


def test_gitlab_code_quality(run: RunReport) -> None:
    entries = json.loads(to_gitlab(run))
    for entry in entries:
        assert set(entry) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert entry["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert entry["location"]["lines"]["begin"] >= 1
    marks = [entry["fingerprint"] for entry in entries]
    assert len(set(marks)) == len(marks)


def test_gitlab_fingerprints_outlive_moved_lines() -> None:
    marks = {e["location"]["path"]: e for e in json.loads(to_gitlab(RUNS["rich"]))}
    assert marks["mm/memory_hotplug.c"]["location"]["lines"] == {"begin": 1612}
    text = to_gitlab(RUNS["rich"]).replace("1612", "1700")
    moved = {e["location"]["path"]: e for e in json.loads(text)}
    path = "mm/memory_hotplug.c"
    assert marks[path]["fingerprint"] == moved[path]["fingerprint"]


def test_findings_are_grouped_and_judged() -> None:
    found = findings(RUNS["rich"])
    kinds = [one.kind for one in found]
    assert kinds == sorted(kinds, key=list(Kind).index)
    unused = next(f for f in found if f.cell == "build:guest" and f.kind is Kind.NEW)
    assert unused.rows == tuple(range(3, 13))
    assert (unused.file, unused.line) == ("mm/page_alloc.c", 80)
    style = next(f for f in found if f.cell == "check:checkpatch" and f.kind is Kind.NEW)
    assert style.rows == (3,) and style.status is Status.WARN
    assert next(f for f in found if f.kind is Kind.FIXED).text == "gcc: mm/slub.c: init: unused"


def test_a_cell_without_a_verdict_has_no_findings() -> None:
    error = reports.outcome(status=Status.ERROR, fingerprints=("x",), details={"new": ["x"]})
    assert findings(reports.report(reports.row(1, error, reports.skip("boot:g")))) == ()


def test_a_failure_without_fingerprints_is_its_summary() -> None:
    made = reports.outcome("boot:g", Status.FAIL, summary="no answer")
    assert [f.text for f in findings(reports.report(reports.row(2, made)))] == ["no answer"]


def test_ignored_findings_are_none() -> None:
    item = {"rule": "X", "text": "y", "level": "ignore", "state": "new"}
    made = reports.outcome("check:c", details={"findings": [item]})
    assert findings(reports.report(reports.row(1, made))) == ()


@pytest.mark.parametrize(("line", "shown"), [
    ("/home/me/.cache/kvtools/bases/debian-6.1/6.1.1/jobs/run-debian-6.1/src/mm/a.c:1:2: error: x",
     "mm/a.c:1:2: error: x"),
    ("ld: /c/trees/l-1/jobs/untrusted-l-HEAD/o/mm/a.o: undefined: f", "ld: mm/a.o: undefined: f"),
    ("/usr/include/jobs/a.h:1:2: error: x", "/usr/include/jobs/a.h:1:2: error: x"),
    ("drivers/jobs/a/src/b.c:1: error: x", "drivers/jobs/a/src/b.c:1: error: x"),
])
def test_where_the_tree_lies_here_is_told_to_nobody_elsewhere(line: str, shown: str) -> None:
    bad = reports.outcome("build:guest", Status.FAIL, evidence=(line,), owner=Owner.PATCH)
    report = reports.report(reports.row(0), reports.row(1, bad))
    assert abroad(line) == shown
    for text in (to_mail(report), to_markdown(report), to_kcidb(report)):
        flat = " ".join(text.replace("\n  |   ", "").split())
        assert "/home/me" not in flat and "/c/trees" not in flat
        assert shown.split(":")[0] in flat
    assert line in json.loads(dumps(report))["patches"][1]["outcomes"][0]["details"]["evidence"]
