# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds kernel faults in a console log; pure.

Titles follow syzkaller's convention ("WARNING in online_pages", "KASAN: use-after-free
Read in foo"): they are made of function names and fixed words only, so the same fault
has the same title on another build, another CPU and another day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

EXCERPT_LINES = 60
REPORT_LINES = 400  # how far below its first line a report may still speak


class Kind(StrEnum):
    """What the kernel complained of."""

    PANIC = "panic"
    OOPS = "oops"
    BUG = "bug"
    WARNING = "warning"
    HUNG_TASK = "hung-task"
    LOCKUP = "lockup"
    RCU_STALL = "rcu-stall"
    LOCKDEP = "lockdep"
    SANITIZER = "sanitizer"
    LIST = "list-corruption"
    SYSFS = "sysfs"
    KMEMLEAK = "kmemleak"
    OOM = "oom-kill"
    ALLOCATION = "allocation-failure"


class Severity(StrEnum):
    """FATAL: a context died inside the kernel. SPLAT: a defect, and the kernel went on.

    OOM and ALLOCATION are no defects by themselves: memory ran short.
    """

    FATAL = "fatal"
    SPLAT = "splat"
    OOM = "oom"
    ALLOCATION = "allocation"


@dataclass(frozen=True, slots=True)
class Splat:
    """One fault, with every repetition of it.

    ``line`` is where it first begins (from 1), ``excerpt`` its first lines as they
    stand in the log, ``panicked`` whether the kernel stopped over it.
    """

    kind: Kind
    severity: Severity
    title: str
    line: int
    excerpt: tuple[str, ...]
    panicked: bool = False
    count: int = 1

    @property
    def fatal(self) -> bool:
        return self.severity is Severity.FATAL or self.panicked

    @property
    def fingerprint(self) -> str:
        """The same for the same fault on any run of any build."""
        return f"{self.kind}: {self.title}"


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    context: str
    text: str
    shown: str


@dataclass(frozen=True, slots=True)
class _Rule:
    """``start`` begins a report; ``title`` is filled from its groups and those of ``more``.

    ``where`` names the sources of the function, best first: ``rip``, ``at`` (lockdep's
    list of locks), ``trace``; empty for a title without one. A line that matches a rule
    while a report of a kind in ``within`` is open belongs to that report.
    """

    kind: Kind
    severity: Severity
    start: re.Pattern[str]
    title: str
    where: tuple[str, ...] = ("trace",)
    more: re.Pattern[str] | None = None
    within: tuple[Kind, ...] = ()


_FRAME = r"(?P<func>[A-Za-z_][\w.$]*)\+0x[0-9a-f]+/0x[0-9a-f]+"
_KILLED = (r"(?:Memory cgroup o|O)ut of memory(?: \([^)]*\))?: Killed process \d+ "
           r"\((?P<name>.*?)\)(?=[ ,]|$)")
_NO_VICTIM = "out of memory"
_FATAL, _SPLAT = Severity.FATAL, Severity.SPLAT


def _rule(kind: Kind, severity: Severity, start: str, title: str, where: str = "trace",
          more: str = "", within: Sequence[Kind] = ()) -> _Rule:
    return _Rule(kind, severity, re.compile(start), title, tuple(where.split()),
                 re.compile(more) if more else None, tuple(within))


_RULES = (
    _rule(Kind.PANIC, _FATAL, r"Kernel panic - not syncing: *(?P<text>.*)",
          "Kernel panic: {text}", ""),
    # Memory corruption found by a checker
    _rule(Kind.SANITIZER, _SPLAT, rf"BUG: KASAN: (?P<text>[\w -]+?) in (?:{_FRAME}|.*)",
          "KASAN: {text}{access}", more=r"(?P<access>Read|Write) of size"),
    _rule(Kind.SANITIZER, _SPLAT, rf"BUG: (?P<text>(?:KFENCE|KMSAN): [\w -]+?) in (?:{_FRAME}|.*)",
          "{text}"),
    _rule(Kind.SANITIZER, _SPLAT, r"BUG: KCSAN: (?P<text>[\w -]+?) in (?P<func>[\w.]+)",
          "KCSAN: {text}"),
    _rule(Kind.SANITIZER, _SPLAT, r"UBSAN: (?P<text>[\w -]+) in (?P<file>[^ :]+)",
          "UBSAN: {text}"),
    _rule(Kind.LIST, _SPLAT, r"(?:list_add|list_del|hlist\w*|slist\w*) corruption[.,]",
          "BUG: corrupted list", "trace"),
    # Oopses
    _rule(Kind.OOPS, _FATAL, r"(?:BUG: u|U)nable to handle (?:kernel )?NULL pointer dereference"
          r"|BUG: kernel NULL pointer dereference",
          "BUG: unable to handle kernel NULL pointer dereference", "rip trace"),
    _rule(Kind.OOPS, _FATAL, r"(?:BUG: u|U)nable to handle (?:kernel )?(?:page fault|paging)",
          "BUG: unable to handle kernel paging request", "rip trace"),
    _rule(Kind.OOPS, _FATAL, r"[Kk]ernel BUG at (?P<file>[^ :]+)", "kernel BUG", "rip trace",
          within=(Kind.LIST,)),
    _rule(Kind.OOPS, _FATAL, r"(?P<text>general protection fault|divide error|stack segment|"
          r"double fault|segment not present|invalid TSS|bounds|invalid opcode|int3|"
          r"control protection(?: fault)?|machine check)[:,] .*\[#\d+\]", "{text}", "rip trace",
          within=(Kind.OOPS, Kind.LIST)),
    _rule(Kind.OOPS, _FATAL, r"(?:traps: )?PANIC: double fault", "double fault", "rip trace"),
    _rule(Kind.OOPS, _FATAL, r"BUG: stack guard page was hit", "BUG: stack guard page was hit",
          "rip trace"),
    _rule(Kind.OOPS, _FATAL, r"(?:Internal error: )?Oops(?: - \w+)?: ", "Oops", "rip trace",
          within=(Kind.OOPS, Kind.LIST)),
    # Locking
    _rule(Kind.LOCKDEP, _SPLAT, r"(?:\[ )?(?:WARNING|INFO): possible (?:circular|recursive) "
          r"locking|(?:\[ )?WARNING: possible irq lock inversion|(?:\[ )?WARNING: (?:SOFTIRQ|"
          r"HARDIRQ)\S* -> \S+ lock order detected", "possible deadlock", "at trace"),
    _rule(Kind.LOCKDEP, _SPLAT, r"(?:\[ )?WARNING: inconsistent lock state",
          "inconsistent lock state", "at trace"),
    _rule(Kind.LOCKDEP, _SPLAT, r"(?:\[ )?(?:WARNING|INFO|BUG): (?P<text>suspicious RCU usage|"
          r"held lock freed|bad unlock balance|bad contention|lock held when returning to user"
          r" space|lock held at task exit|locks? still held|Nested lock was not taken|"
          r"Invalid wait context|Nested lock)", "WARNING: {text}"),
    # Stalls
    _rule(Kind.LOCKUP, _SPLAT, r"(?:watchdog: )?BUG: soft lockup", "BUG: soft lockup",
          "rip trace"),
    _rule(Kind.LOCKUP, _FATAL, r"(?:NMI watchdog: |watchdog: )?Watchdog detected hard LOCKUP",
          "BUG: hard lockup", "rip trace"),
    _rule(Kind.LOCKUP, _SPLAT, r"BUG: workqueue lockup", "BUG: workqueue lockup", ""),
    _rule(Kind.HUNG_TASK, _SPLAT, r"INFO: task .+ blocked (?:in I/O wait )?for more than \d+ sec",
          "INFO: task hung"),
    _rule(Kind.RCU_STALL, _SPLAT, r"(?:rcu: )?INFO: rcu_\w+ (?:self-)?detected (?:expedited )?"
          r"stall", "INFO: rcu detected stall", "rip trace"),
    # Warnings
    _rule(Kind.WARNING, _SPLAT, rf"WARNING: CPU: \d+ PID: \d+ at (?P<file>[^ :]+):\d+ {_FRAME}",
          "WARNING", within=(Kind.LIST,)),
    _rule(Kind.WARNING, _SPLAT, rf"WARNING: (?P<file>[^ :]+):\d+ at {_FRAME}", "WARNING",
          within=(Kind.LIST,)),
    _rule(Kind.WARNING, _SPLAT, r"WARNING: CPU: \d+ PID: \d+ at ", "WARNING", "rip trace"),
    _rule(Kind.SYSFS, _SPLAT, r"sysfs: cannot create duplicate filename",
          "sysfs: cannot create duplicate filename"),
    _rule(Kind.KMEMLEAK, _SPLAT, r"kmemleak: \d+ new suspected memory leaks",
          "kmemleak: new suspected memory leaks", ""),
    # Memory
    _rule(Kind.OOM, Severity.OOM, r".+ invoked oom-killer: ", _NO_VICTIM, "", more=_KILLED),
    _rule(Kind.OOM, Severity.OOM, r"oom-kill:.*,task=(?P<name>.*),pid=", _NO_VICTIM, "",
          within=(Kind.OOM,)),
    _rule(Kind.OOM, Severity.OOM, _KILLED, _NO_VICTIM, "", within=(Kind.OOM,)),
    _rule(Kind.ALLOCATION, Severity.ALLOCATION, r".+: page allocation failure: order:\d+",
          "page allocation failure"),
    # Everything else that calls itself a bug
    _rule(Kind.BUG, _SPLAT, r"BUG: using (?P<text>\w+)\(\) in preemptible .*",
          "BUG: using {text}() in preemptible code", more=rf"caller is {_FRAME}"),
    _rule(Kind.BUG, _SPLAT, r"BUG: (?P<text>Bad page (?:state|map|cache)|Bad rss-counter state|"
          r"sleeping function called from invalid context|scheduling while atomic|"
          r"non-zero pgtables_bytes on freeing mm|memory leak)", "BUG: {text}"),
    _rule(Kind.BUG, _SPLAT, r"BUG (?P<text>[\w:.-]+ \([^)]*\): .*)", "BUG {text}"),
    _rule(Kind.BUG, _SPLAT, r"(?:\[ )?BUG: (?P<text>.+)", "BUG: {text}"),
)
_ANY_START = re.compile("|".join(f"(?:{re.sub(r'[?]P<[a-z]+>', '?:', r.start.pattern)})"
                                 for r in _RULES))

_ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][0-9A-B]|[=>c78])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_STAMP = r"\[ *\d+\.\d{6}\](?:\[ *(?P<context>[TC]\d+)\])? ?"
_PRINTK = re.compile(rf"(?:\w{{3}} +\d+ [\d:]+ \S+ kernel: )?(?:<\d+>)?(?:{_STAMP})?")
_MIDLINE = re.compile(r"(?<=.)(?=(?:<\d+>)?\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? )")
_RIP = re.compile(rf"(?:RIP: (?:0010:)?|(?:pc|PC is at) *:? *){_FRAME}")
_AT = re.compile(rf"\bat: {_FRAME}")
_TRACE = re.compile(rf"\s*(?:\[<[0-9a-f]+>\] *)?(?P<doubt>\? )?{_FRAME}")
_TRACE_HEAD = re.compile(r"\s*(?:Call Trace:|Call trace:|stack backtrace:)")
_END = re.compile(r"---\[ end |={40,}$")
_CUT_HERE = re.compile(r"-+\[ cut here \]-+$")
_BOOT = re.compile(r"Linux version \d+\.\d+")
# A panic that only says that something reported before was bad enough to stop.
_CONSEQUENCE = re.compile(r"Fatal exception|panic_on_|.*panic_on_\w+ set|Attempted to kill (?:init|"
                          r"the idle)|softlockup: hung tasks|hung_task: blocked|RCU Stall|"
                          r"Hard LOCKUP|Aiee|.*: panic_on_warn set")
_OUT_OF_MEMORY = re.compile(r"(?:System is deadlocked on|Out of) memory|.*panic_on_oom")
_VARYING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+")
_SUFFIX = re.compile(r"(?:\.(?:isra|constprop|part|cold|llvm|lto_priv)(?:\.\d+)*)+$|\.\d+$")
# Functions that report, allocate, copy or wait on behalf of the one at fault.
_PLUMBING = re.compile(r"""(?x)^(?:
    dump_stack\w* | show_stack\w* | dump_header | dump_page | __?warn\w* | warn_\w+ | report_\w+
  | __?report_bug | print_\w+ | panic | oops_\w+ | die\w* | no_context | bad_page\w* | bad_area\w*
  | (?:__)?(?:kasan|asan|ubsan|kcsan|kmsan|msan|kfence|tsan|hwasan)_\w+ | check_memory_region\w*
  | refcount_\w+ | __refcount\w+ | (?:__)?h?list_(?:add|del)\w* | __list_\w+ | lockdep_\w+
  | (?:__)?lock_(?:acquire|release|acquired)\w* | check_\w*lock\w* | __?_?might_\w+
  | check_(?:preemption_disabled|noncircular|prev_add\w*) | validate_chain | mark_lock\w*
  | debug_smp_processor_id | __this_cpu_preempt_check | debug_\w+ | __schedule\w* | schedule\w*
  | preempt_schedule\w* | io_schedule\w* | __?_?cond_resched\w* | (?:do_)?wait_for_\w+ | __wait_\w+
  | __bit_wait\w* | bit_wait\w* | out_of_line_wait\w* | folio_wait_\w+
  | (?:__)?(?:mutex|rwsem|rwlock|rt_mutex|percpu_\w+|down|up)_\w+ | __?down\w* | down_\w+
  | (?:do_|__)?_?raw_(?:spin|read|write)_\w+ | queued_spin\w* | native_queued\w* | _?spin_\w+
  | (?:__)?mem(?:cpy|set|move|cmp|chr)\w* | (?:__)?str[nlrc]?(?:len|cpy|cat|cmp|str|chr)\w*
  | k[vz]?free\w* | __?kfree\w* | kmem_cache_\w+ | __kmem_cache\w* | (?:__)?k[vzm]*alloc\w*
  | slab_\w+ | ___slab_\w+ | __slab_\w+ | new_slab | object_err | check_object | (?:__)?alloc_\w+
  | get_page_from_freelist | (?:__)?free_(?:one_page|pages?|unref)\w* | free_pcp\w* | oom_kill\w*
  | out_of_memory | sysfs_\w+ | kernfs_\w+ | kobject_\w+ | asm_\w+ | exc_\w+ | do_error_trap
  | rcu_\w+ | nmi_\w+ | (?:arch_)?trigger_\w+ | sched_show_task | show_regs\w* | irq_exit\w*
  | (?:sys|\w*sysvec)_\w*apic\w* | update_process_times | tick_\w+ | (?:__)?hrtimer_\w+
  | ret_from_fork\w* | page_fault_oops | handle_bug | do_trap | copy_(?:from|to)_user\w*
  | _?_?(?:usercopy_abort|check_object_size|check_heap_object)
)$""")


def parse(log: str | bytes) -> tuple[Splat, ...]:
    """The faults in a console log, in the order in which they first came.

    ``log`` is what came over the console: printk timestamps, caller ids, level
    prefixes, CR-LF, escape sequences, other programs' output and bytes that are no
    UTF-8 are all expected. An oops and the panic it caused are one splat with the
    oops's title; whatever a kernel prints after its panic does not count.
    """
    lines = tuple(_lines(log))
    starts = list(_starts(lines))
    found: list[Splat] = []
    ends = [*(index for index, _, _ in starts), len(lines)][1:]
    for (index, rule, match), following in zip(starts, ends, strict=True):
        splat = _splat(lines, index, following, rule, match)
        if rule.kind is not Kind.PANIC or not _merge_panic(found, splat):
            found.append(splat)
    merged: dict[str, Splat] = {}
    for splat in found:
        known = merged.get(splat.fingerprint)
        merged[splat.fingerprint] = splat if known is None else replace(
            known, count=known.count + 1, panicked=known.panicked or splat.panicked)
    return tuple(merged.values())


def _lines(log: str | bytes) -> Iterator[_Line]:
    text = log.decode("utf-8", "replace") if isinstance(log, bytes) else log
    for number, raw in enumerate(text.split("\n"), 1):
        shown = _CONTROL.sub("", _ANSI.sub("", raw))
        # A program's output without a newline may stand before a message of the kernel.
        for part in _MIDLINE.split(shown):
            prefix = _PRINTK.match(part)
            context = prefix["context"] if prefix else None
            yield _Line(number, context or "", part[prefix.end() if prefix else 0:], part)


def _starts(lines: Sequence[_Line]) -> Iterator[tuple[int, _Rule, re.Match[str]]]:
    """Where reports begin: (index, rule, match), without what belongs to an open report."""
    dead, inside, since = False, None, 0
    for index, line in enumerate(lines):
        if _BOOT.match(line.text):
            dead, inside = False, None
        if line.text.startswith("---[ end") or index - since > REPORT_LINES:
            inside = None
        if dead or not _ANY_START.match(line.text):
            continue
        rule, match = next((r, m) for r in _RULES if (m := r.start.match(line.text)))
        if inside is None or inside not in rule.within:
            yield index, rule, match
            inside, since = rule.kind, index
            dead = rule.kind is Kind.PANIC
        if inside is Kind.OOM and "Killed process" in line.text:
            inside = None


def _splat(lines: Sequence[_Line], index: int, following: int, rule: _Rule,
           match: re.Match[str]) -> Splat:
    start = lines[index]
    following = min(following, index + REPORT_LINES)
    # A stall is told by one context and its stack by another.
    mixed = not start.context or rule.kind in (Kind.RCU_STALL, Kind.LOCKUP)
    body = [line for line in lines[index:following] if mixed or line.context == start.context]
    before = _heading(lines, index)
    groups = {key: value for key, value in match.groupdict().items() if value}
    told = -1
    if rule.more:
        for at, line in enumerate(body):
            if more := rule.more.match(line.text):
                groups.update(more.groupdict())
                told = at
                break
    shown = [line.shown for line in (*before, *body[: _extent(body)])][:EXCERPT_LINES]
    if told >= len(shown):
        shown[-1] = body[told].shown
    return Splat(rule.kind, rule.severity, _title(rule, groups, body),
                 before[0].number if before else start.number, tuple(shown),
                 panicked=rule.kind is Kind.PANIC)


def _heading(lines: Sequence[_Line], index: int) -> Sequence[_Line]:
    """The lines above that belong to the report: from ``cut here`` on, or its ruler."""
    for back in range(index - 1, max(index - 8, -1), -1):
        if lines[back].text.startswith("---[ end"):
            break
        if _CUT_HERE.match(lines[back].text):
            return [line for line in lines[back:index] if line.context == lines[index].context]
    above = lines[max(index - 1, 0):index]
    return above if above and re.match("={20,}$", above[0].text) else ()


def _extent(body: Sequence[_Line]) -> int:
    """How many lines of ``body`` to show: to its end mark, else to the end of its stack."""
    stack = 0
    for at, line in enumerate(body[:EXCERPT_LINES]):
        if at > 1 and _END.match(line.text.strip()):
            return at + 1
        if line.text.strip() == "</TASK>" and not stack:
            stack = at + 1
    return stack or EXCERPT_LINES


def _title(rule: _Rule, groups: dict[str, str], body: Sequence[_Line]) -> str:
    if rule.kind is Kind.OOM and "name" in groups:
        return f"OOM kill of {groups['name']}"
    title, own = rule.title, groups.get("func", "")
    if rule.kind is Kind.WARNING and own.startswith("refcount_"):
        title = "WARNING: refcount bug"
    access = f" {groups['access']}" if "access" in groups else ""
    text = " ".join(_VARYING.sub("N", groups.get("text", "")).split())
    title = title.format(text=text, access=access)
    if not rule.where:
        return title
    function = _function([own, *(f for source in rule.where for f in _functions(source, body))])
    place = function or groups.get("file", "")
    return f"{title} in {place}" if place else title


def _function(names: Sequence[str]) -> str:
    """The first function that is not just a messenger, else the first."""
    clean = [_SUFFIX.sub("", name) for name in names if name]
    return next((name for name in clean if not _PLUMBING.match(name)), clean[0] if clean else "")


def _functions(source: str, body: Sequence[_Line]) -> Iterator[str]:
    pattern = {"rip": _RIP, "at": _AT, "trace": _TRACE}[source]
    trace = 0
    if source == "trace":
        trace = next((at for at, line in enumerate(body) if _TRACE_HEAD.match(line.text)), 0)
    for line in body[trace:]:
        found = pattern.match(line.text) if source == "trace" else pattern.search(line.text)
        if found and not found.groupdict().get("doubt"):
            yield found["func"]


def _merge_panic(found: list[Splat], panic: Splat) -> bool:
    """Whether ``panic`` only ends a report before it, which is then marked so."""
    text = panic.title.removeprefix("Kernel panic: ")
    last = found[-1] if found else None
    if last is None:
        return False
    if _OUT_OF_MEMORY.match(text) and last.title == _NO_VICTIM:
        found.pop()
        return False
    near = panic.line - last.line < REPORT_LINES
    if not near or last.kind in (Kind.OOM, Kind.ALLOCATION, Kind.PANIC):
        return False
    if not _CONSEQUENCE.match(text) or ("kill" in text and last.kind is not Kind.OOPS):
        return False
    found[-1] = replace(last, panicked=True)
    return True
