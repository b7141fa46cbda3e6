# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest is brought to before its memory is dumped, and what the host knows of it then.

Some sections are plugged whole, one in part, chunks of it were plugged and taken away again;
pages with a known content lie in plugged memory. Which chunks are plugged is read from QEMU's
own map (a dump of the device's region has them and nothing else), not from the guest.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvtools import process
from kvtools.qmp import MemoryDevice
from kvtools.scenarios import memory
from kvtools.scenarios.base import GUEST, Guest, Unanswered
from kvtools.vmcore import ElfCore, open_dump, pages
from kvtools.vng import MIB

PLUG_DEADLINE = 10.0
CANARY_DEADLINE = 15.0
COMPILE_DEADLINE = 30.0
# Of sections of 128 MiB: one and a half, then one and a piece. Less is dumped sooner: at level 0
# every page is read and written under TCG.
GROWN, KEPT = 196 * MIB, 140 * MIB
CANARY_MIB = 64  # at most: user memory comes from the device, which is movable, first
_CANARY_SAYS = "/run/kvtools/canary"


@dataclass(frozen=True, slots=True)
class State:
    """``region``, ``plugged`` and ``online`` (the guest's online blocks in the region) are sets
    of page frames, ``size`` is what QMP says is plugged.

    ``canaries`` map page frames in plugged memory to the index of their pattern.
    ``offline`` is how many pages of the region's online blocks the guest calls offline in
    /proc/kpageflags, None where it cannot say.
    """

    device: MemoryDevice
    region: int
    plugged: int
    online: int
    size: int
    token: str
    canaries: Mapping[int, int]
    offline: int | None

    def content(self, frame: int) -> bytes:
        """What has to be in a canary's page."""
        return pattern(self.token, self.canaries[frame])


def pattern(token: str, index: int) -> bytes:
    """What ``canary.c`` writes into a page."""
    return f"{token:>16.16}{index:016x}".encode() * (pages.PAGE // 32)


def resize(guest: Guest, size: int, total: int | None = None) -> int:
    """MemTotal at that size; ``total`` is it before, read when it is not known.

    Raises Unanswered when QEMU's size and MemTotal do not both come to it.
    """
    device = guest.machine.virtio_mem[0].name
    plugged = guest.qmp.size(device)
    if total is None:
        total = guest.meminfo()["MemTotal"]
    guest.qmp.set_requested_size(device, size)
    reached = guest.poll(lambda: guest.qmp.size(device), size.__eq__, PLUG_DEADLINE)
    if not reached.met:
        raise Unanswered(
            "plug", f"asked for {size // MIB} MiB, QEMU says {reached.value // MIB} are plugged"
        )
    expected = total + size - plugged
    shown = guest.poll(lambda: guest.meminfo()["MemTotal"], expected.__eq__, PLUG_DEADLINE)
    if not shown.met:
        raise Unanswered(
            "plug", f"MemTotal is {shown.value // 1024} kB at {size // MIB} MiB plugged, "
            f"not {expected // 1024}"
        )  # fmt: skip
    return expected


def prepare(guest: Guest, sizes: Sequence[int] = (GROWN, KEPT)) -> State:
    """Go through these plugged sizes and put canaries. Raises Unanswered."""
    total = None
    for size in sizes:
        total = resize(guest, size, total)
    return look(guest)


def look(guest: Guest, ranges: Sequence[tuple[int, int]] = ()) -> State:
    """Put canaries and take down what the host knows now. Raises Unanswered.

    ``ranges`` of physical memory each get some (default: anywhere in the device).
    """
    device = guest.qmp.memory_device(guest.machine.virtio_mem[0].name)
    start, end = device.address, device.address + device.region
    token = f"kv{guest.source.commit[:14]:0<14}"
    placed = canaries_in(guest, token, CANARY_MIB, ranges or [(start, end)])
    canaries = {frame: index for part in placed.values() for frame, index in part.items()}
    view = memory.look(guest)
    blocks = view.online_in(start, end)
    online = pages.spans((b * view.block_size, (b + 1) * view.block_size) for b in blocks)
    offline = None
    if memory.shows_offline(guest):
        offline = memory.offline_bytes(guest, view, blocks) // memory.PAGE
    plugged = plugged_map(guest, device)
    outside = [frame for frame in canaries if not plugged >> frame & 1]
    if outside:
        raise Unanswered(
            "canary", f"the guest uses page {outside[0]:#x}, which QEMU says is not plugged"
        )
    region = pages.span(start, end)
    return State(device, region, plugged, online, device.size, token, canaries, offline)


def plugged_map(guest: Guest, device: MemoryDevice) -> int:
    """The page frames of the device that QEMU has plugged, by a dump of nothing else."""
    if device.size == 0:
        return 0
    path = guest.out / "plugged.elf"
    guest.qmp.dump(path, only=(device.address, device.region))
    try:
        with open_dump(path) as dump:
            assert isinstance(dump, ElfCore)
            found = dump.present
    finally:
        path.unlink(missing_ok=True)
    if pages.count(found) * pages.PAGE != device.size:
        raise Unanswered(
            "plugged", f"QEMU dumps {pages.count(found) * pages.PAGE // MIB} MiB of the device "
            f"and says that {device.size // MIB} are plugged"
        )  # fmt: skip
    return found


def canaries_in(
    guest: Guest, token: str, mebibytes: int, ranges: Sequence[tuple[int, int]]
) -> dict[int, dict[int, int]]:
    """Put pages with a known content into ranges of physical memory and say where.

    By start of range: page frame to index. Raises Unanswered when a range got none, ToolFailed
    when the program cannot be compiled. The program that holds them goes on running.
    """
    words = [str(compiled(guest, "canary")), str(mebibytes), token]
    words += [f"{start:x}-{end:x}" for start, end in ranges]
    said = guest.sh(_until("ready", shlex.join(words), _CANARY_SAYS), CANARY_DEADLINE).text
    found = parse_canaries(said)
    if not said.endswith("ready\n") or any(not found.get(start) for start, _ in ranges):
        raise Unanswered("canary", f"no page with a known content in the device: {said[-80:]!r}")
    return found


def compiled(guest: Guest, name: str) -> Path:
    """A C program of ours, compiled on the host, which is the guest's root. Raises ToolFailed."""
    program = guest.out / name
    words = ["gcc", "-O1", "-o", str(program), str(GUEST / f"{name}.c")]
    process.run(words, deadline=COMPILE_DEADLINE)
    guest.on_host.extend([shlex.join(["mkdir", "-p", str(guest.out)]), shlex.join(words)])
    return program


def _until(last: str, command: str, pipe: str) -> str:
    """A script that leaves ``command`` running and ends when it has said a line ``last``.

    One question and no process but the command: asking again and again what it has said takes
    the processor from it. It also ends when the command does.
    """
    return (
        f"mkfifo {pipe} && {{ setsid {command} </dev/null >{pipe} 2>&1 & "
        f"while read -r line; do echo \"$line\"; [ \"$line\" != {last} ] || break; done <{pipe}; }}"
    )


def parse_canaries(text: str) -> dict[int, dict[int, int]]:
    """What ``canary.c`` prints: ``START FRAME:INDEX ...`` for each range.

    >>> parse_canaries("100000 256:0 257:9\\nready\\n")
    {1048576: {256: 0, 257: 9}}
    """
    found: dict[int, dict[int, int]] = {}
    for line in text.splitlines():
        start, *places = line.split()
        if start == "ready" or any(":" not in place for place in places):
            continue
        try:
            pairs = [place.split(":") for place in places]
            found[int(start, 16)] = {int(frame): int(index) for frame, index in pairs}
        except ValueError:
            continue  # a traceback
    return found


def load(guest: Guest, how: str) -> None:
    """Load the crash kernel: ``-s`` kexec_file_load, ``-c`` kexec_load. Raises Unanswered."""
    script = shlex.join(["sh", str(GUEST / "kdump-load.sh"), how])
    image = guest.share / "bzImage"
    if not image.exists():
        shutil.copyfile(guest.image / "bzImage", image)
        guest.on_host.append(shlex.join(["mkdir", "-p", str(guest.share)]))
        guest.on_host.append(shlex.join(["cp", str(guest.image / "bzImage"), str(image)]))
    result = guest.sh(script, 20.0)
    if not result.ok:
        raise Unanswered("kexec", f"no crash kernel could be loaded: {result.complaint}")
