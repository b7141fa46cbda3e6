#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A series built and booted patch by patch: kvtools, ktest.pl, and the loop in a shell.

    ./kv --help >/dev/null && .venv/bin/python benchmarks/loops.py [--patches 1,2,3] [--json FILE]

All three build the base and then the first N patches of a series in one go, incrementally,
with the same .config, make's -j, toolchain and guest (vng, 512 MiB, two CPUs), and boot each
kernel to user space; nothing is taken from an earlier run. ktest.pl is the one of the tree, in
PATCHCHECK mode, without its pauses of a minute and without the boot of a good kernel in between,
which a guest does not need; it wants diffstat. The shell loop is ``git rebase --exec`` with make
and vng. What is fetched, unpacked or checked out before is not counted. Prints one JSON object
with the seconds of each and the ratio to kvtools; exits 1 when one of them did not boot every
kernel.

    --series DIR        default patches/virtio-mem
    --patches N[,N...]  how many of its first patches (default 5); more than it has: each
                        further one adds a function to a file of mm/
    --ways NAME[,...]   kvtools, ktest, shell (default all); kvtools goes first
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from runs import ROOT, kvtools

WHO = ("-c", "user.name=kvtools benchmark", "-c", "user.email=kvtools@example.org")
LIMIT = 4 * 3600.0
UP = "kv-benchmark-up"
UNITS = ("fadvise", "filemap", "interval_tree", "list_lru", "maccess", "mempool", "mincore",
         "mlock", "mmap", "mprotect", "mremap", "oom_kill", "readahead", "rmap", "swap",
         "truncate", "vmstat")
"""Files of mm/ that every kernel with an MMU is made of."""
KTEST = """\
MACHINE = guest
SSH_USER = root
SSH_EXEC = true
NO_INSTALL = 1
BUILD_DIR = {tree}
OUTPUT_DIR = {objects}
BUILD_TARGET = arch/x86/boot/bzImage
TARGET_IMAGE = {work}/unused
LOCALVERSION = -test
BUILD_NOCLEAN = 1
BUILD_OPTIONS = -j{jobs} bzImage
MIN_CONFIG = {config}
BUILD_TYPE = useconfig:{config}
LOG_FILE = {work}/ktest.log
CLEAR_LOG = 1
CONSOLE = tail -n 0 -F {console}
POWER_CYCLE = true
REBOOT = true
REBOOT_TYPE = script
REBOOT_SCRIPT = {start}
SLEEP_TIME = 0
PATCHCHECK_SLEEP_TIME = 0
IGNORE_WARNINGS = {first}
REBOOT_ON_SUCCESS = 0
POWEROFF_ON_SUCCESS = 0
POWER_OFF = {stop}
DIE_ON_FAILURE = 1
SUCCESS_LINE = {up}
BOOTED_TIMEOUT = 1
TIMEOUT = 300
TEST_START
TEST_TYPE = patchcheck
PATCHCHECK_TYPE = boot
PATCHCHECK_START = {first}
PATCHCHECK_END = {last}
CHECKOUT = {last}
"""
START = """\
#!/bin/sh
{stop}
setsid sh -c {boot} > /dev/null 2>&1 < /dev/null &
echo $! > {pid}
"""
STOP = """\
#!/bin/sh
test -s {pid} && kill -KILL -- -$(cat {pid}) 2>/dev/null
rm -f {pid}
"""

EDITOR = """\
#!/bin/sh
{{ printf '%s\\n' {first}; cat "$1"; }} > "$1.new" && mv "$1.new" "$1"
"""


@dataclass(frozen=True)
class Job:
    """A tree with the series on its branch, and what all three ways share."""

    work: Path
    tree: Path
    base: str
    tip: str
    count: int
    jobs: int

    @property
    def config(self) -> Path:
        """The .config that kvtools built the base with: it goes first."""
        found = (self.work.parent / "home/state").rglob("config")
        return next(path for path in found if path.is_file())

    def vng(self, image: Path, console: Path) -> str:
        accel = "" if _kvm() else "--disable-kvm "
        # Through a pipe: QEMU opens what is its standard output anew, and empties a file.
        return (f"timeout 300 vng --run {image} {accel}--disable-microvm --force-9p --skip-modules "
                f"--memory 512 --cpus 2 --verbose --cwd / --exec 'echo {UP} > /dev/kmsg' "
                f"2>&1 < /dev/null | cat >> {console}")


@dataclass(frozen=True)
class Way:
    """Kernels that came up, the seconds for all of them, and what that took.

    ``ended`` are the seconds until each was built and had been booted, the base's first;
    ``builds`` those of each build, where they can be told apart; ``gib`` is the most memory
    in use at one time, less that in use before.
    """

    booted: int
    seconds: float
    ended: list[float]
    builds: list[float] = field(default_factory=list)
    gib: float = 0.0


class Memory:
    """The machine's available memory, looked at every half second from a thread."""

    def __enter__(self) -> Memory:
        self._least = self._before = self._available()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        self._thread.join()

    def gib(self) -> float:
        return round((self._before - self._least) / 2**20, 2)

    def _look(self) -> None:
        while not self._end.wait(0.5):
            self._least = min(self._least, self._available())

    @staticmethod
    def _available() -> int:
        found = re.search(r"^MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(),
                          re.MULTILINE)
        assert found
        return int(found[1])


def main() -> int:
    arguments = _arguments()
    if "ktest" in arguments.ways and not shutil.which("diffstat"):
        sys.exit("ktest.pl needs diffstat: apt install diffstat")
    results, good = [], True
    with tempfile.TemporaryDirectory(prefix="loops-") as directory:
        work = Path(directory)
        repo, base = _prepared(work)
        for count in arguments.patches:
            job = _job(work / str(count), repo, base, arguments, count)
            ways = {}
            for name in arguments.ways:
                with Memory() as memory:
                    taken = WAYS[name](job, arguments)
                ways[name] = replace(taken, gib=memory.gib())
                print(json.dumps({name: asdict(ways[name])}), file=sys.stderr)
            good &= all(way.booted == count + 1 for way in ways.values())
            ours = ways["kvtools"].seconds
            results.append({
                "patches": count, "ways": {name: asdict(way) for name, way in ways.items()},
                "kvtools to": {name: round(ours / way.seconds, 3) for name, way in ways.items()},
            })
            print(json.dumps(results[-1]), file=sys.stderr)
    text = json.dumps({"cores": os.cpu_count(), "rows": results}, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    return 0 if good else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--series", type=Path, default=ROOT / "patches/virtio-mem")
    parser.add_argument("--patches", type=lambda text: [int(n) for n in text.split(",")],
                        default=[5], metavar="N[,N...]")
    parser.add_argument("--ways", type=lambda text: text.split(","), default=list(WAYS),
                        metavar="NAME[,...]")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("-j", "--jobs", type=int, default=(os.cpu_count() or 1) + 1)
    return parser.parse_args()


def _with_kvtools(job: Job, arguments: argparse.Namespace) -> Way:
    series, out = job.work / "series", job.work / "run.json"
    _git(job.tree, "format-patch", "-q", "-o", str(series), f"{job.base}..{job.tip}")
    _kvtools(job.work.parent, "test", str(series), "--only", "apply")  # for the worktree
    home = job.work.parent / "home"
    shutil.rmtree(home / "cache/ccache", ignore_errors=True)
    for objects in (home / "cache").glob("bases/*/*/jobs/*/o"):
        shutil.rmtree(objects)
    begun = time.time()
    _kvtools(job.work.parent, "test", str(series), "--only", "boot", "--no-reuse",
             "-j", str(job.jobs), "--json", str(out))
    run = json.loads(out.read_text())
    boots, builds = ([o for row in run["patches"] for o in row["outcomes"]
                      if o["step"] == step and "subtest_of" not in o["details"]]
                     for step in ("boot", "build"))
    return Way(sum(o["status"] in ("PASS", "WARN") for o in boots),
               round(run["run"]["seconds"], 1),
               [round(Path(o["log"]).stat().st_mtime - begun, 1) for o in boots],
               [round(o["seconds"], 1) for o in builds])


def _with_shell(job: Job, arguments: argparse.Namespace) -> Way:
    objects, log = job.work / "shell-o", job.work / "shell.log"
    objects.mkdir()
    shutil.copy(job.config, objects / ".config")
    make = f"make -C {job.tree} O={objects} LOCALVERSION= -j{job.jobs}"
    image = objects / "arch/x86/boot/bzImage"
    made, ended = (f"date +%s.%N >> {job.work}/shell.{what}" for what in ("made", "ended"))
    step = (f"{make} bzImage >> {log} 2>&1 && {made} && {job.vng(image, log)}; {ended}")
    # The base within the rebase: a checkout of the tip between it and the first patch would
    # touch every header of the series, and have make build everything once more.
    _git(job.tree, "checkout", "-q", "--detach", job.tip)
    editor = job.work / "editor"
    editor.write_text(EDITOR.format(first=shlex.quote(f"exec {step}")))
    editor.chmod(0o755)
    begun = time.time()
    _sh(f"{make} olddefconfig > {log} 2>&1")
    _git(job.tree, *WHO, "-c", f"sequence.editor={editor}", "rebase", "-q", "-i", "--no-ff",
         "--exec", step, job.base)
    taken = round(time.time() - begun, 1)
    made_at, ended_at = (_times(job.work / f"shell.{what}", begun) for what in ("made", "ended"))
    return Way(_ups(log), taken, ended_at,
               [round(end - start, 1)
                for start, end in zip([0.0, *ended_at], made_at, strict=False)])


def _with_ktest(job: Job, arguments: argparse.Namespace) -> Way:
    objects, console = job.work / "ktest-o", job.work / "console.log"
    start, stop, pid = (job.work / name for name in ("start", "stop", "qemu.pid"))
    objects.mkdir()
    console.touch()
    times = job.work / "ktest.ended"
    boot = shlex.quote(f"{job.vng(objects / 'arch/x86/boot/bzImage', console)}; "
                       f"date +%s.%N >> {times}")
    names = {"work": job.work, "tree": job.tree, "objects": objects, "console": console,
             "start": start, "stop": stop, "pid": pid, "jobs": job.jobs, "config": job.config,
             "up": UP, "first": job.base, "last": job.tip, "boot": boot}
    for path, text in ((start, START), (stop, STOP), (job.work / "ktest.conf", KTEST)):
        path.write_text(text.format(**names))
        path.chmod(0o755)
    _git(job.tree, "checkout", "-q", "--detach", job.tip)
    begun = time.time()
    try:
        _quietly(["perl", str(job.tree / "tools/testing/ktest/ktest.pl"),
                  str(job.work / "ktest.conf")], job.work)
    finally:
        subprocess.run([str(stop)], check=False)
    taken = round(time.time() - begun, 1)
    return Way(_ups(console), taken, _times(times, begun))


def _quietly(argv: list[str], directory: Path) -> None:
    """ktest.pl looks at its standard input all the time, and one that has ended keeps it busy:
    with /dev/null it takes half a processor."""
    child = subprocess.Popen(argv, cwd=directory, env=_environment(), stdin=subprocess.PIPE,
                             stdout=sys.stderr, start_new_session=True)
    try:
        child.wait(LIMIT)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)


WAYS: dict[str, Callable[[Job, argparse.Namespace], Way]] = {
    "kvtools": _with_kvtools, "ktest": _with_ktest, "shell": _with_shell,
}


def _times(path: Path, begun: float) -> list[float]:
    if not path.exists():
        return []
    return [round(float(line) - begun, 1) for line in path.read_text().split()]


def _ups(log: Path) -> int:
    """Kernels that came up; the command line of the guest is shown too, and does not count."""
    return len(re.findall(rf"^\[ *[\d.]+\] {UP}", log.read_text("utf-8", "replace"),
                          re.MULTILINE))


def _prepared(work: Path) -> tuple[Path, str]:
    """The repository of the base, and the commit of its baseline."""
    said = _kvtools(work, "base", "prepare", "debian-6.1")
    match = re.search(r" is (\w{40}) in (.+)$", said, re.MULTILINE)
    assert match, said
    return Path(match[2]), match[1]


def _job(work: Path, repo: Path, base: str, arguments: argparse.Namespace, count: int) -> Job:
    work.mkdir()
    tree = work / "tree"
    _sh(f"git clone -q --shared --no-checkout {repo} {tree}")
    _git(tree, "checkout", "-q", "-b", "series", base)
    _git(tree, *WHO, "am", "-q", *map(str, _patches(arguments.series)[:count]))
    for number in range(len(_patches(arguments.series)), count):
        with (tree / f"mm/{UNITS[number % len(UNITS)]}.c").open("a") as file:
            file.write(f"\nint kv_benchmark_{number}(void)\n{{\n\treturn {number};\n}}\n")
        _git(tree, *WHO, "commit", "-qam", f"mm: benchmark {number}")
    tip = subprocess.run(["git", "-C", str(tree), "rev-parse", "HEAD"], check=True, text=True,
                         stdout=subprocess.PIPE).stdout.strip()
    return Job(work, tree, base, tip, count, arguments.jobs)


def _patches(series: Path) -> list[Path]:
    return sorted(p.resolve() for p in series.glob("[0-9]*.patch")
                  if not p.name.startswith("0000"))


def _kvm() -> bool:
    return bool(re.search(r"^ok +acceleration", kvtools("doctor"), re.MULTILINE))


def _environment(**more: str) -> dict[str, str]:
    programs = Path(sys.executable).parent
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", **more}


def _kvtools(work: Path, *words: str) -> str:
    return kvtools(*words, env=_environment(KVTOOLS_HOME=str(work / "home")), timeout=LIMIT)


def _git(tree: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(tree), *words], check=True, env=_environment(),
                   stdout=sys.stderr)


def _sh(line: str) -> None:
    """Run to its end; Ctrl-C takes what it started with it."""
    child = subprocess.Popen(["sh", "-c", line], env=_environment(), start_new_session=True)
    try:
        if child.wait(LIMIT):
            sys.exit(f"status {child.returncode}: {line}")
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
