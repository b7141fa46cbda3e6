# SPDX-License-Identifier: GPL-2.0-or-later
"""The QMP facade against a fake QEMU on a Unix socket."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_qemu import FakeQemu

from kvtools.errors import GuestLost
from kvtools.qmp import MemoryDevice, Qmp, QmpRefused

VMEM = {"id": "vmem0", "memaddr": 1 << 32, "max-size": 2 << 30, "size": 256 << 20,
        "requested-size": 512 << 20, "block-size": 4 << 20, "node": 1,
        "memdev": "/objects/m"}  # fmt: skip
DIMM = {"id": "dimm0", "addr": 5 << 30, "size": 1 << 28, "slot": 0, "node": 0,
        "memdev": "/objects/d", "hotplugged": True, "hotpluggable": True}  # fmt: skip


def answer(command: str, arguments: dict[str, Any]) -> Any:
    match command:
        case "query-status":
            return {"status": "running", "running": True, "singlestep": False}
        case "query-memory-devices":
            return [{"type": "virtio-mem", "data": VMEM}, {"type": "dimm", "data": DIMM}]
        case "qom-get":
            return VMEM[arguments["property"]]
        case "qom-set" if arguments["value"] % (4 << 20):
            raise ValueError("'requested-size' has to be multiples of 'block-size' (0x400000)")
        case "stall":
            time.sleep(1.0)
    return {}


@pytest.fixture
def qemu(tmp_path: Path) -> Iterator[FakeQemu]:
    fake = FakeQemu(tmp_path / "qmp", answer)
    yield fake
    fake.die()


@pytest.fixture
def qmp(tmp_path: Path, qemu: FakeQemu) -> Iterator[Qmp]:
    with Qmp(tmp_path / "qmp", deadline=5.0) as connected:
        yield connected


def test_sizes(qmp: Qmp, qemu: FakeQemu) -> None:
    assert qmp.status() == "running"
    assert qmp.size("vmem0") == 256 << 20
    assert qmp.requested_size("vmem0") == 512 << 20
    qmp.set_requested_size("vmem0", 8 << 20)
    change = (
        "qom-set",
        {"path": "/machine/peripheral/vmem0", "property": "requested-size", "value": 8 << 20},
    )
    assert qemu.seen[-1] == change
    assert qmp.changes == [change]  # the queries are none


def test_memory_devices(qmp: Qmp) -> None:
    vmem = MemoryDevice(
        "vmem0", "virtio-mem", 1 << 32, 2 << 30, 256 << 20, 512 << 20, 4 << 20, 1
    )
    dimm = MemoryDevice("dimm0", "dimm", 5 << 30, 1 << 28, 1 << 28, 1 << 28, 1 << 28, 0)
    assert qmp.memory_devices() == (vmem, dimm)
    assert qmp.memory_device("dimm0") == dimm
    with pytest.raises(QmpRefused, match="no memory device vmem1"):
        qmp.memory_device("vmem1")


def test_plug_dimm(qmp: Qmp, qemu: FakeQemu) -> None:
    qmp.plug_dimm("dimm1", 1 << 28, node=1)
    assert qemu.seen[-2:] == [
        ("object-add", {"qom-type": "memory-backend-ram", "id": "ram-dimm1", "size": 1 << 28}),
        ("device_add", {"driver": "pc-dimm", "id": "dimm1", "memdev": "ram-dimm1", "node": 1}),
    ]


def test_what_a_reset_does_and_a_dump(qmp: Qmp, qemu: FakeQemu) -> None:
    qmp.set_reboot("reset")
    qmp.dump(Path("/out/region.elf"), only=(1 << 32, 1 << 30))
    assert qemu.seen[-2:] == [
        ("set-action", {"reboot": "reset"}),
        ("dump-guest-memory", {"paging": False, "protocol": "file:/out/region.elf",
                               "format": "elf", "begin": 1 << 32, "length": 1 << 30}),
    ]  # fmt: skip


def test_a_refusal_has_qemus_words(qmp: Qmp) -> None:
    with pytest.raises(QmpRefused, match="has to be multiples of 'block-size'"):
        qmp.set_requested_size("vmem0", 1)


def test_events_in_order_once(qmp: Qmp, qemu: FakeQemu) -> None:
    qemu.event("MEMORY_DEVICE_SIZE_CHANGE", id="vmem0", size=4)
    qmp.status()
    qemu.event("STOP")
    assert [event.name for event in qmp.events()] == ["MEMORY_DEVICE_SIZE_CHANGE", "STOP"]
    assert qmp.events() == ()


def test_the_last_words_of_a_dead_qemu(qmp: Qmp, qemu: FakeQemu) -> None:
    qemu.event("SHUTDOWN", guest=True, reason="guest-reset")
    qemu.die()
    with pytest.raises(GuestLost, match="at query-status"):
        qmp.status()
    (event,) = qmp.events()
    assert (event.name, event.data["reason"]) == ("SHUTDOWN", "guest-reset")
    qmp.quit()


def test_a_qemu_that_hangs(tmp_path: Path, qemu: FakeQemu) -> None:
    with (
        Qmp(tmp_path / "qmp", deadline=0.3) as connected,
        pytest.raises(GuestLost, match="did not answer stall"),
    ):
        connected.execute("stall")


def test_not_there_yet(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Qmp(tmp_path / "none")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "bound"))
    with pytest.raises(ConnectionRefusedError):
        Qmp(tmp_path / "bound")


def test_something_else_listens(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "mute"))
        listener.listen()
        with pytest.raises(GuestLost, match="does not speak QMP"):
            Qmp(tmp_path / "mute", deadline=0.1)
