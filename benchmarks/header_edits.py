#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Edit headers of a real kernel at random; compile units that would be kept; compare every byte.

For each edit the analysis says which objects it would keep. Of those some are compiled with
the edit in place, chosen half at random and half because they share most identifiers with
the edited lines, and must come out as the object that was built without the edit. The tree
and its objects are those of ``kvtools test`` (built first when they are not there).

    ./kv --help >/dev/null && .venv/bin/python benchmarks/header_edits.py --edits 200
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kvtools import bases, configs, git, make, paths, toolchain
from kvtools.cpp import parse_autoconf
from kvtools.errors import ToolFailed
from kvtools.headers.commands import Product, products
from kvtools.headers.compiler import check_alone, remake
from kvtools.headers.decide import Decision, decide
from kvtools.model import Status
from kvtools.steps import build

BREAKS = "does not compile"

Edit = Callable[[list[str], random.Random], "list[str] | None"]
"""Lines of a header to edited lines; None where it has no place for such an edit."""


def _tops(lines: list[str]) -> list[int]:
    """Where a declaration can be put: an empty line behind the end of another one."""
    return [i for i in range(1, len(lines)) if not lines[i].strip()
            and lines[i - 1].rstrip() in ("}", "};")]


def _insert(text: Callable[[random.Random], str]) -> Edit:
    def edit(lines: list[str], rng: random.Random) -> list[str] | None:
        places = _tops(lines)
        if not places:
            return None
        at = rng.choice(places)
        return [*lines[:at], "", *text(rng).split("\n"), *lines[at:]]

    return edit


def _matching(pattern: str, change: Callable[[re.Match[str], random.Random], str | None]) -> Edit:
    """One of the lines that match, changed; None from ``change`` takes the line out."""
    compiled = re.compile(pattern)

    def edit(lines: list[str], rng: random.Random) -> list[str] | None:
        places = [(i, m) for i, line in enumerate(lines) if (m := compiled.fullmatch(line))]
        if not places:
            return None
        at, match = rng.choice(places)
        changed = change(match, rng)
        return [*lines[:at], *([] if changed is None else changed.split("\n")), *lines[at + 1:]]

    return edit


def _blocks(lines: list[str]) -> list[tuple[int, int]]:
    """Inline functions, first and last line; only those written in the usual way."""
    found = []
    for i, line in enumerate(lines):
        if re.match(r"static (?:__always_)?inline .*\)$", line) and lines[i + 1:i + 2] == ["{"]:
            end = next((j for j in range(i + 2, len(lines)) if lines[j] == "}"), None)
            if end:
                found.append((i, end))
    return found


def _function(change: Callable[[list[str], random.Random], list[str]]) -> Edit:
    def edit(lines: list[str], rng: random.Random) -> list[str] | None:
        blocks = _blocks(lines)
        if not blocks:
            return None
        first, last = rng.choice(blocks)
        return [*lines[:first], *change(lines[first:last + 1], rng), *lines[last + 1:]]

    return edit


def _again(block: list[str], rng: random.Random) -> list[str]:
    """The function and a copy of it under another name."""
    name = re.search(r"(\w+)\(", block[0])
    copy = re.sub(rf"\b{name[1]}\b", f"{name[1]}_kv{rng.randrange(1000)}",
                  "\n".join(block)) if name else ""
    return [*block, "", *copy.split("\n")]


def _wrapped(block: list[str], rng: random.Random) -> list[str]:
    return [rng.choice(["#ifdef CONFIG_SMP", "#ifdef CONFIG_KVTOOLS_NONE",
                        "#ifndef KVTOOLS_ODD"]), *block, "#endif"]


def _in_struct(lines: list[str], rng: random.Random) -> list[str] | None:
    places = [i for i, line in enumerate(lines) if re.fullmatch(r"struct \w+ \{", line)]
    if not places:
        return None
    at = rng.choice(places)
    return [*lines[:at + 1], f"\tint kv_field{rng.randrange(1000)};", *lines[at + 1:]]


def _swap_fields(lines: list[str], rng: random.Random) -> list[str] | None:
    simple = re.compile(r"\t[\w ]+\*?\w+;")
    places = [i for i in range(len(lines) - 1)
              if simple.fullmatch(lines[i]) and simple.fullmatch(lines[i + 1])]
    if not places:
        return None
    at = rng.choice(places)
    return [*lines[:at], lines[at + 1], lines[at], *lines[at + 2:]]


def _in_enum(lines: list[str], rng: random.Random) -> list[str] | None:
    places = [i for i, line in enumerate(lines) if re.fullmatch(r"enum \w* ?\{", line)]
    if not places:
        return None
    at = rng.choice(places)
    return [*lines[:at + 1], f"\tKV_VALUE{rng.randrange(1000)},", *lines[at + 1:]]


def _comment_moved(lines: list[str], rng: random.Random) -> list[str] | None:
    starts = [i for i, line in enumerate(lines) if line.startswith("/*") and i > 3]
    ends = [next((j for j in range(i, len(lines)) if "*/" in lines[j]), i) for i in starts]
    places = _tops(lines)
    if not starts or not places:
        return None
    which = rng.randrange(len(starts))
    first, last = starts[which], ends[which]
    at = rng.choice(places)
    if first <= at <= last + 1 or not lines[last].rstrip().endswith("*/"):
        return None
    block = lines[first:last + 1]
    rest = [*lines[:first], *lines[last + 1:]]
    at = at if at < first else at - len(block)
    return [*rest[:at], *block, *rest[at:]]


def _call_again(match: re.Match[str], rng: random.Random) -> str:
    """A macro that makes declarations, once more with another first argument."""
    return f"{match[0]}\n{match[1]}({match[2]}Kv{rng.randrange(1000)}{match[3]}"


NUMBER = r"(#define\s+\w+\s+)(0x[0-9a-f]+|\d+)(\s*)"
EDITS: dict[str, Edit] = {
    "comment added": _insert(lambda rng: f"/*\n * A remark.\n{' * More.' * rng.randrange(3)}\n */"),
    "comment removed": _matching(r"/\*.*\*/", lambda m, rng: None),
    "comment moved": _comment_moved,
    "empty lines at the top": lambda lines, rng: [lines[0], *[""] * rng.randrange(1, 4),
                                                  *lines[1:]],
    "macro added": _insert(lambda rng: f"#define KV_MACRO{rng.randrange(1000)} 42"),
    "macro value": _matching(NUMBER, lambda m, rng: f"{m[1]}({m[2]} + 1){m[3]}"),
    "macro removed": _matching(NUMBER, lambda m, rng: None),
    "macro renamed": _matching(r"#define (\w+)(\s+.*[^\\])",
                               lambda m, rng: f"#define {m[1]}_KV{m[2]}"),
    "inline function added": _insert(
        lambda rng: f"static inline int kv_new{rng.randrange(1000)}(int a)\n"
                    "{\n\treturn a + 1;\n}"),
    "inline function copied": _function(_again),
    "inline function removed": _function(lambda block, rng: []),
    "inline body": _function(lambda block, rng: [*block[:2], '\tasm volatile("nop");',
                                                 *block[2:]]),
    "inline body, longer by a line": _function(lambda block, rng: [*block[:2], "", *block[2:]]),
    "declaration under a condition": _function(_wrapped),
    "condition changed": _matching(r"#ifdef (CONFIG_\w+)(.*)", lambda m, rng: rng.choice(
        [f"#ifndef {m[1]}{m[2]}", f"#if defined({m[1]}) && defined(CONFIG_KVTOOLS_NONE)"])),
    "struct field added": _in_struct,
    "struct fields swapped": _swap_fields,
    "enum value added": _in_enum,
    "prototype added": _insert(lambda rng: f"extern int kv_proto{rng.randrange(1000)}(void);"),
    "prototype removed": _matching(r"(?:extern )?\w[\w *]*\w+\([^()]*\);", lambda m, rng: None),
    "prototype changed": _matching(r"((?:extern )?int \w+)\(void\);",
                                   lambda m, rng: f"{m[1]}(int kv);"),
    "macro call copied": _matching(r"([A-Z_]+)\((\w+)(, .*\);?|\);?)", _call_again),
    "include added": _matching(r"#include <linux/types.h>",
                               lambda m, rng: f"{m[0]}\n#include <linux/prefetch.h>"),
}


@dataclass
class Result:
    """``wrong`` are kept objects that came out different: there must be none. ``breaking``: edits
    with which kept units do not compile, nor one of those that are made: the build fails."""

    edits: int = 0
    decided: int = 0
    dependents: int = 0
    kept: int = 0
    compiled: int = 0
    breaking: int = 0
    seconds: float = 0.0
    deciding: float = 0.0
    wrong: list[dict[str, str]] = field(default_factory=list)
    by_kind: dict[str, dict[str, int]] = field(default_factory=dict)
    left: Counter[str] = field(default_factory=Counter)


class Bench:
    """A built tree of its own and what is read from it once."""

    def __init__(self, source: Path, objects: Path, jobs: int, seed: int) -> None:
        self.source, self.objects, self.jobs = source, objects, jobs
        self.rng = random.Random(seed)
        # An object of a patch that is not applied now may still lie there.
        self.made = tuple(p for p in products(objects) if Path(p.source).is_file())
        self.by_target = {p.target: p for p in self.made}
        text = (objects / "include/generated/autoconf.h").read_text()
        self.symbols = parse_autoconf(text)
        counts = Counter(d for p in self.made for d in p.deps if d.endswith(".h"))
        root = str(source.absolute()) + "/"
        self.headers = sorted((h, n) for h, n in counts.items()
                              if h.startswith((f"{root}include/", f"{root}arch/"))
                              and "/uapi/" not in h and n > 5)

    def edit(self, kind: str) -> tuple[Path, str, str] | None:
        """A header that fits, its text and the edited text."""
        for _ in range(60):
            # Headers that many read are what matters: by the square root of the readers.
            (path, _), = self.rng.choices(self.headers, [n ** 0.5 for _, n in self.headers])
            text = Path(path).read_text("utf-8", "surrogateescape")
            edited = EDITS[kind](text.split("\n"), self.rng)
            if edited and "\n".join(edited) != text:
                return Path(path), text, "\n".join(edited)
        return None

    def decide(self, path: Path, before: str) -> Decision:
        check = partial(check_alone, objects=self.objects, env=make.FIXED_ENV, jobs=self.jobs)
        return decide({str(path): before}, self.made, self.symbols, ("gcc",), check, frozenset())

    def chosen(self, decision: Decision, before: str, after: str, count: int) -> list[Product]:
        """Kept units to compile: at random, and those that look most concerned."""
        kept = sorted(decision.spare)
        old, new = before.split("\n"), after.split("\n")
        words = re.compile(r"[A-Za-z_]\w{3,}")
        lines = set(old).symmetric_difference(new)
        near = {w for line in lines for w in words.findall(line)}
        some = self.rng.sample(kept, min(len(kept), max(200, count)))

        def concern(target: str) -> int:
            text = Path(self.by_target[target].source).read_text("utf-8", "replace")
            return len(near & set(words.findall(text)))

        close = sorted(some, key=concern, reverse=True)[:(count + 1) // 2]
        other = self.rng.sample(kept, min(len(kept), count // 2))
        return [self.by_target[t] for t in dict.fromkeys([*close, *other])]

    def wrong(self, product: Product) -> str:
        try:
            now = remake(product, self.objects, make.FIXED_ENV)
        except ToolFailed as error:
            return f"{BREAKS}: {error}"
        return "" if now == (self.objects / product.target).read_bytes() else "comes out different"

    def breaks(self, decision: Decision) -> bool:
        """Whether a unit that would be made does not compile: then the build fails in any case."""
        targets = sorted(decision.rebuild & self.by_target.keys(),
                         key=lambda t: decision.reasons[t].startswith("no plain"))
        return any(self.wrong(self.by_target[t]).startswith(BREAKS) for t in targets)

    def run(self, edits: int, count: int, say: Callable[[str], None]) -> Result:
        result = Result()
        begun = time.monotonic()
        kinds = list(EDITS)
        while result.edits < edits:
            kind = kinds[result.edits % len(kinds)]
            found = self.edit(kind)
            if found is None:
                kinds.remove(kind)
                continue
            path, before, after = found
            age = path.stat()
            path.write_text(after, "utf-8", "surrogateescape")
            try:
                self._one(kind, path, before, after, count, result, say)
            finally:
                path.write_text(before, "utf-8", "surrogateescape")
                os.utime(path, ns=(age.st_atime_ns, age.st_mtime_ns))
        result.seconds = time.monotonic() - begun
        return result

    def _one(self, kind: str, path: Path, before: str, after: str, count: int, result: Result,
             say: Callable[[str], None]) -> None:
        begun = time.monotonic()
        decision = self.decide(path, before)
        took = time.monotonic() - begun
        dependents = sum(1 for p in self.made if str(path) in p.deps)
        chosen = self.chosen(decision, before, after, count) if decision.spare else []
        with ThreadPoolExecutor(self.jobs) as pool:
            said = list(pool.map(self.wrong, chosen))
        wrong = [(p.target, why) for p, why in zip(chosen, said, strict=True) if why]
        if wrong and all(why.startswith(BREAKS) for _, why in wrong) and self.breaks(decision):
            result.breaking += 1
            wrong = []
        result.edits += 1
        result.deciding += took
        result.decided += bool(decision.decided)
        result.dependents += dependents
        result.kept += len(decision.spare)
        result.compiled += len(chosen)
        name = path.relative_to(self.source.absolute())
        for target, why in wrong:
            result.wrong.append({"kind": kind, "header": str(name), "target": target, "why": why,
                                 "before": before, "after": after})
        of_kind = result.by_kind.setdefault(kind, Counter())
        of_kind["edits"] += 1
        of_kind["dependents"] += dependents
        of_kind["kept"] += len(decision.spare)
        for why in decision.left.values():
            result.left[re.sub(r"\S*/|:\d+|\d+", "", why.partition(": ")[2])[:60]] += 1
        note = next(iter(decision.left.values()), "").rpartition("/")[2]
        say(f"{result.edits:4} {kind:30} {name!s:45} {dependents:5} read it, "
            f"{len(decision.spare):5} kept, {len(chosen)} compiled, {len(wrong)} wrong "
            f"({took:.1f} s) {note[:90]}")


def built(base_name: str | None, config_name: str, jobs: int) -> tuple[bases.Lease, Path]:
    """The leased worktree of the base with its objects built; raises SystemExit."""
    root = paths.data()
    base = bases.prepare(base_name)
    config = configs.load(config_name, root)
    chain = toolchain.probe(config.arch, root)
    name = re.sub(r"[^A-Za-z0-9.]", "-", base.name).lstrip(".-")
    lease = bases.lease(base, f"run-{name}").__enter__()  # held until the program ends
    git.checkout(lease.source, base.commit)
    objects = lease.objects / f"{config.name}-{chain.digest[:12]}"
    out = lease.objects / "benchmark"
    out.mkdir(exist_ok=True)
    outcome = build.run(build.BuildRequest(lease.source, objects, config, chain, jobs, {},
                                           build.DEADLINE, out))
    if outcome.status is not Status.PASS:
        raise SystemExit(f"the base does not build: {outcome.summary}")
    return lease, objects


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--compile", type=int, default=6, help="kept units to compile per edit")
    parser.add_argument("--base", help="a base of kbuild/bases (default: debian-6.1)")
    parser.add_argument("--config", default="guest")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    lease, objects = built(arguments.base, arguments.config, arguments.jobs)
    bench = Bench(lease.source, objects, arguments.jobs, arguments.seed)
    result = bench.run(arguments.edits, arguments.compile, partial(print, flush=True))
    print(f"seed {arguments.seed}: {result.edits} edits, {result.decided} decided, "
          f"{result.kept} of {result.dependents} dependents kept "
          f"({result.kept / max(result.dependents, 1):.0%}), {result.compiled} of them compiled, "
          f"{result.breaking} builds broken either way, wrong reuse {len(result.wrong)}; "
          f"{result.seconds:.0f} s, "
          f"{result.deciding / max(result.edits, 1):.1f} s to decide")
    for kind, counts in result.by_kind.items():
        print(f"  {kind:32} {counts['edits']:3} edits, kept {counts['kept']:6} "
              f"of {counts['dependents']}")
    for why, number in result.left.most_common(12):
        print(f"  left to make {number:3}: {why}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(vars(result), indent=1))
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
