# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether KVM runs 64-bit code on this machine: found out by running some.

/dev/kvm alone proves nothing. Nested hosts were met where it opens, runs 16- and 32-bit
code, and hangs for ever at the first 64-bit instruction.
"""

from __future__ import annotations

import json
import os
import platform
import struct
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from kvtools import process
from kvtools.errors import ToolFailed, ToolMissing, ToolTimeout, UserError

QEMU = "qemu-system-x86_64"
QEMU_FIX = "apt-get install qemu-system-x86"
PROBE_DEADLINE = 10.0
PROBE_EXIT = 33  # isa-debug-exit ends QEMU with (value << 1) | 1; the image writes 0x10
CPUINFO = Path("/proc/cpuinfo")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
KVM = Path("/dev/kvm")


@dataclass(frozen=True, slots=True)
class Accel:
    """How guests run: ``name`` is ``kvm`` or ``tcg``, ``reason`` one line saying why."""

    name: str
    reason: str


def probe(*, override: str | None = None, cache: Path | None = None) -> Accel:
    """The accelerator to use here.

    ``override`` is believed without a probe; anything but ``kvm`` and ``tcg`` raises
    UserError. With ``cache``, a directory, the probe runs once per boot of the host.
    """
    if override is not None:
        if override not in ("kvm", "tcg"):
            raise UserError(f"no accelerator {override!r}", fix="use kvm or tcg")
        return Accel(override, "asked for")
    plain = _without_running(CPUINFO.read_text(errors="replace"), KVM)
    if plain is not None:
        return plain
    boot = BOOT_ID.read_text().strip()
    known = _recall(cache, boot) if cache else None
    if known is not None:
        return known
    found = _run_probe()
    if cache:
        _remember(cache, boot, found)
    return found


def _without_running(cpuinfo: str, device: Path) -> Accel | None:
    """TCG where it is plain that KVM cannot work, None where it has to be tried."""
    if platform.machine() != "x86_64":
        return Accel("tcg", f"the host is {platform.machine()}, the guest x86_64")
    flags = {
        flag
        for line in cpuinfo.splitlines()
        if line.startswith("flags")
        for flag in line.partition(":")[2].split()
    }
    if not flags & {"vmx", "svm"}:
        return Accel("tcg", "no vmx or svm in /proc/cpuinfo")
    if not device.exists():
        return Accel("tcg", f"no {device}: load kvm_intel or kvm_amd")
    if not os.access(device, os.R_OK | os.W_OK):
        return Accel("tcg", f"no permission for {device}: join the group kvm")
    return None


def _run_probe() -> Accel:
    try:
        status = run_image("kvm", PROBE_DEADLINE)
    except ToolTimeout:
        return Accel("tcg", f"KVM hung in 64-bit code ({PROBE_DEADLINE:.0f} s)")
    except ToolMissing as error:
        raise ToolMissing(error.message, fix=QEMU_FIX) from error
    if status == PROBE_EXIT:
        return Accel("kvm", "ran 64-bit code")
    return Accel("tcg", f"KVM did not run 64-bit code (QEMU exit {status})")


def run_image(accel: str, deadline: float) -> int:
    """QEMU's exit status after running the image; raises ToolTimeout when it hangs."""
    with tempfile.TemporaryDirectory(prefix="kvtools-probe-") as directory:
        image = Path(directory, "probe.img")
        image.write_bytes(probe_image())
        try:
            return process.run(image_args(accel, image), deadline=deadline, check=False).returncode
        except ToolTimeout:
            raise
        except ToolFailed:
            return -1


def image_args(accel: str, image: Path) -> tuple[str, ...]:
    cpu = "host" if accel == "kvm" else "max"
    return (
        QEMU, "-nodefaults", "-display", "none", "-no-reboot", "-m", "64M",
        "-machine", f"q35,accel={accel}", "-cpu", cpu,
        "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
        "-kernel", str(image),
    )  # fmt: skip


def _recall(cache: Path, boot: str) -> Accel | None:
    try:
        record = json.loads((cache / "accel.json").read_text())
        return Accel(record["name"], record["reason"]) if record["boot"] == boot else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(cache: Path, boot: str, found: Accel) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    fresh = cache / f"accel.json.{os.getpid()}"
    fresh.write_text(json.dumps({"boot": boot, **asdict(found)}))
    fresh.replace(cache / "accel.json")


LOAD = 0x100000  # where the image is loaded: 1 MiB, as the multiboot specification asks
_HEADER = 32
_CODE64 = LOAD + 0x80
_GDT = LOAD + 0xC0
_PML4, _PDPT, _PD = LOAD + 0x1000, LOAD + 0x2000, LOAD + 0x3000
_END = LOAD + 0x4000
_PRESENT, _WRITE, _HUGE = 1, 2, 0x80


def probe_image() -> bytes:
    """A multiboot v1 image (flat, its addresses in the header) that enters long mode.

    Layout from :data:`LOAD`: header, 32-bit code at +0x20, 64-bit code at +0x80, GDT and
    its pointer at +0xc0, then one page each of PML4, PDPT and PD mapping the first 2 MiB.
    Sources: Multiboot Specification 0.6.96; Intel SDM volume 3, 10.8.5.
    """
    image = bytearray(_END - LOAD)

    def put(address: int, data: bytes) -> None:
        image[address - LOAD : address - LOAD + len(data)] = data

    put(LOAD, _header())
    put(LOAD + _HEADER, _code32())
    put(_CODE64, _code64())
    # Null, 64-bit code (present, executable, L bit), then what lgdt reads: limit and base.
    put(_GDT, struct.pack("<QQHI", 0, 0x00209A0000000000, 15, _GDT))
    put(_PML4, struct.pack("<Q", _PDPT | _WRITE | _PRESENT))
    put(_PDPT, struct.pack("<Q", _PD | _WRITE | _PRESENT))
    put(_PD, struct.pack("<Q", _HUGE | _WRITE | _PRESENT))
    return bytes(image)


def _header() -> bytes:
    magic, flags = 0x1BADB002, 1 << 16  # bit 16: the address fields are valid
    checksum = -(magic + flags) & 0xFFFFFFFF
    header = LOAD
    entry = LOAD + _HEADER
    return struct.pack("<8I", magic, flags, checksum, header, LOAD, _END, _END, entry)


def _code32() -> bytes:
    return b"".join((
        b"\xfa",                                          # cli
        b"\x0f\x20\xe0\x83\xc8\x20\x0f\x22\xe0",          # cr4 |= PAE
        b"\xb8" + struct.pack("<I", _PML4),               # mov eax, PML4
        b"\x0f\x22\xd8",                                  # mov cr3, eax
        b"\xb9\x80\x00\x00\xc0\x0f\x32",                  # rdmsr EFER
        b"\x0d\x00\x01\x00\x00\x0f\x30",                  # wrmsr EFER | LME
        b"\x0f\x20\xc0\x0d\x00\x00\x00\x80\x0f\x22\xc0",  # cr0 |= PG
        b"\x0f\x01\x15" + struct.pack("<I", _GDT + 16),   # lgdt
        b"\xea" + struct.pack("<IH", _CODE64, 8),         # ljmp 8:_CODE64
    ))  # fmt: skip


def _code64() -> bytes:
    # 0x10 comes out of the upper half of a 64-bit register: 32-bit code would write another.
    return b"".join((
        b"\x48\xb8" + struct.pack("<Q", 0x10 << 32),      # movabs rax, 0x10 << 32
        b"\x48\xc1\xe8\x20",                              # shr rax, 32
        b"\xe6\xf4",                                      # out 0xf4, al
        b"\xf4\xeb\xfd",                                  # hlt; jmp to the hlt
    ))  # fmt: skip
