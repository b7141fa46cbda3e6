# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line that starts a guest with virtme-ng.

vng is GPL-2.0-only and has no stable Python API: it is run as a program. It joins its
arguments into a shell line without quoting most of them, so every path it is given lies
in a short directory of ours, the run directory (:class:`Places`).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from kvtools import process
from kvtools.errors import MachineError, ToolMissing

PORT = "kvtools.channel"  # the virtio-serial port of the guest agent
SHARE = "kvtools.share"  # the mount tag of a directory that the guest may write to
HIDDEN = ("/tmp", "/var", "/run")  # virtme-init, mount_sys_filesystems() and what is before it
SOCKET_LIMIT = 107  # sun_path of sockaddr_un without its NUL
MIB = 1 << 20

ROOT_FLAGS = "rootflags=version=9p2000.L,trans=virtio,access=any,msize=524288,cache=loose"
"""vng's own with a cache, see Documentation/filesystems/9p.rst."""
_CRASH_KERNEL = re.compile(r"crashkernel=(\d+)M")


@dataclass(frozen=True, slots=True)
class Node:
    """A NUMA node: boot memory in bytes (0: none) and its CPUs as in ``-numa``'s ``cpus=``."""

    memory: int
    cpus: str = ""


@dataclass(frozen=True, slots=True)
class VirtioMem:
    """A virtio-mem device; sizes in bytes. ``requested`` is the requested size at boot."""

    name: str = "vmem0"
    size: int = 2 << 30
    block_size: int = 4 * MIB
    requested: int = 0
    node: int = 0

    @property
    def backend(self) -> str:
        return "ram-" + self.name


@dataclass(frozen=True, slots=True)
class Machine:
    """What a guest consists of; ``type`` is QEMU's machine type.

    ``memory`` is the boot memory, with ``nodes`` their sum; ``maxmem`` and ``slots`` are
    what hotplug may reach. ``kernel_args`` go behind vng's own on the kernel command line.
    ``share``: a directory of the host over 9p, writable; ``vmcoreinfo``: the device through
    which the kernel tells QEMU its VMCOREINFO.
    """

    type: str = "q35"
    memory: int = 512 * MIB
    cpus: int = 2
    maxmem: int = 0
    slots: int = 0
    nodes: tuple[Node, ...] = ()
    virtio_mem: tuple[VirtioMem, ...] = ()
    balloon: bool = False
    share: bool = False
    vmcoreinfo: bool = False
    kernel_args: tuple[str, ...] = ()

    def with_more(self, memory: int) -> Machine:
        """The machine with so many bytes of boot memory more, on its first node.

        A crash kernel is the same kernel and needs more as well: a quarter of that.
        """
        nodes = self.nodes
        if nodes:
            nodes = (replace(nodes[0], memory=nodes[0].memory + memory), *nodes[1:])
        maxmem = self.maxmem + memory if self.maxmem else 0
        arguments = tuple(
            f"crashkernel={int(crash[1]) + memory // 4 // MIB}M"
            if (crash := _CRASH_KERNEL.fullmatch(word)) else word for word in self.kernel_args)
        return replace(self, memory=self.memory + memory, maxmem=maxmem, nodes=nodes,
                       kernel_args=arguments)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the files of one running guest are; raises MachineError on too long a path."""

    directory: Path

    def __post_init__(self) -> None:
        if len(os.fsencode(self.channel)) > SOCKET_LIMIT:
            raise MachineError(
                f"the path {self.channel} is too long for a socket",
                fix="set TMPDIR to a shorter directory",
            )

    @property
    def image(self) -> Path:
        # vng finds modules in lib/modules above the image.
        return self.directory / "boot" / "bzImage"

    @property
    def modules(self) -> Path:
        return self.directory / "lib" / "modules"

    @property
    def qmp(self) -> Path:
        return self.directory / "qmp"

    @property
    def channel(self) -> Path:
        return self.directory / "channel"

    @property
    def console(self) -> Path:
        return self.directory / "console.log"

    @property
    def share(self) -> Path:
        return self.directory / "share"

    @property
    def pid(self) -> Path:
        return self.directory / "qemu.pid"


def argv(
    machine: Machine,
    places: Places,
    *,
    accel: str,
    command: str | None,
    modules: bool = False,
    scripts: Path | None = None,
) -> tuple[str, ...]:
    """The whole vng command. ``command`` runs in the guest as root; None is a shell for the
    terminal, with the kernel log on it as well. ``scripts``: a directory of the host that the
    guest has to see under the same path. Raises ToolMissing.
    """
    program = process.which("vng")
    if program is None:
        raise ToolMissing("vng (virtme-ng) is not installed", fix="start kvtools with ./kv")
    return (
        str(program),
        *kernel_args(places, modules),
        *accel_args(accel),
        *machine_args(machine),
        *append_args(machine),
        *command_args(command),
        *scripts_args(scripts),
        "--qemu-opts=" + " ".join(qemu_args(machine, places, interactive=command is None)),
    )


def kernel_args(places: Places, modules: bool) -> tuple[str, ...]:
    wanted = () if modules else ("--skip-modules",)
    return ("--run", str(places.image), *wanted)


def accel_args(accel: str) -> tuple[str, ...]:
    """microvm has no memory hotplug; virtiofsd is slow to fail where it does not work."""
    slow = ("--disable-kvm",) if accel == "tcg" else ()
    return (*slow, "--disable-microvm", "--force-9p")


def machine_args(machine: Machine) -> tuple[str, ...]:
    return ("--memory", mebibytes(machine.memory), "--cpus", str(machine.cpus))


def append_args(machine: Machine) -> tuple[str, ...]:
    """The last rootflags count. vng gives the root no cache, and then every page of a program
    is asked of the host by itself, each time it is started. It is mounted read-only and nobody
    changes what a guest reads of it, which is what the mode is for.
    """
    arguments = (ROOT_FLAGS, *machine.kernel_args)
    return tuple(word for arg in arguments for word in ("--append", arg))


def command_args(command: str | None) -> tuple[str, ...]:
    """-v, so that the kernel log is on the console. Without a command vng gives a shell."""
    if command is None:
        return ("--cwd", "/", "--user", "root")
    return ("--verbose", "--cwd", "/", "--exec", command)


def scripts_args(scripts: Path | None) -> tuple[str, ...]:
    """The guest's root is the host's, but its init mounts empty file systems over parts of it."""
    hidden = scripts is not None and any(scripts.is_relative_to(one) for one in HIDDEN)
    return (f"--rodir={scripts}",) if hidden else ()


def qemu_args(machine: Machine, places: Places, *, interactive: bool) -> tuple[str, ...]:
    """What goes to QEMU behind vng's own arguments.

    The channel before the memory: devices suspend in the reverse of the order in which they
    were found, and one that the memory refuses is not to have cut the channel by then.
    """
    return (
        *(() if interactive else channel_args(places)),
        *type_args(machine),
        *hotplug_args(machine),
        *node_args(machine),
        *virtio_mem_args(machine.virtio_mem),
        *balloon_args(machine),
        *share_args(machine, places),
        *vmcoreinfo_args(machine),
        *qmp_args(places),
        *(() if interactive else console_args(places)),
    )


def type_args(machine: Machine) -> tuple[str, ...]:
    """QEMU merges this -machine with vng's, which differs between KVM and TCG."""
    return ("-machine", machine.type)


def hotplug_args(machine: Machine) -> tuple[str, ...]:
    """QEMU merges this -m with vng's."""
    if not machine.maxmem:
        return ()
    slots = f",slots={machine.slots}" if machine.slots else ""
    return ("-m", f"maxmem={mebibytes(machine.maxmem)}{slots}")


def node_args(machine: Machine) -> tuple[str, ...]:
    args: list[str] = []
    for number, node in enumerate(machine.nodes):
        words = [f"node,nodeid={number}"]
        if node.memory:
            size = mebibytes(node.memory)
            args += ["-object", f"memory-backend-ram,id=boot{number},size={size}"]
            words.append(f"memdev=boot{number}")
        if node.cpus:
            words.append(f"cpus={node.cpus}")
        args += ["-numa", ",".join(words)]
    return tuple(args)


def virtio_mem_args(devices: tuple[VirtioMem, ...]) -> tuple[str, ...]:
    args: list[str] = []
    for device in devices:
        args += ["-object", f"memory-backend-ram,id={device.backend},size={device.size}"]
        args += [
            "-device",
            f"virtio-mem-pci,id={device.name},memdev={device.backend},"
            f"block-size={device.block_size},requested-size={device.requested},"
            f"node={device.node}",
        ]
    return tuple(args)


def balloon_args(machine: Machine) -> tuple[str, ...]:
    return ("-device", "virtio-balloon-pci,id=balloon0") if machine.balloon else ()


def share_args(machine: Machine, places: Places) -> tuple[str, ...]:
    """Nothing is mapped: files belong to whoever runs QEMU."""
    if not machine.share:
        return ()
    return (
        "-fsdev", f"local,id=kvtools-share,path={places.share},security_model=none",
        "-device", f"virtio-9p-pci,fsdev=kvtools-share,mount_tag={SHARE}",
    )  # fmt: skip


def vmcoreinfo_args(machine: Machine) -> tuple[str, ...]:
    return ("-device", "vmcoreinfo") if machine.vmcoreinfo else ()


def qmp_args(places: Places) -> tuple[str, ...]:
    return ("-qmp", f"unix:{places.qmp},server=on,wait=off", "-pidfile", str(places.pid))


def channel_args(places: Places) -> tuple[str, ...]:
    """A controller of our own: the ones of vng have no names to refer to."""
    return (
        "-chardev", f"socket,id=kvtools,path={places.channel},server=on,wait=off",
        "-device", "virtio-serial-pci,id=kvtools-serial",
        "-device", f"virtserialport,bus=kvtools-serial.0,chardev=kvtools,name={PORT}",
    )  # fmt: skip


def console_args(places: Places) -> tuple[str, ...]:
    """vng's console goes to its standard error; this moves it into a file of its own."""
    return ("-set", f"chardev.console.path={places.console}")


def environment(places: Places) -> dict[str, str]:
    """HOME is ours: the user's own virtme-ng.conf must not change what is tested."""
    return {"HOME": str(places.directory)}


def mebibytes(size: int) -> str:
    """``size`` bytes as QEMU and vng write it; sizes here are whole mebibytes."""
    return f"{size // MIB}M"
