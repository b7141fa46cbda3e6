# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest of plain data with virtio-mem devices: it does at once what is asked for.

A device plugs from the start of its region and unplugs from the end. The knobs of
:class:`FakeVm` break one thing each.
"""

from __future__ import annotations

import gzip
import os
import struct
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kvtools.channel import Hello, Result
from kvtools.qmp import MemoryDevice
from kvtools.scenarios.memory import KPF_HWPOISON, KPF_OFFLINE, PAGE
from kvtools.vmcore.elfcore import MAGIC
from kvtools.vng import Machine

MIB = 1 << 20
BLOCK = 128 * MIB
PAGEBLOCK = 4 * MIB
FIRST = 4 << 30
BOOT = 430 * MIB


@dataclass
class FakeQmp:
    vm: FakeVm
    requested: dict[str, int] = field(default_factory=dict)
    asked: int = 0

    def memory_devices(self) -> tuple[MemoryDevice, ...]:
        address, found = FIRST, []
        for d in self.vm.machine.virtio_mem:
            found.append(MemoryDevice(
                d.name, "virtio-mem", address, d.size, self.size(d.name),
                self.requested.get(d.name, 0), d.block_size, d.node))  # fmt: skip
            address += d.size
        return tuple(found)

    def size(self, name: str) -> int:
        return self.vm.size(name)

    def set_requested_size(self, name: str, size: int) -> None:
        self.asked += 1
        if self.vm.deaf_after is None or self.asked <= self.vm.deaf_after:
            self.requested[name] = size

    def dump(self, path: Path, *, only: tuple[int, int]) -> None:
        at = next(d for d in self.memory_devices() if d.address == only[0])
        ranges = self.vm.ranges(at)
        head = struct.pack(
            "<16s2HI3QI6H", MAGIC, 4, 62, 1, 0, 192, 0, 0, 64, 56, len(ranges), 0, 0, 0)
        offset, table = 4096, b""
        for first, end in ranges:
            table += struct.pack("<2I6Q", 1, 0, offset, 0, first, end - first, end - first, 0)
            offset += end - first
        path.write_bytes(head.ljust(192, b"\0") + table)
        os.truncate(path, offset)  # a hole: nobody reads the memory


@dataclass
class FakeVm:
    """``lowest``: what a device keeps while a hog is there; ``killed``: hogs do not survive a
    shrink; ``torn``: what they hold changes; ``deaf_after`` so many requests the rest is lost."""

    machine: Machine
    out: Path
    source: Any = None
    accel: str = "tcg"
    hello: Hello | None = field(default_factory=lambda: Hello("6.1.0", 3.0))
    boot_seconds: float = 5.0
    lowest: int = 0
    killed: bool = False
    torn: bool = False
    deaf_after: int | None = None
    stubborn: bool = False
    keeps: int = 0
    memtotal_error: int = 0
    managed_error: int = 0
    present_error: int = 0
    left_block: bool = False
    shifted: int = 0
    flags_error: int = 0
    node_error: bool = False
    module: bool = True
    unload: str = "refused"
    forgets: bool = False
    control: str | None = "driver"
    errno: str = "EPERM"
    wrong_zone: bool = False
    grows: bool = True
    sleeps: bool = False
    refuses: str = "0000:00:0b.0"
    recovers: bool = True
    reuses: bool = False
    policy: str = "online_movable"
    hogs: dict[str, int] = field(default_factory=dict)
    loaded: bool = True
    on_host: list[str] = field(default_factory=list)
    shrunk_with_hog: bool = False

    def __post_init__(self) -> None:
        self.qmp: Any = FakeQmp(self)
        self.zone_of: dict[str, str] = {}
        self.peak: dict[str, int] = {}  # what was plugged when last looked at
        self.used: set[str] = set()
        self.poisoned: set[int] = set()

    # Sizes

    def size(self, name: str) -> int:
        device = next(d for d in self.machine.virtio_mem if d.name == name)
        unit = max(device.block_size, PAGEBLOCK)
        size = self.qmp.requested.get(name, 0) // unit * unit
        low = self.lowest if self.hogs or self.stubborn else 0
        peak = self.peak.get(name, 0)
        if size < peak and self.hogs:
            self.shrunk_with_hog = True
        size = max(size, min(low, peak), min(self.keeps, peak))
        if not self.grows and self.shrunk_with_hog:
            size = min(size, peak, max(low, 0))
        self.peak[name] = size
        if size:
            self.used.add(name)
        return size

    def ranges(self, at: MemoryDevice) -> list[tuple[int, int]]:
        size = self.size(at.name)
        start = at.address + self.shifted * (size > 0)
        return [(start, start + size)] if size else []

    @property
    def plugged(self) -> int:
        return sum(self.size(d.name) for d in self.machine.virtio_mem)

    def blocks(self, at: MemoryDevice) -> list[int]:
        count = -(-self.size(at.name) // BLOCK)
        count += self.left_block and not count and at.name in self.used
        return list(range(at.address // BLOCK, at.address // BLOCK + count))

    # What scenarios call

    def poll(
        self,
        read: Callable[[], Any],
        want: Callable[[Any], bool],
        deadline: float,
        pause_at_most: float = 0.3,
    ) -> Any:
        value = read()
        for _ in range(3):
            if want(value):
                break
            value = read()
        return SimpleNamespace(value=value, met=want(value), seconds=0.1)

    def reboot(self) -> float:
        if self.forgets:
            self.qmp.requested = dict.fromkeys(self.qmp.requested, 0)
        return 5.0

    def console(self) -> str:
        return ""

    def meminfo(self) -> dict[str, int]:
        return {"MemTotal": BOOT + self.plugged}

    def sh(self, script: str, deadline: float = 10.0) -> Result:
        text, status = self._answer(script), 0
        if isinstance(text, int):
            text, status = "", text
        data = text if isinstance(text, bytes) else text.encode()
        return Result(status, data, b"" if not status else b"said no", 0.1)

    def _answer(self, script: str) -> str | bytes | int:
        table: dict[str, Callable[[str], str | bytes | int]] = {
            "memory.sh": self._memory,
            "zoneinfo": self._zones,
            "pagetypeinfo": lambda _: "Page block order: 10\nPages per block:  1024\n",
            "kpageflags bs=8 ": self._flags_at,
            "kpageflags": self._flags,
            "hard_offline_page": self._poison,
            "/sys/power": lambda _: self._suspend(),
            "hog.py": self._hog_start,
            "/statm": self._hog_said,
            " 1<>": self._hog_command,
            "blocks.py": self._sysfs,
            "state_control": lambda _: 0 if self.control else 1,
            "meminfo": self._node_meminfo,
            "node*/memory*": self._node_blocks,
            "initstate": lambda _: 0 if self.module and self.loaded else 1,
            "rmmod": self._rmmod,
            "/drivers/*mem*": lambda _: "virtio_mem\n",
            "auto_online_blocks": self._set_policy,
        }
        for word, answer in table.items():
            if word in script:
                return answer(script)
        return ""

    def _memory(self, _: str) -> str:
        total = BOOT + self.plugged + self.memtotal_error * (self.plugged > 0)
        lines = ["KTAP version 1", "1..1", f"# memtotal {total // 1024}", "# block_size 8000000"]
        online = [0, 1, 2, 3]
        for at in self.qmp.memory_devices():
            blocks = self.blocks(at)
            online += blocks
            owned = not self.module or self.loaded
            if owned:
                lines.append(f"# iomem {at.address:x}-{at.address + at.region - 1:x} : virtio0")
            if blocks:
                end = at.address + len(blocks) * BLOCK - 1
                lines.append(f"# iomem   {at.address:x}-{end:x} : System RAM (virtio_mem)")
        lines += ["# online " + " ".join(map(str, online)), "# offline", "ok 1 memory"]
        return "\n".join(lines) + "\n"

    def _zones(self, _: str) -> str:
        pages = {"Movable": 0, "Normal": 0}
        for d in self.machine.virtio_mem:
            zone = "Movable" if self.policy == "online_movable" else "Normal"
            if self.wrong_zone:
                zone = "Movable"
            size = self.size(d.name)
            self.zone_of.setdefault(d.name, zone)
            if not size:
                self.zone_of[d.name] = zone
            pages[self.zone_of[d.name]] += size // PAGE
        some = any(pages.values())
        text = ""
        for name, count in {"DMA32": BOOT // PAGE, **pages}.items():
            wrong = self.managed_error * (some and name == "Movable")
            present = count + self.present_error * (some and name == "Movable")
            text += (f"Node 0, zone {name:>8}\n  pages free 5\n        spanned  {count}\n"
                     f"        present  {present}\n        managed  {count + wrong}\n")
        return text

    def _flags(self, _: str) -> bytes:
        """Of the device whose blocks were asked for: the only one with memory in these tests
        whose size is not a multiple of a block, or the last that was looked at."""
        flags = array("Q")
        for at in self.qmp.memory_devices():
            want = at.address // BLOCK * (BLOCK // PAGE) * 8
            if f"skip={want} " not in _:
                continue
            pages = len(self.blocks(at)) * BLOCK // PAGE
            plugged = self.size(at.name) // PAGE - self.flags_error
            flags.extend([1] * plugged + [KPF_OFFLINE | 1] * (pages - plugged))
        return gzip.compress(flags.tobytes())

    def _poison(self, script: str) -> str | int:
        if self.recovers:
            self.poisoned.add(int(script.split()[1], 16) // PAGE)
        return "" if self.recovers else 1

    def _flags_at(self, script: str) -> bytes:
        pfn = int(script.rpartition("skip=")[2])
        marked = pfn in self.poisoned and not (self.reuses and self.hogs)
        return struct.pack("<Q", KPF_HWPOISON if marked else 0)

    def _suspend(self) -> str | int:
        if self.refuses == "":
            return 9
        if not self.sleeps:
            return f"memory 0000:00:0a.0\nmemory 0000:00:0b.0\nfailed {self.refuses}\n"
        self.keeps = BLOCK  # a device that was reset forgets
        self.shrunk_with_hog = True
        return ""

    # Hogs

    def _name(self, script: str) -> str:
        return script.partition("/run/kvtools/")[2].partition("/")[0].partition(";")[0]

    def _hog_start(self, script: str) -> str:
        self.hogs[self._name(script)] = 1
        self._answers = getattr(self, "_answers", {})
        self._answers[self._name(script)] = ["KTAP version 1", "ok 1 filled"]
        return ""

    def _hog_command(self, script: str) -> str:
        name = self._name(script)
        word = script.split()[1]
        lines = self._answers[name]
        if self.killed and self.shrunk_with_hog:
            lines.append("# gone")
            self.hogs.pop(name, None)
            return ""
        bad = self.torn and self.shrunk_with_hog
        self.hogs[name] = self.hogs.get(name, 1) + 1
        lines += ["# MiB 3 changed"] * bad
        lines.append(f"{'not ' * bad}ok {self.hogs[name]} {word}")
        if word == "end":
            lines += [f"1..{self.hogs.pop(name)}", "# gone"]
        return ""

    def _hog_said(self, script: str) -> str:
        return "\n".join(self._answers[self._name(script)]) + "\n"

    # Nodes, sysfs, module

    def _node_meminfo(self, _: str) -> str:
        totals = {0: BOOT, 1: 0}
        for at in self.qmp.memory_devices():
            totals[0 if self.node_error else at.node] += self.size(at.name)
        return "".join(f"Node {n} MemTotal: {size // 1024} kB\n" for n, size in totals.items())

    def _node_blocks(self, _: str) -> str:
        return " ".join(
            f"node{at.node}/memory{b}" for at in self.qmp.memory_devices() for b in self.blocks(at))

    def _sysfs(self, script: str) -> str:
        blocks = script.split("blocks.py")[1].replace("'", "").split()
        lines = ["KTAP version 1", f"1..{len(blocks)}"]
        for n, b in enumerate(blocks, 1):
            lines += [f"# before {b} {self.control} 0 online", f"# write {b} state offline EPERM",
                      f"# write {b} online 0 {self.errno}",
                      f"# after {b} {self.control} 0 online", f"ok {n} memory{b}"]
        return "\n".join(lines) + "\n"

    def _rmmod(self, _: str) -> str | int:
        if self.plugged and self.unload == "refused":
            return 1
        self.loaded = self.unload == "leaks"
        if self.plugged and self.unload == "loses":
            self.memtotal_error = -BLOCK
        return ""

    def _set_policy(self, script: str) -> str:
        self.policy = script.split()[1]
        return ""
