# SPDX-License-Identifier: GPL-2.0-or-later
"""QMP, the QEMU Machine Protocol, as plain calls: a facade over the asyncio of qemu.qmp.

One :class:`Qmp` belongs to one thread. Nothing runs between the calls: events that come
meanwhile wait in the socket and are read by :meth:`Qmp.events`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from qemu.qmp import ConnectError, ExecuteError, QMPClient, QMPError

from kvtools.errors import GuestLost, ToolFailed
from kvtools.model import Json

T = TypeVar("T")

DEADLINE = 20.0  # QEMU answers at once; this only bounds a QEMU that hangs
READING = ("query-", "qom-get", "quit")  # changes nothing in a guest that is to go on
DRAIN = 0.05  # for what already lies in the socket to be read
LIMIT = 16 << 20  # bytes of one message

# Its warnings about a killed QEMU go to standard error otherwise; we raise instead.
logging.getLogger("qemu.qmp").addHandler(logging.NullHandler())
logging.getLogger("qemu.qmp").propagate = False


class QmpRefused(ToolFailed):
    """QEMU understood the command and refused it."""


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    data: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class MemoryDevice:
    """One line of query-memory-devices. Sizes in bytes, ``size`` what is plugged.

    ``address`` is where its region begins in guest physical memory, ``region`` how long
    it is. For a DIMM ``size``, ``requested`` and ``region`` are the same.
    """

    name: str
    kind: str
    address: int
    region: int
    size: int
    requested: int
    block_size: int
    node: int


class Qmp:
    """A connection to one QEMU; a context manager.

    ``changes`` are the commands that changed something, with their arguments.
    """

    def __init__(self, path: Path, *, deadline: float = DEADLINE) -> None:
        """Connect and negotiate.

        Raises FileNotFoundError or ConnectionRefusedError while QEMU does not listen yet,
        GuestLost when it listens and does not speak QMP in time.
        """
        if not path.exists():  # the usual case while QEMU starts; spares an event loop
            raise FileNotFoundError(path)
        self.changes: list[tuple[str, Mapping[str, Json]]] = []
        self._deadline = deadline
        self._loop = asyncio.new_event_loop()
        self._client = QMPClient("kvtools")
        self._client._readbuflen = LIMIT
        try:
            self._await(self._client.connect(str(path)))
        except (ConnectError, TimeoutError) as error:
            self.close()
            cause = getattr(error, "exc", error)
            if isinstance(cause, FileNotFoundError | ConnectionRefusedError):
                raise cause from error
            raise GuestLost(f"QEMU does not speak QMP: {str(cause) or 'no answer'}") from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Qmp:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._loop.is_closed():
            return
        # After a kill of QEMU disconnect() reports how the connection was lost: known by then.
        with suppress(QMPError, OSError, EOFError, TimeoutError):
            self._await(self._client.disconnect())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def execute(self, command: str, **arguments: Json) -> Json:
        """The ``return`` of a command; an underscore in a name stands for a hyphen.

        Raises QmpRefused with QEMU's words, GuestLost when QEMU is gone or silent.
        """
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        if not command.startswith(READING):
            self.changes.append((command, named))
        try:
            return self._await(self._client.execute(command, named or None))
        except ExecuteError as error:
            raise QmpRefused(f"QEMU refused {command} {named or ''}: {error}") from error
        except TimeoutError as error:
            raise GuestLost(
                f"QEMU did not answer {command} within {self._deadline:.0f} s"
            ) from error
        except (QMPError, OSError, EOFError) as error:
            raise GuestLost(f"QEMU closed its QMP socket at {command}") from error

    def status(self) -> str:
        """The run state: ``running``, ``paused``, ``guest-panicked``, ..."""
        return cast(str, self.execute("query-status")["status"])

    def size(self, device: str) -> int:
        """Bytes the guest has plugged of a virtio-mem device."""
        return cast(int, self._get(device, "size"))

    def requested_size(self, device: str) -> int:
        return cast(int, self._get(device, "requested-size"))

    def set_requested_size(self, device: str, size: int) -> None:
        """Ask the guest for ``size`` bytes: a multiple of the block size, else QmpRefused."""
        self.execute(
            "qom-set", path=f"/machine/peripheral/{device}", property="requested-size", value=size
        )

    def set_balloon(self, left: int) -> None:
        """Tell the balloon to inflate until ``left`` bytes of boot memory remain."""
        self.execute("balloon", value=left)

    def balloon(self) -> int:
        """Bytes of boot memory that the balloon left to the guest."""
        return cast(int, self.execute("query-balloon")["actual"])

    def memory_devices(self) -> tuple[MemoryDevice, ...]:
        found = self.execute("query-memory-devices")
        return tuple(_device(entry["type"], entry["data"]) for entry in found)

    def memory_device(self, name: str) -> MemoryDevice:
        """Raises QmpRefused when there is none of that name."""
        for device in self.memory_devices():
            if device.name == name:
                return device
        raise QmpRefused(f"QEMU has no memory device {name}")

    def plug_dimm(self, name: str, size: int, node: int = 0) -> None:
        """Hot-add a pc-dimm; QEMU is content whether or not the guest takes it."""
        backend = f"ram-{name}"
        self.execute("object-add", qom_type="memory-backend-ram", id=backend, size=size)
        self.execute("device_add", driver="pc-dimm", id=name, memdev=backend, node=node)

    def set_reboot(self, action: str) -> None:
        """What a reset by the guest does: ``reset``, or ``shutdown`` to end QEMU."""
        self.execute("set-action", reboot=action)

    def dump(
        self, path: Path, *, kind: str = "elf", only: tuple[int, int] | None = None
    ) -> None:
        """Write guest memory to a file: ``elf``, or ``kdump-zlib`` in flattened format.

        Of virtio-mem only what is plugged. ``only``: address and length, elf alone. The guest
        stands still meanwhile.
        """
        part = {"begin": only[0], "length": only[1]} if only else {}
        self.execute(
            "dump-guest-memory", paging=False, protocol=f"file:{path}", format=kind, **part
        )

    def events(self) -> tuple[Event, ...]:
        """What came since the last call, in order. Never raises: also tells a dead QEMU's last."""
        with suppress(QMPError, OSError, EOFError, TimeoutError):
            self._await(asyncio.sleep(DRAIN))
        return tuple(
            Event(str(message["event"]), cast(Mapping[str, Json], message.get("data") or {}))
            for message in self._client.events.clear()
        )

    def quit(self) -> None:
        """End QEMU; that it closes the connection instead of answering is no error."""
        with suppress(GuestLost):
            self.execute("quit")

    def _get(self, device: str, name: str) -> Json:
        return self.execute("qom-get", path=f"/machine/peripheral/{device}", property=name)

    def _await(self, work: Coroutine[object, object, T]) -> T:
        return self._loop.run_until_complete(asyncio.wait_for(work, self._deadline))


def _device(kind: str, data: Mapping[str, Json]) -> MemoryDevice:
    """query-memory-devices names the fields of DIMMs and of virtio-mem devices differently."""
    size = data["size"]
    return MemoryDevice(
        name=data.get("id", ""),
        kind=kind,
        address=data.get("memaddr", data.get("addr", 0)),
        region=data.get("max-size", size),
        size=size,
        requested=data.get("requested-size", size),
        block_size=data.get("block-size", size),
        node=data["node"],
    )
