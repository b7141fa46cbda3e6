# SPDX-License-Identifier: GPL-2.0-or-later
"""The HTML page as text: whole, self-contained, accessible in its structure, and tame.

What a browser makes of it is in tests/browser.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import random
import re
from dataclasses import dataclass, field
from dataclasses import replace as changed
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import reports
import rich_reports
from markupsafe import Markup

from kvtools.model import Outcome, Status
from kvtools.report import RunReport, SeriesHead
from kvtools.report.html import render, to_html
from kvtools.report.html.blocks import Lines, Table, blocks, figures_table
from kvtools.report.html.log import LONGEST, excerpt
from kvtools.report.html.plots import plots
from kvtools.report.jsonreport import from_json, to_json

VOID = {"meta", "link", "input", "rect", "line", "br", "img"}
ELEMENTS = {
    "html", "head", "meta", "link", "title", "style", "body", "script", "a", "header", "h1", "h2",
    "h3", "h4", "h5", "p", "span", "strong", "ul", "li", "nav", "main", "section", "article", "pre",
    "i", "mark", "form", "label", "input", "select", "option", "output", "div", "table", "caption",
    "thead", "tbody", "tr", "th", "td", "details", "summary", "dl", "dt", "dd", "figure",
    "figcaption", "svg", "rect", "line", "text",
}  # fmt: skip


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    inside: tuple[str, ...] = ()
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass
class Document(HTMLParser):
    """The elements of a page; raises AssertionError where tags do not nest."""

    elements: list[Element] = field(default_factory=list)
    stack: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> has an attribute twice: {names}"
        made = Element(tag, {n: v or "" for n, v in attrs}, tuple(e.tag for e in self.stack))
        self.elements.append(made)
        if tag not in VOID:
            self.stack.append(made)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.stack and self.stack[-1].tag == tag, f"</{tag}> in {self.stack[-1:]}"
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        for element in self.stack:
            element.pieces.append(data)

    def all(self, tag: str, **wanted: str) -> list[Element]:
        return [
            e for e in self.elements
            if e.tag == tag and all(e.attributes.get(k) == v for k, v in wanted.items())
        ]  # fmt: skip


@functools.cache
def parse(text: str) -> Document:
    document = Document()
    document.feed(text)
    document.close()
    assert document.stack == []
    return document


def no_log(outcome: Outcome) -> str | None:
    return None


PAGES = {
    "twelve": render(reports.twelve(), no_log),
    "rich": render(rich_reports.rich(), rich_reports.logs()),
    "hostile": render(rich_reports.hostile(), lambda outcome: rich_reports.EVIL * 2),
    "base alone": render(reports.report(reports.row(0)), no_log),
    "no rows": render(changed(reports.report(), rows=()), no_log),
}


@pytest.fixture(params=PAGES, ids=list(PAGES))
def page(request: pytest.FixtureRequest) -> str:
    return PAGES[request.param]


def test_tags_nest_and_ids_are_unique(page: str) -> None:
    document = parse(page)
    ids = [e.attributes["id"] for e in document.elements if "id" in e.attributes]
    assert len(set(ids)) == len(ids)
    for name in ("aria-labelledby", "for"):
        assert {e.attributes[name] for e in document.elements if name in e.attributes} <= set(ids)
    inner = {e.attributes["href"][1:] for e in document.all("a") if e.attributes["href"][0] == "#"}
    assert inner <= set(ids)


def test_nothing_beyond_the_page_is_asked_for(page: str) -> None:
    document = parse(page)
    for element in document.elements:
        assert element.tag in ELEMENTS
        assert not [name for name in element.attributes if name.startswith("on")]
        assert not {"src", "srcset", "action", "style"} & set(element.attributes)
        href = element.attributes.get("href", "#")
        assert href.startswith("#") or href == "data:," or href.startswith("file:///"), href
    assert "@import" not in page and "url(" not in page


def test_only_this_style_and_script_may_run(page: str) -> None:
    document = parse(page)
    metas = document.all("meta")
    policy = next(e.attributes["content"] for e in metas if "http-equiv" in e.attributes)
    assert policy.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert len(found) == 1
        digest = base64.b64encode(hashlib.sha256(found[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_structure_for_screen_readers(page: str) -> None:
    document = parse(page)
    assert document.all("html")[0].attributes["lang"] == "en"
    assert len(document.all("h1")) == len(document.all("main")) == 1
    assert all(e.attributes.get("scope") in ("row", "col") for e in document.all("th"))
    assert all(e.attributes.get("aria-label") for e in document.all("svg", role="img"))
    for element in document.elements:
        if element.attributes.get("role") == "group":
            assert element.attributes.get("aria-label") or element.attributes.get("aria-labelledby")
        if element.tag in ("input", "select"):
            assert "label" in element.inside
    levels = [int(e.tag[1]) for e in document.elements if re.fullmatch("h[1-6]", e.tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_a_status_is_a_word_and_a_sign() -> None:
    document = parse(PAGES["twelve"])
    badges = [e for e in document.all("span") if "badge" in e.attributes.get("class", "")]
    assert len(badges) > 100
    signs = {e.text.split()[1]: e.text.split()[0] for e in badges}
    assert signs == {"PASS": "\u2713", "WARN": "\u25b2", "FAIL": "\u2717", "ERROR": "!",
                     "SKIP": "\u2013"}  # fmt: skip


def test_every_cell_leads_to_its_text() -> None:
    document = parse(PAGES["twelve"])
    links = [e for e in document.all("a") if re.match(r"#c\d", e.attributes["href"])]
    cells = sum(len(row.outcomes) for row in reports.twelve().rows)
    assert len({e.attributes["href"] for e in links}) == cells
    label = "patch 10, vmem.resize: FAIL, 32s"
    resize = next(e for e in document.all("a", **{"aria-label": label}))
    target = next(e for e in document.all("div", id=resize.attributes["href"][1:]))
    assert "plugged size stayed at 256 MiB" in target.text and "qemu-system-x86_64" in target.text
    assert "details" in target.inside


def test_a_run_without_a_series() -> None:
    none = SeriesHead("", "no series", "", 1, None, None)
    document = parse(render(changed(reports.report(), series=none), no_log))
    assert document.all("h1")[0].text == "no series"
    assert "from" not in document.all("section", id="environment")[0].text


def test_checks_share_a_column_and_those_without_news_are_folded() -> None:
    document = parse(PAGES["rich"])
    heads = [e.text for e in document.all("th", role="columnheader")]
    assert [head.split()[-1] for head in heads] == [
        "patch", "apply", "check", "guest", "guest-off", "guest", "vmem.zone", "dump.kdump",
    ]  # fmt: skip
    found = document.all("a", **{"aria-label": "patch 3, check: WARN, 0.4s"})[0]
    target = document.all("div", id=found.attributes["href"][1:])[0]
    assert "LONG_LINE" in target.text and target.inside.count("details") == 1
    clean = document.all("a", **{"aria-label": "patch 12, check: PASS, 13s"})[0]
    folded = document.all("div", id=clean.attributes["href"][1:])[0]
    assert "checkpatch" in folded.text and "range-diff" in folded.text


def test_the_order_of_what_went_wrong() -> None:
    document = parse(PAGES["twelve"])
    titles = [e.text for e in document.all("h3") if "article" in e.inside]
    assert [title.split()[1] for title in titles] == ["FAIL", "ERROR", "WARN"]
    assert "The same on patch 11." in PAGES["twelve"]


def test_findings() -> None:
    document = parse(PAGES["rich"])
    table = next(e for e in document.all("section", id="findings"))
    new, rest = table.text.split("pre-existing", 1)
    assert "LONG_LINE" in new and "mm/page_alloc.c:80" in new and "patches 3..12" in new
    assert "splat: WARNING in x86_init" in rest and "mm/slub.c" in rest.split("fixed", 1)[1]


def test_hostile_text_is_spelled_out_and_escaped() -> None:
    text = PAGES["hostile"]
    assert not [c for c in text if (ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0]
    assert not set("\u202e\u2066") & set(text)
    text.encode("utf-8")
    document = parse(text)  # test_nothing_beyond... has already seen that no element came in
    assert "alert(1)" in document.all("h1")[0].text and "{{7*7}}" in document.all("h1")[0].text
    assert text.count("<script") == 1 and "<img" not in text


def test_the_checks_above_can_fail() -> None:
    """The negative control: without the two nets the page is not tame."""
    page = PAGES["twelve"].replace("virtio-mem: PG_offline", rich_reports.EVIL, 1)
    with pytest.raises(AssertionError):
        parse(page)
    with pytest.raises(AssertionError):
        test_nothing_beyond_the_page_is_asked_for('<img src=x onerror="alert(2)">')
    with pytest.raises(AssertionError):
        test_tags_nest_and_ids_are_unique('<a href="#nowhere">x</a>')


def test_the_page_of_the_stored_json_is_the_same() -> None:
    for report in (reports.twelve(), rich_reports.rich()):
        assert render(from_json(to_json(report)), no_log) == render(report, no_log)


def test_the_log_is_read_from_the_disk_and_linked(tmp_path: Path) -> None:
    place = tmp_path / "10"
    place.mkdir()
    (place / "console.log").write_text(rich_reports.log_of(5000, splat=2000))
    text = to_html(reports.twelve(tmp_path))
    document = parse(text)
    marks = [e.text for e in document.all("mark")]
    assert any(mark.startswith("> 2001  [    4.812345] BUG: Bad page state") for mark in marks)
    assert f'href="file://{place}/console.log"' in text
    assert "lines left out" in text and "of 5,000 lines" in text
    assert "line 1000 " not in text


def test_excerpt_marks_and_cuts() -> None:
    text = rich_reports.log_of(1000, splat=500)
    made = excerpt(text, rich_reports.SPLAT)
    shown = made.html.splitlines()
    marked = [line for line in shown if line.startswith("<mark>")]
    assert len(marked) == 2 and "&gt;  501  [    4.812345] BUG" in marked[0]
    at = shown.index(marked[0])
    assert "line 492 " in shown[at - 8] and "lines left out" in shown[at - 9]
    assert made.lines == 1000 and made.shown < 80
    assert excerpt("a\nb\n", ()).html == Markup("  1  a\n  2  b")
    assert excerpt("a\n", ("elsewhere",)).html.startswith("<mark>&gt; elsewhere</mark>\n")


def test_a_long_line_and_a_flood_of_evidence_are_cut() -> None:
    assert "[9600 more characters]" in excerpt("x" * (9600 + LONGEST), ()).html
    flood = "\n".join(f"{n}: BUG" for n in range(20_000))
    assert len(excerpt(flood, flood.splitlines()).html) < 50_000


def test_a_megabyte_of_log_makes_few_kilobytes_of_page() -> None:
    text = rich_reports.log_of(12_000, splat=6000)
    assert len(text) > 950_000
    assert len(excerpt(text, rich_reports.SPLAT).html) < 10_000


def test_tables_are_made_of_what_has_their_shape() -> None:
    made = list(blocks({
        "n": 12345, "no": None, "flag": True,
        "levels": [{"level": 0, "bytes": 1 << 30}, {"level": 31, "bytes": 2, "odd": [1, 2]}],
        "by_name": {"a": {"x": 1}, "b": {"x": 2}}, "flat": {"k": 1.5},
        "deep": {"a": {"b": [1, {"c": 2}]}}, "list": ["x", "y"], "empty": [],
    }))  # fmt: skip
    assert made[0] == Table("", ("", "value"), (("n", "12,345"), ("no", ""), ("flag", "yes")), True)
    levels = made[1]
    assert isinstance(levels, Table) and levels.columns == ("level", "bytes", "odd")
    assert levels.rows[1] == ("31", "2", "1, 2") and levels.rows[0][1] == "1,073,741,824"
    assert made[2] == Table("by_name", ("", "x"), (("a", "1"), ("b", "2")), True)
    assert made[3] == Table("flat", ("", "value"), (("k", "1.5"),), True)
    assert isinstance(made[4], Lines) and isinstance(made[5], Lines) and len(made) == 6


def test_figures_that_are_alike_make_a_table() -> None:
    rows = {"level-0": {"level": 0, "free": 1, "bytes": 9}, "level-31": {"level": 31, "bytes": 5}}
    made = figures_table(rows)
    assert made == Table(
        "Figures", ("", "level", "free", "bytes"),
        (("level-0", "0", "1", "9"), ("level-31", "31", "", "5")), True,
    )  # fmt: skip
    few = {"elf": {"bytes": 7}, **rows}
    assert figures_table(few) is not None and figures_table(few).rows[0] == ("elf", "7", "", "")
    strangers = {"a": {"x": 1, "y": 2, "z": 3}, "b": {"u": 1}, "c": {"v": 1}, "d": {"w": 1}}
    assert figures_table(strangers) is None
    assert figures_table({"a": {"x": 1, "y": 2, "z": 3}}) is None
    zone = parse(PAGES["rich"]).all("div", id="c2-6")[0].text
    assert "Figures" in zone and "0.93" in zone


def test_plots_show_what_was_measured() -> None:
    found = {plot.key: plot for plot in plots(rich_reports.rich())}
    assert list(found) == ["time", "size0", "size1", "share", "dump"]
    assert found["size0"].table.rows[1] == ("patch 1", "2,804,096", "+4,096")
    assert [label.text for label in found["share"].labels[2:4]] == ["4M.normal, 12", "93.0%"]
    assert [s.style for s in found["share"].shapes[:2]] == ["k-share", "k-rest"]
    assert [row[2] for row in found["dump"].table.rows[:3]] == ["0", "16", "31"]
    for plot in found.values():
        for shape in plot.shapes:
            assert shape.x >= 0 and shape.x + shape.width <= 721 and shape.y < plot.height


def test_images_of_one_size_make_no_plot() -> None:
    same = [reports.row(n, reports.outcome(details={"image_bytes": 5})) for n in range(3)]
    assert [plot.key for plot in plots(reports.report(*same))] == ["time"]


def test_plots_need_figures() -> None:
    assert plots(reports.report(reports.row(0))) == ()
    stored = reports.outcome(reused=True, details={"image_bytes": 5})
    assert plots(reports.report(reports.row(0, stored))) == ()
    skipped = reports.report(reports.row(0, reports.skip("dump:dump.kdump")))
    assert plots(skipped) == ()


def test_odd_details_make_no_plot_and_no_harm() -> None:
    choices: list[Any] = [None, True, -1, 0, 1.5, float("nan"), "x", [], {}, "level", 10**30]
    keys = ("image_bytes", "subtests", "level", "bytes", "figures", "share", "findings", "new",
            "errors", "range_diff", "name", "status", "line", "31")  # fmt: skip
    rng = random.Random(1)

    def value(depth: int) -> Any:
        kind = rng.randrange(4) if depth else 3
        if kind == 0:
            return {rng.choice(keys): value(depth - 1) for _ in range(3)}
        if kind == 1:
            return [value(depth - 1) for _ in range(3)]
        return rng.choice(choices)

    for _ in range(10):
        cells = [
            reports.outcome(cell, rng.choice(list(Status)), details={k: value(3) for k in keys})
            for cell in ("build:x", "selftest:vmem.zone", "dump:d", "check:range-diff")
        ]
        parse(render(reports.report(*(reports.row(n, *cells) for n in range(3))), no_log))


def test_range_diff_of_a_check_is_its_log_when_it_keeps_no_other() -> None:
    made = reports.outcome("check:range-diff", log="check.log", directory=Path("/x"))
    report = reports.report(reports.row(1, made))
    document = parse(render(report, lambda outcome: rich_reports.RANGE_DIFF))
    diff = document.all("section", id="range-diff")[0]
    assert "1111111 = 1:  2222222" in diff.text
    assert document.all("span", **{"class": "add"}) and document.all("span", **{"class": "head"})
    assert not parse(PAGES["twelve"]).all("section", id="range-diff")


def test_a_report_of_forty_patches_is_rendered_quickly() -> None:
    report: RunReport = rich_reports.rich(40)
    text = render(report, rich_reports.logs(50))
    assert len(text) < 4_000_000
