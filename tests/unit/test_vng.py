# SPDX-License-Identifier: GPL-2.0-or-later
"""Every part of vng's command line, and the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvtools import process, vng
from kvtools.errors import MachineError, ToolMissing
from kvtools.vng import Machine, Node, Places, VirtioMem

MIB = 1 << 20
PLACES = Places(Path("/tmp/kv.1"))


def test_kernel() -> None:
    assert vng.kernel_args(PLACES, modules=False) == (
        "--run", "/tmp/kv.1/boot/bzImage", "--skip-modules",
    )  # fmt: skip
    assert vng.kernel_args(PLACES, modules=True) == ("--run", "/tmp/kv.1/boot/bzImage")


def test_accel() -> None:
    assert vng.accel_args("tcg") == ("--disable-kvm", "--disable-microvm", "--force-9p")
    assert vng.accel_args("kvm") == ("--disable-microvm", "--force-9p")


def test_machine() -> None:
    assert vng.machine_args(Machine(memory=768 * MIB, cpus=3)) == (
        "--memory", "768M", "--cpus", "3",
    )  # fmt: skip


def test_append() -> None:
    assert vng.append_args(Machine(kernel_args=("a=1", "b"))) == (
        "--append", vng.ROOT_FLAGS, "--append", "a=1", "--append", "b",
    )  # fmt: skip


def test_command() -> None:
    assert vng.command_args("sh x") == ("--verbose", "--cwd", "/", "--exec", "sh x")
    assert vng.command_args(None) == ("--cwd", "/", "--user", "root")


def test_hotplug() -> None:
    assert vng.hotplug_args(Machine()) == ()
    assert vng.hotplug_args(Machine(maxmem=8 << 30)) == ("-m", "maxmem=8192M")
    assert vng.hotplug_args(Machine(maxmem=8 << 30, slots=4)) == ("-m", "maxmem=8192M,slots=4")


def test_nodes() -> None:
    machine = Machine(nodes=(Node(512 * MIB, "0-1"), Node(0)))
    assert vng.node_args(machine) == (
        "-object", "memory-backend-ram,id=boot0,size=512M",
        "-numa", "node,nodeid=0,memdev=boot0,cpus=0-1",
        "-numa", "node,nodeid=1",
    )  # fmt: skip


def test_more_memory_is_on_the_first_node() -> None:
    more = Machine(memory=MIB, maxmem=4 * MIB, nodes=(Node(MIB, "0"), Node(0))).with_more(MIB)
    assert (more.memory, more.maxmem, [node.memory for node in more.nodes]) == (
        2 * MIB, 5 * MIB, [2 * MIB, 0])
    plain = Machine(memory=MIB).with_more(MIB)
    assert (plain.memory, plain.maxmem, plain.nodes) == (2 * MIB, 0, ())
    assert plain.with_more(0) == plain


def test_a_crash_kernel_gets_a_quarter_of_the_memory_that_there_is_more() -> None:
    machine = Machine(memory=MIB, kernel_args=("quiet", "crashkernel=64M", "crashkernel=1G,high"))
    assert machine.with_more(1024 * MIB).kernel_args == (
        "quiet", "crashkernel=320M", "crashkernel=1G,high")
    assert machine.with_more(0) == machine


def test_virtio_mem() -> None:
    device = VirtioMem("vmem3", size=1 << 30, block_size=4 * MIB, requested=8 * MIB, node=1)
    assert vng.virtio_mem_args((device,)) == (
        "-object", "memory-backend-ram,id=ram-vmem3,size=1073741824",
        "-device", "virtio-mem-pci,id=vmem3,memdev=ram-vmem3,block-size=4194304,"
        "requested-size=8388608,node=1",
    )  # fmt: skip


def test_qmp_channel_and_console() -> None:
    assert vng.qmp_args(PLACES) == (
        "-qmp", "unix:/tmp/kv.1/qmp,server=on,wait=off", "-pidfile", "/tmp/kv.1/qemu.pid",
    )  # fmt: skip
    assert vng.channel_args(PLACES) == (
        "-chardev", "socket,id=kvtools,path=/tmp/kv.1/channel,server=on,wait=off",
        "-device", "virtio-serial-pci,id=kvtools-serial",
        "-device", "virtserialport,bus=kvtools-serial.0,chardev=kvtools,name=kvtools.channel",
    )  # fmt: skip
    assert vng.console_args(PLACES) == ("-set", "chardev.console.path=/tmp/kv.1/console.log")


def test_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "which", lambda name: Path("/venv/bin", name))
    argv = vng.argv(Machine(virtio_mem=(VirtioMem(),)), PLACES, accel="tcg", command="sh x")
    assert argv[:3] == ("/venv/bin/vng", "--run", "/tmp/kv.1/boot/bzImage")
    assert argv[-1].startswith("--qemu-opts=-chardev socket,id=kvtools")
    # What is suspended first was found last: the memory, which refuses, before the channel.
    assert argv[-1].index("virtserialport") < argv[-1].index("id=ram-vmem0")
    shell = vng.argv(Machine(), PLACES, accel="tcg", command=None)
    assert "--exec" not in shell
    # The console of an interactive guest is the terminal.
    assert "chardev.console" not in shell[-1]
    assert "-qmp unix:/tmp/kv.1/qmp" in shell[-1]


def test_vng_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "which", lambda name: None)
    with pytest.raises(ToolMissing, match="virtme-ng"):
        vng.argv(Machine(), PLACES, accel="tcg", command=None)


def test_a_path_too_long_for_a_socket() -> None:
    Places(Path("/" + 98 * "x"))
    with pytest.raises(MachineError, match="TMPDIR"):
        Places(Path("/" + 99 * "x"))


def test_home_is_ours() -> None:
    assert vng.environment(PLACES) == {"HOME": "/tmp/kv.1"}


def test_a_share_and_the_vmcoreinfo_device() -> None:
    places = Places(Path("/tmp/kv"))
    plain = vng.qemu_args(Machine(), places, interactive=False)
    assert not any("kvtools-share" in arg or arg == "vmcoreinfo" for arg in plain)
    assert vng.share_args(Machine(share=True), places) == (
        "-fsdev", "local,id=kvtools-share,path=/tmp/kv/share,security_model=none",
        "-device", "virtio-9p-pci,fsdev=kvtools-share,mount_tag=kvtools.share",
    )  # fmt: skip
    assert vng.vmcoreinfo_args(Machine(vmcoreinfo=True)) == ("-device", "vmcoreinfo")


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("/home/me/kvtools/kvtools/guest", False),
        ("/variety/guest", False),
        ("/tmp/kvtools/kvtools/guest", True),
        ("/var/tmp/clone/kvtools/guest", True),
        ("/run/user/1000/guest", True),
    ],
)
def test_scripts_are_shown_where_the_guest_hides_the_host(where: str, shown: bool) -> None:
    assert vng.scripts_args(Path(where)) == ((f"--rodir={where}",) if shown else ())
    assert vng.scripts_args(None) == ()
