# SPDX-License-Identifier: GPL-2.0-or-later
"""Bisections of a real kernel with a planted bug: is the answer right, and what did it cost.

    python benchmarks/bisect_kernel.py commits [--commits 64] [--bad 41] [--rate 100] [--kill [90]]
    python benchmarks/bisect_kernel.py config [--symbols 300]
    python benchmarks/bisect_kernel.py kinds

``commits`` puts 64 small patches on the untouched 6.1 tree, each with code of its own in another
file; one of them also makes the virtio-mem driver unplug half of what it is asked for, in
``--rate`` percent of all boots. ``kvtools bisect --check selftest:vmem.resize`` has to name it.
With ``--kill SECONDS`` a QEMU is killed at random moments all the while, that far apart on the
average. Five trials of a commit that are lost in a row end a bisection without an answer.

``config`` makes one driver of many panic when it is built in, and has ``kvtools config bisect``
find its symbol among those that differ between a good and a bad config.

``kinds`` plants one bug for each kind of check that needs a guest, in the third of four
commits, and bisects each with its check: a panic, a WARN, a slow boot, a line of the log that
a command looks for, a number that is missing in VMCOREINFO.

Prints one JSON object; exits 1 when the answer is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WHO = ("kvtools benchmark", "kvtools@example.org")
FILES = {
    "mm": "compaction debug filemap gup interval_tree list_lru madvise memory memory_hotplug "
          "migrate mincore mlock mmap mprotect mremap msync oom_kill page-writeback page_alloc "
          "percpu readahead rmap shmem swap truncate util vmalloc vmscan vmstat workingset",
    "fs": "attr char_dev d_path dcache exec fcntl file file_table filesystems fs-writeback inode "
          "ioctl libfs namei namespace open pipe pnode read_write readdir select seq_file splice "
          "stat statfs super sync utimes xattr",
    "kernel": "async cpu exit fork kthread notifier nsproxy panic params pid reboot resource "
              "signal softirq sys workqueue",
}
STEP = """
#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/printk.h>
static int __init kv_step_{number}(void)
{{
	pr_debug("kv: step {number}\\n");
	return jiffies == {number};
}}
late_initcall(kv_step_{number});
"""
DRIVER = "drivers/virtio/virtio_mem.c"
PLACE = "\t\t\tdiff = vm->plugged_size - vm->requested_size;\n"
BUG = """\t\t\tif (kv_shows < 0)
\t\t\t\tkv_shows = get_random_u32() % 100 < {rate};
\t\t\tif (kv_shows)
\t\t\t\tdiff = ALIGN_DOWN(diff / 2, vm->device_block_size);
"""
FAMILIES = ("drivers/hwmon", "drivers/rtc", "drivers/leds", "fs/nls", "drivers/regulator",
            "drivers/input/touchscreen", "drivers/input/keyboard")
MENUS = ("I2C", "HWMON", "RTC_CLASS", "NEW_LEDS", "LEDS_CLASS", "NLS", "REGULATOR", "INPUT",
         "INPUT_TOUCHSCREEN", "INPUT_KEYBOARD", "SPI", "SPI_MASTER")
GUILTY = ("NLS_KOI8_R", "fs/nls/nls_koi8-r.c", "init_nls_koi8_r(void)\n{\n")

LATE = """
#include <linux/delay.h>
#include <linux/init.h>
#include <linux/kernel.h>
static int __init kv_planted(void)
{{
	{statement}
	return 0;
}}
late_initcall(kv_planted);
"""
KINDS = {
    "boot": 'panic("kv: planted");',
    "splat:WARNING in kv_planted": "WARN_ON(1);",
    "time:boot>1.5": "mdelay(6000);",
    "cmd:! dmesg | grep -q 'kv: planted'": 'pr_notice("kv: planted\\n");',
    "dump:vmcoreinfo": "",
}
CRASH_CORE = "kernel/crash_core.c"
NUMBER = "\tVMCOREINFO_NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE);\n"


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        tree = _clone(work / "tree")
        begun = time.monotonic()
        ways = {"commits": _commits, "config": _config, "kinds": _kinds}
        result = ways[arguments.what](arguments, tree, work)
        result |= {"what": arguments.what, "seconds": round(time.monotonic() - begun, 1)}
    print(json.dumps(result, indent=1))
    return 0 if result["right"] else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("commits", "config", "kinds"))
    parser.add_argument("--commits", type=int, default=64, metavar="N")
    parser.add_argument("--bad", type=int, default=41, metavar="K", help="the one with the bug")
    parser.add_argument("--rate", type=int, default=100, metavar="PERCENT")
    parser.add_argument("--flaky", default="auto", help="as for kvtools bisect")
    parser.add_argument("--kill", type=float, nargs="?", const=90.0, metavar="SECONDS",
                        help="kill a QEMU at random moments, so far apart (default: 90)")
    parser.add_argument("--symbols", type=int, default=300, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _commits(arguments: argparse.Namespace, tree: Path, work: Path) -> dict[str, object]:
    places = [f"{top}/{name}.c" for top, names in FILES.items() for name in names.split()]
    random.Random(arguments.seed).shuffle(places)
    subjects = []
    for number, place in enumerate(places[: arguments.commits], 1):
        _append(tree / place, STEP.format(number=number))
        if number == arguments.bad:
            _plant(tree / DRIVER, arguments.rate)
        subjects.append(f"{Path(place).parent}: step {number}")
        _commit(tree, subjects[-1])
    series = work / "series"
    _git(tree, "format-patch", "-q", "-o", str(series), f"-{len(subjects)}")
    found, killed = _kvtools(work, ["bisect", str(series), "--base", "oracle", "--check",
                                    "selftest:vmem.resize", "--fresh", "--flaky",
                                    arguments.flaky],
                             arguments.kill, arguments.seed)
    first = [one["subject"] for one in found["first"]]
    return {
        "right": first == [subjects[arguments.bad - 1]], "named": first,
        "rate": arguments.rate, "commits": len(subjects), "confidence": found["confidence"],
        "trials": len(found["trials"]), "killed": killed,
        "errors": sum(t["answer"] == "error" for t in found["trials"]),
        "tried": len({t["commit"] for t in found["trials"]}),
    }


def _kinds(arguments: argparse.Namespace, tree: Path, work: Path) -> dict[str, object]:
    """Every kind of check that needs a guest, each on four commits of which the third is bad."""
    base = _run(["git", "-C", str(tree), "rev-parse", "HEAD"]).strip()
    asked: dict[str, object] = {}
    right = True
    for number, (check, statement) in enumerate(KINDS.items()):
        _git(tree, "checkout", "-q", "--detach", base)
        subjects = []
        for step, place in enumerate(("mm/gup.c", "fs/attr.c", "kernel/panic.c", "mm/mlock.c"), 1):
            if step != 3:
                _append(tree / place, STEP.format(number=step))
            elif statement:
                _append(tree / place, LATE.format(statement=statement))
            else:
                text = (tree / CRASH_CORE).read_text()
                assert NUMBER in text, CRASH_CORE
                (tree / CRASH_CORE).write_text(text.replace(NUMBER, ""))
            subjects.append(f"kinds: step {step}")
            _commit(tree, subjects[-1])
        series = work / f"series-{number}"
        _git(tree, "format-patch", "-q", "-o", str(series), "-4")
        found, _ = _kvtools(work, ["bisect", str(series), "--base", "oracle", "--check", check,
                                   "--fresh"])
        first = [one["subject"] for one in found["first"]]
        right &= first == [subjects[2]]
        asked[check] = {"named": first, "confidence": found["confidence"],
                        "trials": len(found["trials"]), "reverted": found["reverted"]}
    return {"right": right, "asked": asked}


def _plant(path: Path, rate: int) -> None:
    text = path.read_text()
    assert PLACE in text, f"{path.name} is not the driver this was written for"
    text = text.replace(PLACE, PLACE + BUG.format(rate=rate))
    head = "static void virtio_mem_run_wq("
    path.write_text(text.replace(head, f"static int kv_shows = -1;\n\n{head}", 1))


def _config(arguments: argparse.Namespace, tree: Path, work: Path) -> dict[str, object]:
    symbol, file, place = GUILTY
    text = (tree / file).read_text()
    assert place in text, file
    (tree / file).write_text(text.replace(place, f'{place}\tpanic("kv: planted");\n'))
    _commit(tree, "nls: panic when built in")
    symbols = _symbols(tree, arguments.symbols, random.Random(arguments.seed))
    bad, good = work / "bad.config", work / "good.config"
    menus = "".join(f"# optional: a menu\nCONFIG_{name}=y\n\n" for name in MENUS)
    good.write_text(menus)
    lines = "".join(f"# optional: dependencies decide\nCONFIG_{name}=y\n\n" for name in symbols)
    bad.write_text(f"{menus}{lines}")
    found, _ = _kvtools(work, ["config", "bisect", str(good), str(bad), "--tree", str(tree),
                               "--base", "HEAD", "--check", "boot", "--fresh"])
    named = [one["symbol"] for one in found["symbols"]]
    return {"right": named == [symbol] and found["differ"] >= arguments.symbols,
            "named": named, "differ": found["differ"], "kernels": found["asked"],
            "trials": len(found["trials"])}


def _symbols(tree: Path, count: int, chance: random.Random) -> list[str]:
    """``count`` symbols, and more than as many again: of half the dependencies are missing."""
    names: list[str] = []
    for family in FAMILIES:
        for path in sorted((tree / family).rglob("Kconfig")):
            names += re.findall(r"^config (\w+)\n\ttristate", path.read_text(), re.MULTILINE)
    names = [name for name in dict.fromkeys(names) if name not in (*MENUS, GUILTY[0])]
    chance.shuffle(names)
    chosen = [*names[: count * 9 // 4], GUILTY[0]]
    chance.shuffle(chosen)
    return chosen


def _clone(tree: Path) -> Path:
    said = _run([sys.executable, "-m", "kvtools", "base", "prepare", "oracle"])
    match = re.search(r" is (\w{40}) in (.+)$", said, re.MULTILINE)
    assert match, said
    _run(["git", "clone", "-q", "--shared", "--no-checkout", match[2], str(tree)])
    _git(tree, "checkout", "-q", "--detach", match[1])
    return tree


def _append(path: Path, text: str) -> None:
    with path.open("a") as out:
        out.write(text)


def _commit(tree: Path, subject: str) -> None:
    name, email = WHO
    _git(tree, "-c", f"user.name={name}", "-c", f"user.email={email}", "commit", "-qsam",
         f"{subject}\n\nPlanted by benchmarks/bisect_kernel.py.")


def _git(tree: Path, *words: str) -> None:
    _run(["git", "-C", str(tree), *words])


def _run(words: list[str]) -> str:
    return subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE).stdout


def _kvtools(work: Path, words: list[str], kill: float | None = None,
             seed: int = 0) -> tuple[dict[str, Any], int]:
    """Run kvtools; its progress goes to stderr. Returns its JSON and how many QEMUs were killed."""
    out = work / "result.json"
    child = subprocess.Popen([sys.executable, "-m", "kvtools", *words, "--json", str(out)],
                             cwd=ROOT, stdout=sys.stderr)
    killed: list[int] = []
    ended = threading.Event()
    if kill:
        killer = threading.Thread(target=_kill_now_and_then,
                                  args=(child.pid, kill, random.Random(seed), ended, killed))
        killer.start()
    try:
        child.wait()
    finally:
        ended.set()
        child.terminate() if child.poll() is None else None
    if not out.exists():
        sys.exit(f"kvtools {words[0]} ended with {child.returncode} and left no result")
    return json.loads(out.read_text()), len(killed)


def _kill_now_and_then(pid: int, apart: float, chance: random.Random, ended: threading.Event,
                       killed: list[int]) -> None:
    while not ended.wait(chance.uniform(0.1 * apart, 1.9 * apart)):
        victims = [child for child in _below(pid) if "qemu-system" in _name(child)]
        if victims:
            victim = chance.choice(victims)
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)


def _below(pid: int) -> list[int]:
    """All descendants of a process."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, todo = [], [pid]
    while todo:
        below = parents.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
