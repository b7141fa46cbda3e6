# SPDX-License-Identifier: GPL-2.0-or-later
"""The virtio-mem scenarios against a guest of plain data: what must pass, and what must not."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_vmem import BLOCK, FIRST, MIB, FakeVm

from kvtools import ktap, scenarios
from kvtools.errors import MachineError
from kvtools.model import Status
from kvtools.qmp import MemoryDevice
from kvtools.scenarios import memory
from kvtools.scenarios.base import GUEST, Unanswered
from kvtools.scenarios.hog import Hog
from kvtools.scenarios.vmem import device, sections
from kvtools.scenarios.vmem.exact import granted
from kvtools.scenarios.vmem.sysfs import Told, problems

PASSING = [
    name for name in scenarios.names() if name.startswith("vmem.") and name not in
    ("vmem.probe", "vmem.resize")
]  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second with every look, and a tree that shows PG_offline."""
    seconds = itertools.count()
    monkeypatch.setattr(device, "clock", lambda: float(next(seconds)))
    monkeypatch.setattr(memory, "shows_offline", lambda guest: True)


def check(name: str, tmp_path: Path, **knobs: Any) -> dict[str, Status]:
    scenario = scenarios.get(name)
    guest = FakeVm(scenario.machine, tmp_path, **knobs)
    return {s.name: s.status for s in scenario.run(guest)}


def failed(found: dict[str, Status]) -> set[str]:
    return {name for name, status in found.items() if status is Status.FAIL}


# What is about pinned pages needs a device that keeps something while a hog is there.
KEEPS = {
    "vmem.pinned": {"lowest": 128 * MIB},
    "vmem.partial-section": {"lowest": 12 * MIB},
    "vmem.hwpoison": {"lowest": 12 * MIB},
}


@pytest.mark.parametrize("name", PASSING)
def test_a_good_driver_passes(name: str, tmp_path: Path) -> None:
    found = check(name, tmp_path, **KEEPS.get(name, {}))
    assert failed(found) == set()
    assert Status.PASS in found.values()


@pytest.mark.parametrize(
    ("name", "knobs", "expected"),
    [
        ("vmem.granularity", {"memtotal_error": 4096}, {"guest"}),
        ("vmem.granularity", {"keeps": 8 * MIB}, {"4M", "8M"}),
        ("vmem.shrink-to-zero", {"left_block": True}, {"8M.nothing-left"}),
        ("vmem.shrink-to-zero", {"keeps": 4 * MIB}, {"4M.shrink", "4M.nothing-left"}),
        ("vmem.two-devices", {"deaf_after": 3}, {"0M-512M"}),
        ("vmem.flap", {"deaf_after": 200}, {"random"}),
        ("vmem.flap", {"memtotal_error": BLOCK}, {"counters"}),
        ("vmem.flap", {"managed_error": 1}, {"counters"}),
        ("vmem.flap", {"managed_error": -1}, {"counters"}),
        ("vmem.flap", {"present_error": 1}, {"counters"}),
        ("vmem.partial-section", {"shifted": 4 * MIB}, {"4M.148M", "8M.88M"}),
        ("vmem.partial-section", {"shifted": 4 * MIB, "lowest": 4 * MIB}, {"4M.holes"}),
        ("vmem.partial-section", {}, {"4M.holes"}),
        ("vmem.partial-section", {"flags_error": 1}, {"4M.148M", "8M.144M"}),
        ("vmem.partial-section", {"flags_error": -1}, {"4M.92M", "8M.88M"}),
        ("vmem.numa", {"node_error": True}, {"8M.grow", "128M.grow"}),
        ("vmem.pressure", {"killed": True}, {"4M.data"}),
        ("vmem.pressure", {"torn": True}, {"4M.data"}),
        ("vmem.pressure", {"keeps": 4 * MIB}, {"4M.released"}),
        ("vmem.pinned", {}, {"4M.settles", "8M.settles", "128M.settles"}),
        ("vmem.pinned", {"lowest": 128 * MIB, "torn": True}, {"4M.data"}),
        ("vmem.pinned", {"lowest": 128 * MIB, "grows": False}, {"4M.grow"}),
        ("vmem.pinned", {"lowest": 128 * MIB, "stubborn": True}, {"4M.retry", "4M.released"}),
        ("vmem.stress", {"torn": True}, {"hog0", "hog1"}),
        ("vmem.stress", {"killed": True}, {"hog0", "hog1"}),
        ("vmem.zone", {"wrong_zone": True}, {"4M.normal.zone", "128M.normal.zone"}),
        ("vmem.zone", {"lowest": 8 * MIB}, {"4M.movable.given-back"}),
        ("vmem.zone", {"torn": True}, {"4M.movable.given-back", "4M.normal.given-back"}),
        ("vmem.module", {"unload": "leaks"}, {"unload-1"}),
        ("vmem.module", {"unload": "loses"}, {"unload-in-use"}),
        ("vmem.reboot", {"forgets": True}, {"plugged-again"}),
        ("vmem.suspend", {"sleeps": True}, {"refused", "works-on"}),
        ("vmem.suspend", {"sleeps": True, "torn": True}, {"unharmed"}),
        ("vmem.suspend", {"refuses": "0000:00:02.0"}, {"refused"}),
        ("vmem.suspend", {"refuses": ""}, {"refused"}),
        ("vmem.hwpoison", {"lowest": 12 * MIB, "recovers": False}, {"4M.error", "8M.error"}),
        ("vmem.hwpoison", {"lowest": 12 * MIB, "reuses": True}, {"4M.marked", "8M.marked"}),
        ("vmem.hwpoison", {"lowest": 12 * MIB, "stubborn": True}, {"4M.empty"}),
        ("vmem.hwpoison", {"lowest": 12 * MIB, "torn": True}, {"4M.data", "4M.pins"}),
        ("vmem.hwpoison", {"lowest": 12 * MIB, "grows": False}, {"4M.again", "4M.grow"}),
        ("vmem.sysfs", {"errno": "0"}, {"4M", "8M", "128M"}),
        ("vmem.sysfs", {"errno": "EINVAL"}, {"4M", "8M", "128M"}),
        ("vmem.sysfs", {"control": "user"}, {"4M", "8M", "128M"}),
    ],
)
def test_a_bad_driver_fails(
    name: str, knobs: dict[str, Any], expected: set[str], tmp_path: Path
) -> None:
    assert expected <= failed(check(name, tmp_path, **knobs))


def test_what_a_kernel_has_not_is_a_skip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(check("vmem.sysfs", tmp_path, control=None).values()) == {Status.SKIP}
    assert set(check("vmem.module", tmp_path, module=False).values()) == {Status.SKIP}
    monkeypatch.setattr(memory, "shows_offline", lambda guest: False)
    assert set(check("vmem.partial-section", tmp_path).values()) == {Status.SKIP}


def test_normal_may_keep_what_movable_must_give_back(tmp_path: Path) -> None:
    found = check("vmem.zone", tmp_path, lowest=8 * MIB)
    assert found["4M.normal.given-back"] is Status.PASS


def at(block_size: int) -> MemoryDevice:
    return MemoryDevice("m", "virtio-mem", FIRST, 1 << 30, 0, 0, block_size, 0)


def test_blocks_smaller_than_a_pageblock_are_put_to_use_in_whole_ones() -> None:
    assert [granted(at(2 * MIB), n, 4 * MIB) for n in (1, 2, 3)] == [0, 4 * MIB, 4 * MIB]
    assert [granted(at(8 * MIB), n, 4 * MIB) for n in (1, 2)] == [8 * MIB, 16 * MIB]
    assert granted(at(2 * MIB), 3, 2 * MIB) == 6 * MIB


def test_settle_ends_when_nothing_changes_any_more(tmp_path: Path) -> None:
    guest = FakeVm(scenarios.get("vmem.flap").machine, tmp_path)
    first = device.devices(guest)[0]
    assert device.settle(guest, first, 0).met
    stuck = device.settle(guest, first, 4 * MIB)
    assert (stuck.size, stuck.met) == (0, True)


def test_a_hog_that_cannot_start_says_why(tmp_path: Path) -> None:
    class Bare(FakeVm):
        def _hog_said(self, script: str) -> str:
            return "python3: not found\n# gone\n"

    guest = Bare(scenarios.get("vmem.flap").machine, tmp_path)
    with pytest.raises(Unanswered, match="hold 1: python3: not found"):
        Hog(guest, "hold", 1)


def test_segments_of_a_dump(tmp_path: Path) -> None:
    guest = FakeVm(scenarios.get("vmem.flap").machine, tmp_path)
    first = device.devices(guest)[0]
    assert sections.plugged_ranges(guest, first) == ()
    guest.qmp.set_requested_size(first.name, 8 * MIB)
    assert sections.plugged_ranges(guest, first) == ((FIRST, FIRST + 8 * MIB),)
    assert not list(tmp_path.iterdir())
    (tmp_path / "short.elf").write_bytes(b"\x7fELF")
    with pytest.raises(MachineError, match="not a kdump"):
        sections.segments(tmp_path / "short.elf")


def test_the_map_of_what_is_not_plugged() -> None:
    page = memory.PAGE
    found = sections.offline_map(page, 4 * page, [(0, 2 * page), (3 * page, 9 * page)])
    assert found == b"\0\1\0\0"


def test_zones_of_a_real_guest() -> None:
    text = (
        "Node 0, zone      DMA\n  per-node stats\n      nr_inactive_anon 1\n  pages free     2813\n"
        "        spanned  4095\n        present  3998\n        managed  3840\n"
        "        protection: (0, 430, 430, 430)\nNode 0, zone  Movable\n  pages free     0\n"
        "        spanned  0\n        present  0\n        managed  0\n"
    )
    assert memory.parse_zones(text, "managed") == {"0.DMA": 3840}
    assert memory.parse_zones(text, "present") == {"0.DMA": 3998}
    with pytest.raises(Unanswered):
        memory.parse_zones("", "managed")


def test_what_a_memory_block_says_is_compared_with_the_promise() -> None:
    good = ("driver", "0", "online")
    told = Told(good, good, {"state=offline": "EPERM"})
    assert problems({"33": told}) == ""
    moved = Told(good, ("driver", "0", "offline"), {"state=offline": "EPERM"})
    assert "says driver, 0, offline after" in problems({"33": moved})
    assert "removable and state say driver, 1" in problems(
        {"33": Told(("driver", "1", "online"), good, {"state=offline": "EPERM"})}
    )
    assert problems({"33": Told(good, good, {})})


@pytest.mark.parametrize("words", ["hold 2", "pin 4 64", "mix 1 2", "churn 2 7"])
def test_the_hog_on_this_machine(words: str) -> None:
    program = GUEST / "hog.py"
    done = subprocess.run(
        [sys.executable, "-S", "-E", program, *words.split()],
        input=b"end\n", capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    answer = ktap.parse(done.stdout.decode())
    assert answer.status is Status.PASS
    assert [test.name for test in answer.subtests] == ["filled", "end"]


def test_a_hog_that_is_killed_has_no_plan() -> None:
    program = GUEST / "hog.py"
    with subprocess.Popen(
        [sys.executable, "-S", "-E", program, "hold", "1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdout
        said = child.stdout.readline() + child.stdout.readline()
        child.kill()
        said += child.stdout.read()
    assert ktap.parse(said.decode()).status is Status.FAIL
