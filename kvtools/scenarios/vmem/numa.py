# SPDX-License-Identifier: GPL-2.0-or-later
"""``vmem.numa``: the memory of a device belongs to the device's node (VIRTIO_MEM_F_ACPI_PXM)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kvtools.qmp import MemoryDevice
from kvtools.scenarios import memory
from kvtools.scenarios.base import Guest, Scenario, Subtest, subtest
from kvtools.scenarios.vmem import device
from kvtools.vng import MIB

SIZE = 384 * MIB


def _numa(guest: Guest) -> Iterator[Subtest]:
    """The devices grow one after the other, so that each is seen on its own, and shrink."""
    plugged: dict[MemoryDevice, int] = {}
    before = node_totals(guest)
    for size, verb in ((SIZE, "grow"), (0, "shrink")):
        for at in device.devices(guest):
            reached = device.resize(guest, at, size)
            same = [other for other in plugged if other.name != at.name]
            plugged = {other: plugged[other] for other in same} | {at: reached.value}
            wrong = _wrong(guest, before, plugged)
            if not reached.met:
                wrong = f"{reached.value // MIB} of {size // MIB} MiB are plugged; {wrong}"
            yield subtest(
                f"{device.label(at)}.{verb}",
                not wrong,
                wrong or f"node {at.node} has {size // MIB} MiB of it, no other node changed",
                node=at.node,
                size=reached.value,
            )


def _wrong(guest: Guest, before: Mapping[int, int], plugged: Mapping[MemoryDevice, int]) -> str:
    expected = dict(before)
    for at, size in plugged.items():
        expected[at.node] = expected.get(at.node, 0) + size
    totals = guest.poll(
        lambda: node_totals(guest), lambda now: _same(now, expected), device.SETTLE_DEADLINE
    )
    if not totals.met:
        return f"the nodes have {_shown(totals.value)}, not {_shown(expected)}"
    view = memory.look(guest)
    nodes = block_nodes(guest)
    for at in plugged:
        for block in view.online_in(at.address, at.address + at.region):
            if nodes.get(block) != at.node:
                return f"memory block {block} of {at.name} is on node {nodes.get(block)}"
    return ""


def _same(now: Mapping[int, int], expected: Mapping[int, int]) -> bool:
    """A node without memory may be listed or not."""
    return all(now.get(n, 0) == expected.get(n, 0) for n in {*now, *expected})


def _shown(totals: Mapping[int, int]) -> str:
    return ", ".join(f"{n}: {size // 1024} kB" for n, size in sorted(totals.items()))


def node_totals(guest: Guest) -> dict[int, int]:
    """Bytes of memory by node."""
    text = guest.sh("cat /sys/devices/system/node/node*/meminfo").text
    words = [line.split() for line in text.splitlines()]
    return {int(w[1]): int(w[3]) * 1024 for w in words if w[:1] == ["Node"] and w[2] == "MemTotal:"}


def block_nodes(guest: Guest) -> dict[int, int]:
    """Memory block to node, from the links below the nodes."""
    text = guest.sh("cd /sys/devices/system/node && echo node*/memory*").text
    found = {}
    for word in text.split():
        node, _, block = word.partition("/memory")
        if block.isdigit():
            found[int(block)] = int(node.removeprefix("node"))
    return found


def numa() -> Scenario:
    return device.scenario("vmem.numa", _numa, "vmem-numa", deadline=90.0)
