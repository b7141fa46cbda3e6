#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A series built and booted patch by patch: kvtools, ktest.pl, and the loop in a shell.

    ./kv --help >/dev/null && .venv/bin/python benchmarks/loops.py [--patches 1,2,3] [--json FILE]

All three build the base and then the first N patches of a series in one go, incrementally,
with the same .config, make's -j, toolchain and guest (vng, 512 MiB, two CPUs), and boot each
kernel to user space; nothing is taken from an earlier run. ktest.pl is the one of the tree,
in PATCHCHECK mode, without its pauses of a minute and without the boot of a good kernel in
between, which a guest does not need; the shell loop is ``git rebase --exec`` with make and
vng. What is fetched, unpacked or checked out before is not counted. Prints one JSON object with
the seconds of each and the ratio to kvtools; exits 1 when one of them did not boot every kernel.
Never run yet.

    --series DIR        default patches/virtio-mem
    --patches N[,N...]  how many of its first patches (default 5)
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
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WHO = ("-c", "user.name=kvtools benchmark", "-c", "user.email=kvtools@example.org")
LIMIT = 4 * 3600.0
UP = "kv-benchmark-up"
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
setsid sh -c {boot} >> {console} 2>&1 < /dev/null &
echo $! > {pid}
"""
STOP = """\
#!/bin/sh
test -s {pid} && kill -KILL -- -$(cat {pid}) 2>/dev/null
rm -f {pid}
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

    def vng(self, image: Path) -> str:
        accel = "" if _kvm() else "--disable-kvm "
        return (f"vng --run {image} {accel}--disable-microvm --force-9p --skip-modules "
                f"--memory 512 --cpus 2 --verbose --cwd / --exec 'echo {UP} > /dev/kmsg'")


@dataclass(frozen=True)
class Way:
    """Kernels that came up, and the seconds for all of them."""

    booted: int
    seconds: float


def main() -> int:
    arguments = _arguments()
    results, good = [], True
    with tempfile.TemporaryDirectory(prefix="loops-") as directory:
        work = Path(directory)
        repo, base = _prepared(work)
        for count in arguments.patches:
            job = _job(work / str(count), repo, base, arguments, count)
            ways = {name: way(job, arguments) for name, way in WAYS.items()}
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
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("-j", "--jobs", type=int, default=(os.cpu_count() or 1) + 1)
    return parser.parse_args()


def _with_kvtools(job: Job, arguments: argparse.Namespace) -> Way:
    """Its own seconds: the worktree is checked out within, as for the others before."""
    series, out = job.work / "series", job.work / "run.json"
    series.mkdir()
    for patch in _patches(arguments.series)[: job.count]:
        shutil.copy(patch, series)
    home = job.work.parent / "home"
    shutil.rmtree(home / "cache/ccache", ignore_errors=True)
    for objects in (home / "cache").glob("bases/*/*/jobs/*/o"):
        shutil.rmtree(objects)
    _kvtools(job.work.parent, "test", str(series), "--only", "boot", "--no-reuse",
             "-j", str(job.jobs), "--json", str(out))
    run = json.loads(out.read_text())
    boots = [o for row in run["patches"] for o in row["outcomes"]
             if o["step"] == "boot" and "subtest_of" not in o["details"]]
    return Way(sum(o["status"] in ("PASS", "WARN") for o in boots),
               round(run["run"]["seconds"], 1))


def _with_shell(job: Job, arguments: argparse.Namespace) -> Way:
    objects, log = job.work / "shell-o", job.work / "shell.log"
    objects.mkdir()
    shutil.copy(job.config, objects / ".config")
    make = f"make -C {job.tree} O={objects} LOCALVERSION= -j{job.jobs}"
    image = objects / "arch/x86/boot/bzImage"
    step = (f"{make} bzImage >> {log} 2>&1 && timeout 300 {job.vng(image)} "
            f">> {log} 2>&1 < /dev/null; grep -c '{UP}' {log} >&2")
    _git(job.tree, "checkout", "-q", "--detach", job.base)
    begun = time.monotonic()
    _sh(f"{make} olddefconfig > {log} 2>&1; {step}")
    _git(job.tree, "checkout", "-q", "--detach", job.tip)
    _git(job.tree, *WHO, "rebase", "-q", "--exec", step, job.base)
    return Way(_ups(log), round(time.monotonic() - begun, 1))


def _with_ktest(job: Job, arguments: argparse.Namespace) -> Way:
    objects, console = job.work / "ktest-o", job.work / "console.log"
    start, stop, pid = (job.work / name for name in ("start", "stop", "qemu.pid"))
    objects.mkdir()
    console.touch()
    boot = shlex.quote(f"timeout 300 {job.vng(objects / 'arch/x86/boot/bzImage')}")
    names = {"work": job.work, "tree": job.tree, "objects": objects, "console": console,
             "start": start, "stop": stop, "pid": pid, "jobs": job.jobs, "config": job.config,
             "up": UP, "first": job.base, "last": job.tip, "boot": boot}
    for path, text in ((start, START), (stop, STOP), (job.work / "ktest.conf", KTEST)):
        path.write_text(text.format(**names))
        path.chmod(0o755)
    _git(job.tree, "checkout", "-q", "--detach", job.tip)
    begun = time.monotonic()
    try:
        subprocess.run(["perl", str(job.tree / "tools/testing/ktest/ktest.pl"),
                        str(job.work / "ktest.conf")], cwd=job.work, check=False, timeout=LIMIT,
                       env=_environment(), stdin=subprocess.DEVNULL, stdout=sys.stderr)
    finally:
        subprocess.run([str(stop)], check=False)
    return Way(_ups(console), round(time.monotonic() - begun, 1))


WAYS: dict[str, Callable[[Job, argparse.Namespace], Way]] = {
    "kvtools": _with_kvtools, "shell": _with_shell, "ktest": _with_ktest,
}


def _ups(log: Path) -> int:
    """Kernels that came up; the command line of the guest is shown too, and does not count."""
    return len(re.findall(rf"^\[ *[\d.]+\]\s*(?:\[.*?\] )?{UP}", log.read_text("utf-8", "replace"),
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
    tip = subprocess.run(["git", "-C", str(tree), "rev-parse", "HEAD"], check=True, text=True,
                         stdout=subprocess.PIPE).stdout.strip()
    return Job(work, tree, base, tip, count, arguments.jobs)


def _patches(series: Path) -> list[Path]:
    return sorted(p.resolve() for p in series.glob("[0-9]*.patch")
                  if not p.name.startswith("0000"))


def _kvm() -> bool:
    said = subprocess.run([sys.executable, "-m", "kvtools", "doctor"], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, check=False).stdout
    return bool(re.search(r"^ok +acceleration", said, re.MULTILINE))


def _environment(**more: str) -> dict[str, str]:
    programs = Path(sys.executable).parent
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", **more}


def _kvtools(work: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "kvtools", *words], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, check=False, timeout=LIMIT,
                          env=_environment(KVTOOLS_HOME=str(work / "home")))
    if done.returncode not in (0, 1):
        sys.exit(f"kvtools {words[0]} ended with {done.returncode}")
    return done.stdout


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
