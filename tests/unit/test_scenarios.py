# SPDX-License-Identifier: GPL-2.0-or-later
"""The scenarios against a guest of plain data: what must pass, and what must not."""

from __future__ import annotations

import gzip
import os
import shlex
import subprocess
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvtools import scenarios
from kvtools.channel import Hello, Result
from kvtools.errors import ConfigError, UserError
from kvtools.model import Status
from kvtools.qmp import MemoryDevice
from kvtools.scenarios import kselftest, machines, memory
from kvtools.scenarios.base import GUEST, Scenario, Unanswered
from kvtools.vng import Machine, Node, VirtioMem

MIB = 1 << 20
BLOCK = 128 * MIB
REGION = 4 << 30
DATA = Path(__file__).parents[1] / "data" / "scenarios"


@dataclass
class FakeQmp:
    """A virtio-mem device that plugs what is asked for, but for ``stuck`` bytes."""

    guest: FakeGuest
    requested: int = 0
    stuck: int | None = None

    def memory_device(self, name: str) -> MemoryDevice:
        device = self.guest.machine.virtio_mem[0]
        return MemoryDevice(
            name, "virtio-mem", REGION, device.size, self.size(name), self.requested,
            device.block_size, 0,
        )  # fmt: skip

    def size(self, name: str) -> int:
        return self.requested if self.stuck is None else max(self.requested, self.stuck)

    def set_requested_size(self, name: str, size: int) -> None:
        self.requested = size

    def plug_dimm(self, name: str, size: int) -> None:
        self.guest.dimm = size * self.guest.takes_dimms


@dataclass
class FakeGuest:
    """Answers as memory.sh, virtio.sh and the rest would; the knobs break one thing each."""

    machine: Machine
    out: Path
    source: Any = None
    accel: str = "tcg"
    stretch: float = 4.0
    hello: Hello | None = field(default_factory=lambda: Hello("6.1.0", 3.0))
    boot_seconds: float = 5.0
    dimm: int = 0
    takes_dimms: bool = True
    memtotal_error: int = 0
    blocks_error: int = 0
    iomem_error: int = 0
    offline_error: int = 0
    driver: str = "virtio_mem"
    region: str = "virtio3"
    cpus: str = "2"
    boot_memory: int = 430 * MIB
    kselftest: str = "TAP version 13\n1..1\nok 1 selftests: memory-hotplug: a.sh\n"
    ran: list[str] = field(default_factory=list)
    on_host: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.qmp: Any = FakeQmp(self)

    def poll(self, read: Callable[[], Any], want: Callable[[Any], bool], deadline: float) -> Any:
        value = read()
        return SimpleNamespace(value=value, met=want(value), seconds=0.1)

    def meminfo(self) -> dict[str, int]:
        return {"MemTotal": self.boot_memory + self.dimm}

    def console(self) -> str:
        return ""

    def sh(self, script: str, deadline: float = 10.0) -> Result:
        self.ran.append(script)
        return Result(0, self._answer(script), b"", 0.1)

    def _answer(self, script: str) -> bytes:
        if "memory.sh" in script:
            return self._memory().encode()
        if "virtio.sh" in script:
            line = f"# device virtio3 {self.driver}\n"
            return f"KTAP version 1\n1..1\n{line}ok 1 virtio-0x0018\n".encode()
        if "kpageflags" in script:
            return gzip.compress(self._flags().tobytes())
        if "kselftest.sh" in script:
            return self.kselftest.replace("a.sh", shlex.split(script)[-1]).encode()
        return self.cpus.encode()

    @property
    def blocks(self) -> list[int]:
        count = -(-self.qmp.size("vmem0") // BLOCK)
        count += self.blocks_error * (count > 0)
        return list(range(REGION // BLOCK, REGION // BLOCK + count))

    def _memory(self) -> str:
        plugged = self.qmp.size("vmem0")
        total = self.boot_memory + plugged + self.memtotal_error * (plugged > 0)
        ram = len(self.blocks) * BLOCK + self.iomem_error * bool(self.blocks)
        lines = ["KTAP version 1", "1..1", f"# memtotal {total // 1024}", "# block_size 8000000"]
        lines.append("# online 0 1 2 3 " + " ".join(map(str, self.blocks)))
        lines.append("# offline")
        end = REGION + self.machine.virtio_mem[0].size - 1
        lines.append(f"# iomem {REGION:x}-{end:x} : {self.region}")
        if ram:
            lines.append(f"# iomem   {REGION:x}-{REGION + ram - 1:x} : System RAM (virtio_mem)")
        return "\n".join([*lines, "ok 1 memory"]) + "\n"

    def _flags(self) -> array[int]:
        pages = len(self.blocks) * BLOCK // memory.PAGE
        offline = pages - self.qmp.size("vmem0") // memory.PAGE + self.offline_error
        return array("Q", [memory.KPF_OFFLINE | 1] * offline + [1] * (pages - offline))


def check(name: str, tmp_path: Path, **knobs: Any) -> dict[str, Status]:
    scenario = scenarios.get(name)
    guest = FakeGuest(scenario.machine, tmp_path, **knobs)
    if scenario.machine.virtio_mem:
        guest.qmp.requested = scenario.machine.virtio_mem[0].requested
    return {s.name: s.status for s in scenario.run(guest)}


def failed(found: dict[str, Status]) -> set[str]:
    return {name for name, status in found.items() if status is Status.FAIL}


def test_the_registry() -> None:
    assert scenarios.names()[0] == "boot"
    assert {"vmem.probe", "vmem.resize", "kselftest:memory-hotplug"} <= set(scenarios.names())
    assert all(scenarios.get(name).name == name for name in scenarios.names())
    with pytest.raises(UserError, match="no scenario 'vmem'; the scenarios are: boot, "):
        scenarios.get("vmem")


def test_missing() -> None:
    probe = scenarios.get("vmem.probe")
    config = dict.fromkeys(probe.needs, "y")
    assert scenarios.missing(probe, config) is None
    assert scenarios.missing(probe, {**config, "VIRTIO_MEM": "m"}) is None
    del config["VIRTIO_MEM"]
    assert scenarios.missing(probe, config) == "this kernel has no CONFIG_VIRTIO_MEM"
    config["MEMORY_HOTPLUG"] = "n"
    reason = "this kernel has no CONFIG_VIRTIO_MEM, CONFIG_MEMORY_HOTPLUG"
    assert scenarios.missing(probe, config) == reason
    assert scenarios.missing(scenarios.get("boot"), {}) is None
    assert "MEMORY_HOTPLUG" in scenarios.get("balloon.offline").needs


# boot


def test_boot(tmp_path: Path) -> None:
    assert failed(check("boot", tmp_path)) == set()
    assert failed(check("boot", tmp_path, boot_memory=200 * MIB)) == {"memory"}
    assert failed(check("boot", tmp_path, boot_memory=600 * MIB)) == {"memory"}
    assert failed(check("boot", tmp_path, cpus="1")) == {"cpus"}


# vmem


def test_probe(tmp_path: Path) -> None:
    found = check("vmem.probe", tmp_path)
    assert set(found) == {"driver", "region", "requested-at-boot"}
    assert failed(found) == set()
    assert failed(check("vmem.probe", tmp_path, driver="")) == {"driver"}
    assert failed(check("vmem.probe", tmp_path, blocks_error=-1)) == {"requested-at-boot"}


def test_probe_without_the_region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = FakeGuest._memory
    monkeypatch.setattr(
        FakeGuest, "_memory", lambda self: text(self).replace(f"{REGION:x}-", f"{REGION + 1:x}-")
    )
    assert "region" in failed(check("vmem.probe", tmp_path))


@pytest.fixture
def kpageflags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "shows_offline", lambda guest: True)


@pytest.mark.usefixtures("kpageflags")
def test_resize(tmp_path: Path) -> None:
    found = check("vmem.resize", tmp_path)
    assert set(found.values()) == {Status.PASS}
    assert {"0M-to-300M", "2048M-to-640M", "128M-to-0M", "offline-pages-300M"} <= set(found)


@pytest.mark.usefixtures("kpageflags")
@pytest.mark.parametrize(
    ("knobs", "least"),
    [
        ({"memtotal_error": 4096}, {"0M-to-300M", "300M-to-1024M"}),
        ({"memtotal_error": -4096}, {"0M-to-300M", "640M-to-4M"}),
        ({"blocks_error": -1}, {"0M-to-300M"}),
        ({"iomem_error": BLOCK}, {"0M-to-300M"}),
        ({"offline_error": 1}, {"offline-pages-300M", "offline-pages-4M"}),
        ({"offline_error": -1}, {"offline-pages-300M", "offline-pages-4M"}),
    ],
)
def test_resize_sees(tmp_path: Path, knobs: dict[str, Any], least: set[str]) -> None:
    assert least <= failed(check("vmem.resize", tmp_path, **knobs))


@pytest.mark.usefixtures("kpageflags")
def test_resize_sees_a_device_that_does_not_shrink(tmp_path: Path) -> None:
    scenario = scenarios.get("vmem.resize")
    guest = FakeGuest(scenario.machine, tmp_path)
    guest.qmp.stuck = 640 * MIB
    first = guest._memory  # the empty device was seen empty
    guest.qmp.stuck = None
    assert "memtotal" in first()
    run = scenario.run(guest)
    results = []
    for result in run:
        results.append(result)
        if result.name == "2048M-to-640M":
            guest.qmp.stuck = 640 * MIB
    wrong = {r.name: r.message for r in results if r.status is Status.FAIL}
    assert set(wrong) == {"640M-to-4M"}
    assert results[-1].name == "640M-to-4M", "the next sizes start from this one"
    assert "QEMU's size stayed at 640 MiB" in wrong["640M-to-4M"]


def test_without_kpf_offline_it_is_a_skip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "shows_offline", lambda guest: False)
    found = check("vmem.resize", tmp_path, offline_error=1)
    assert found["offline-pages-300M"] is Status.SKIP
    assert failed(found) == set()


def test_shows_offline_asks_the_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guest: Any = SimpleNamespace(source=SimpleNamespace(repo=tmp_path, commit="c"))
    monkeypatch.setattr(memory.git, "show", lambda *_: b"u |= 1 << KPF_OFFLINE;")
    assert memory.shows_offline(guest)
    monkeypatch.setattr(memory.git, "show", lambda *_: b"")
    assert not memory.shows_offline(guest)

    def absent(*_: object) -> bytes:
        raise UserError("no file")

    monkeypatch.setattr(memory.git, "show", absent)
    assert not memory.shows_offline(guest)


@pytest.mark.parametrize(
    "text", ["", "KTAP version 1\n1..1\nnot ok 1 memory\n", "KTAP version 1\n1..1\nok 1 memory\n",
             "KTAP version 1\n1..1\n# memtotal x\nok 1 memory\n",
             "KTAP version 1\n1..1\n# memtotal 5\n"]
)  # fmt: skip
def test_a_guest_that_does_not_tell(text: str) -> None:
    with pytest.raises(Unanswered):
        memory.parse(text)


def test_unanswered_is_a_failed_subtest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeGuest, "_memory", lambda self: "sh: not found")
    assert failed(check("vmem.resize", tmp_path)) == {"memory"}


def test_memory_sh_on_this_machine() -> None:
    text = subprocess.run(
        ["sh", str(GUEST / "memory.sh")], capture_output=True, text=True, check=True
    ).stdout
    view = memory.parse(text)
    here = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert abs(view.total - here) < here // 2


def test_an_answer_of_a_real_guest() -> None:
    view = memory.parse((DATA / "memory.ktap").read_text())
    assert view.block_size == BLOCK
    assert view.online_in(REGION, REGION + (2 << 30)) == (32, 33, 34)
    assert view.ram_in(REGION, REGION + (2 << 30)) == 3 * BLOCK
    whole = [r.name for r in view.resources if (r.start, r.size) == (REGION, 2 << 30)]
    assert whole == ["virtio7"]


# kselftest


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    def archive(repo: Path, commit: str, paths: list[str], dest: Path) -> None:
        folder = dest / "tools/testing/selftests/memory-hotplug"
        folder.mkdir(parents=True)
        (folder / "Makefile").write_text("TEST_PROGS := a.sh\n")

    monkeypatch.setattr(kselftest.git, "archive", archive)


SOURCE = SimpleNamespace(repo=Path("/r"), commit="c")
NAME = "kselftest:memory-hotplug"


@pytest.mark.usefixtures("unpacked")
def test_kselftest(tmp_path: Path) -> None:
    found = check(NAME, tmp_path, source=SOURCE, boot_memory=900 * MIB)
    expected = {"dimm", "memory-hotplug.a.sh", "restored"}
    assert found == dict.fromkeys(expected, Status.PASS)
    assert (tmp_path / "kselftest.log").read_text().startswith("TAP version 13")
    settings = tmp_path / "selftests/tools/testing/selftests/memory-hotplug/settings"
    assert settings.read_text() == "timeout=200\n"


@pytest.mark.usefixtures("unpacked")
def test_kselftest_frames_its_results(tmp_path: Path) -> None:
    scenario = scenarios.get(NAME)
    guest: Any = FakeGuest(scenario.machine, tmp_path, source=SOURCE)
    aside = {s.name: s.aside for s in scenario.run(guest)}
    assert aside == {"dimm": True, "memory-hotplug.a.sh": False, "restored": True}


@pytest.mark.usefixtures("unpacked")
def test_kselftest_tells_how_to_get_the_selftests(tmp_path: Path) -> None:
    scenario = scenarios.get(NAME)
    guest: Any = FakeGuest(scenario.machine, tmp_path, source=SOURCE)
    assert list(scenario.run(guest))
    folder = tmp_path / "selftests"
    collection = "tools/testing/selftests/memory-hotplug"
    assert guest.on_host == [
        f"mkdir -p {folder}",
        f"git -C /r archive c tools/testing/selftests/kselftest {collection} | tar -x -C {folder}",
        f"echo timeout=200 >{folder}/{collection}/settings",
    ]


@pytest.mark.usefixtures("unpacked")
def test_kselftest_without_a_dimm(tmp_path: Path) -> None:
    assert failed(check(NAME, tmp_path, source=SOURCE, takes_dimms=False)) == {"dimm"}


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("ok 1 selftests: m: a.sh # SKIP", Status.SKIP, "skip all tests: no hot-pluggable memory"),
        ("not ok 1 selftests: m: a.sh # exit=1", Status.FAIL, "FAILED - unable to offline"),
        ("ok 1 selftests: m: a.sh", Status.PASS, ""),
    ],
)
def test_results(text: str, status: Status, message: str) -> None:
    said = f"# {message}\n" if message else ""
    (found,) = kselftest.results(f"TAP version 13\n1..1\n# selftests: m: a.sh\n{said}{text}\n")
    assert (found.name, found.status, found.message) == ("m.a.sh", status, message)


def test_a_failure_is_told_before_a_skip_on_the_way() -> None:
    (found,) = kselftest.results(
        "TAP version 13\n1..1\n# selftests: m: a.sh\n# FAILED - unable to offline\n"
        "# SKIPPED - no hot-pluggable memory in offline state\n"
        "not ok 1 selftests: m: a.sh # exit=1\n"
    )
    assert (found.status, found.message) == (Status.FAIL, "FAILED - unable to offline")


def test_results_cut_short() -> None:
    found = list(kselftest.results("TAP version 13\n1..2\nok 1 selftests: m: a.sh\n", late=True))
    assert [s.status for s in found] == [Status.PASS, Status.FAIL]
    assert found[1].message.startswith("killed at its deadline; ")
    assert [s.status for s in kselftest.results("")] == [Status.FAIL]


def test_a_tree_without_selftests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise UserError("commit c has no tools/testing")

    monkeypatch.setattr(kselftest.git, "archive", absent)
    assert check(NAME, tmp_path, source=SOURCE) == {"memory-hotplug": Status.SKIP}


DRIVER_ONLINE = "kselftest:driver-online"


def _building(
    monkeypatch: pytest.MonkeyPatch, makefile: str, returncode: int = 0, text: str = ""
) -> list[tuple[str, ...]]:
    made: list[tuple[str, ...]] = []

    def archive(repo: Path, commit: str, paths: list[str], dest: Path) -> None:
        assert "tools/testing/selftests/lib.mk" in paths
        folder = dest / "tools/testing/selftests/memory-hotplug"
        folder.mkdir(parents=True)
        (folder / "Makefile").write_text(makefile)

    def run(argv: list[str], **_: object) -> SimpleNamespace:
        made.append(tuple(argv))
        return SimpleNamespace(returncode=returncode, text=text)

    monkeypatch.setattr(kselftest.git, "archive", archive)
    monkeypatch.setattr(kselftest.process, "run", run)
    return made


def test_driver_online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _building(monkeypatch, "TEST_GEN_PROGS := driver_online\nTEST_PROGS := a.sh\n")
    found = check(DRIVER_ONLINE, tmp_path, source=SOURCE)
    assert found == dict.fromkeys(["plugged", "memory-hotplug.driver_online"], Status.PASS)
    collection = tmp_path / "selftests/tools/testing/selftests/memory-hotplug"
    assert made == [("make", "-C", str(collection))]


def test_driver_online_that_does_not_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "driver_online.c:1:1: error: no such thing\nmake: *** [x] Error 1\n"
    _building(monkeypatch, "TEST_GEN_PROGS := driver_online\n", 2, said)
    scenario = scenarios.get(DRIVER_ONLINE)
    guest: Any = FakeGuest(scenario.machine, tmp_path, source=SOURCE)
    (found,) = scenario.run(guest)
    assert (found.name, found.status) == ("build-driver_online", Status.FAIL)
    assert found.message == "driver_online.c:1:1: error: no such thing"


def test_a_tree_without_driver_online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _building(monkeypatch, "TEST_PROGS := driver_online.sh\n")
    assert check(DRIVER_ONLINE, tmp_path, source=SOURCE) == {"driver_online": Status.SKIP}
    assert not made


def test_programs_of_a_makefile() -> None:
    makefile = "all:\nTEST_PROGS := a.sh \\\n\tb.sh  # two\nTEST_PROGS += c.sh\nTEST_FILES := x\n"
    assert kselftest.test_programs(makefile) == ["a.sh", "b.sh", "c.sh"]


# Machines


def test_every_machine_of_ours_is_sound() -> None:
    for name in scenarios.names():
        assert scenarios.get(name).machine.memory >= 192 * MIB


def test_a_machine() -> None:
    text = """
    memory = "1G"
    maxmem = "8G"
    kernel_args = ["a=1"]
    [[node]]
    memory = "1G"
    cpus = "0-1"
    [[node]]
    memory = "0"
    [[virtio_mem]]
    size = "2G"
    requested = "8M"
    node = 1
    """
    assert machines.parse(text, Path("x.toml")) == Machine(
        memory=1 << 30, maxmem=8 << 30, nodes=(Node(1 << 30, "0-1"), Node(0)),
        virtio_mem=(VirtioMem(size=2 << 30, requested=8 * MIB, node=1),), kernel_args=("a=1",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("memory =", "x.toml: Invalid value"),
        ("memory = 512", 'memory = 512 is not a size such as "512M"'),
        ("ram = \"1G\"", "unexpected keyword argument 'ram'"),
        ("[[virtio_mem]]\nsize = \"1G\"", "maxmem is smaller"),
        ("maxmem = \"8G\"\n[[virtio_mem]]\nblock_size = \"3M\"", "multiples of block_size"),
        ("[[node]]\nmemory = \"1G\"", "does not add up"),
    ],
)
def test_a_bad_machine_is_one_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        machines.parse(text, Path("x.toml"))
    assert "\n" not in str(caught.value)


def test_no_such_machine() -> None:
    with pytest.raises(ConfigError, match=r"no machine 'toaster'; the machines are: .*plain"):
        machines.load("toaster")


def test_a_scenario_is_plain_data() -> None:
    scenario = scenarios.get("boot")
    assert isinstance(replace(scenario, version=2), Scenario)
