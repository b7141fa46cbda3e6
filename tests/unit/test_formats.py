# SPDX-License-Identifier: GPL-2.0-or-later
"""What checkers printed, read again. All but smatch.txt was recorded: no distribution has smatch,
its first line is from the announcement of a release."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvtools.formats import abidiff, bloat, cocci, dtc, pahole, sparse

DATA = Path(__file__).parents[1] / "data" / "formats"


def text(name: str) -> str:
    return (DATA / name).read_text()


def test_sparse_tells_the_types_that_do_not_fit() -> None:
    found = sparse.parse(text("sparse.txt"))
    first, second = found[:2]
    assert (first.severity, first.line) == ("error", 83)
    assert first.file == "/src/linux/include/uapi/asm-generic/signal-defs.h"
    assert second.text == (
        "incorrect type in argument 1 (different address spaces); expected struct spinlock *lock; "
        "got struct spinlock [noderef] __rcu *")
    assert len(second.lines) == 3


def test_what_sparse_knows_of_a_variable_is_no_part_of_its_type() -> None:
    found = next(m for m in sparse.parse(text("sparse.txt")) if m.line == 1344
                 and "assignment" in m.text)
    assert "expected struct file *old_exe_file" in found.text
    assert "[noderef] __rcu *__ret" in found.text


def test_sparse_notes_are_no_messages() -> None:
    assert not any("in included file" in m.text for m in sparse.parse(text("sparse.txt")))
    assert sparse.parse("mm/slub.c: In function 'f':\nmm/slub.c:1: warning: no column\n") == ()


def test_smatch_has_its_own_format_and_leaves_sparse_out() -> None:
    (found,) = sparse.parse_smatch(text("smatch.txt"))
    assert (found.file, found.line) == ("net/sctp/socket.c", 480)
    assert found.function == "sctp_send_asconf"
    assert (found.severity, found.text) == ("warn", "sleeping in atomic context")


def test_bloat_o_meter() -> None:
    sizes = bloat.parse(text("bloat.txt"))
    assert sizes.totals == {"Function": (6529, 6576), "Data": (580, 628), "RO Data": (48, 48)}
    assert sizes.delta("Function") == 47
    assert [(s.name, s.delta) for s in sizes.symbols][:2] == [
        ("allocate_resource", 26), ("release_resource", 12)]


def test_a_bloat_o_meter_that_could_not_read_is_not_a_kernel_of_no_size() -> None:
    with pytest.raises(ValueError, match="no complete table"):
        bloat.parse("add/remove: 0/0 grow/shrink: 0/0 up/down: 0/0 (0)\n")


def test_new_and_gone_symbols_have_no_other_size() -> None:
    table = ("Function old new delta\ncame - 8 +8\ngone 9 - -9\nTotal: Before=9, After=8, chg -1%\n"
             "Data old new delta\nTotal: Before=0, After=0, chg +0.00%\n"
             "RO Data old new delta\nTotal: Before=0, After=0, chg +0.00%\n")
    came, gone = bloat.parse(table).symbols
    assert (came.old, came.new, gone.old, gone.new) == (None, 8, 9, None)


def test_a_symbol_that_is_only_counted_otherwise_is_the_same() -> None:
    rows = """\
__UNIQUE_ID_mode255                            -      96     +96
__UNIQUE_ID_grown_258                          -      48     +48
__UNIQUE_ID_new9                               -       8      +8
__UNIQUE_ID_mode254                           96       -     -96
__UNIQUE_ID_grown_257                         40       -     -40
name1                                          8       -      -8
name2                                          -       8      +8
"""
    table = (text("bloat.txt").partition("\n")[0] + "\nFunction old new delta\n"
             "Total: Before=1, After=1, chg +0.00%\nRO Data old new delta\n"
             f"Total: Before=1, After=1, chg +0.00%\nData old new delta\n{rows}"
             "Total: Before=144, After=160, chg +11.11%\n")
    found = {s.name: (s.old, s.new) for s in bloat.parse(table).symbols}
    assert found == {"__UNIQUE_ID_grown_": (40, 48), "__UNIQUE_ID_new9": (None, 8),
                     "name1": (8, None), "name2": (None, 8)}


def test_pahole() -> None:
    layouts = pahole.parse(text("pahole.txt"))
    resource = layouts["struct resource"]
    assert (resource.size, resource.holes, resource.hole) == (72, 1, 7)
    assert resource.members[3] == pahole.Member("kv_pad", "char", 24, 1)
    assert layouts["union either"].size == 8
    config = layouts["struct config"]
    names = [(m.name, m.offset, m.bit, m.size) for m in config.members]
    assert ("hint", 8, 0, 4) in names and ("report", 8, 0, 4) in names
    assert ("more", 12, 1, 1) in names and ("call", 16, 0, 8) in names
    assert ("name", 24, 0, 16) in names and ("pair", 40, 0, 4) in names


def config(*members: tuple[str, int], size: int = 16) -> pahole.Layout:
    found = (pahole.Member(name, "__le32", offset, 4) for name, offset in members)
    return pahole.Layout("struct", "c", size, tuple(found))


def test_a_member_that_moved_is_seen_and_one_that_was_added_or_put_into_a_union_is_not() -> None:
    old = config(("a", 0), ("b", 4), size=8)
    assert [m.name for m in pahole.moved(old, config(("a", 0), ("c", 4), ("b", 8)))] == ["b"]
    assert pahole.moved(old, config(("a", 0), ("b", 4), ("c", 8))) == ()
    assert pahole.moved(old, config(("a", 0), ("b", 4), ("alias", 4), ("", 4), size=8)) == ()
    assert [m.name for m in pahole.moved(old, config(("a", 0), size=8))] == ["b"]


def test_abidiff() -> None:
    found = abidiff.parse(text("abidiff.txt"))
    assert [(c.how, c.name) for c in found] == [
        ("changed", "__devm_release_region"), ("changed", "release_resource"),
        ("changed", "resource_list_create_entry"), ("changed", "iomem_resource"),
        ("changed", "ioport_resource")]
    assert found[1].lines == ("parameter 2 of type 'int' was added",)
    came = abidiff.parse(text("abidiff-symbols.txt"))
    assert [(c.how, c.name) for c in came] == [("removed", "gone"), ("added", "came")]


def test_cocci_reports() -> None:
    found = cocci.parse(text("cocci.txt"))
    assert [(r.file, r.line, r.severity) for r in found] == [
        ("kernel/fork.c", 825, ""), ("kernel/fork.c", 1256, ""), ("t.c", 4, "warning"),
        ("t.c", 12, "error")]
    assert len({cocci.without_lines(r.text) for r in found[:2]}) == 1


HEAD = """// Confidence: High
// Options: --no-includes --include-headers
// Requires: 1.0.8
virtual org
virtual report
"""


def test_what_a_semantic_patch_says_of_itself() -> None:
    said = cocci.script(HEAD)
    assert said.options == ("--no-includes", "--include-headers")
    assert (said.confidence, said.requires, said.reports, said.ocaml) == (
        "high", "1.0.8", True, False)
    empty = cocci.script("// Options:\nvirtual patch\n@script:ocaml@\n")
    assert (empty.options, empty.reports, empty.ocaml) == ((), False, True)


def test_a_semantic_patch_is_tried_where_its_words_are() -> None:
    needed = cocci.query("msg\n\nGrep query\nkfree || vfree && spin_lock\n")
    assert cocci.worth_trying(needed, frozenset({"vfree", "spin_lock"}))
    assert not cocci.worth_trying(needed, frozenset({"kfree", "vfree"}))
    assert cocci.worth_trying(cocci.query("No grep query\n"), frozenset())


def test_dtc() -> None:
    found = dtc.parse(text("dtc.txt"))
    assert [(m.file, m.line, m.severity, m.check) for m in found] == [
        ("a.dts", 7, "warning", "unit_address_vs_reg"),
        ("a.dts", 16, "warning", "unit_address_vs_reg"),
        ("b.dts", 5, "error", "syntax"), ("c.dts", 2, "error", "phandle_references")]


def test_yamllint() -> None:
    found = dtc.parse_yamllint(text("yamllint.txt"))
    assert (found[1].line, found[1].severity, found[1].check) == (2, "error", "key-duplicates")
    assert {m.file for m in found} == {"a.yaml", "b.yaml"}
