# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests as data: ``kbuild/machines/NAME.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from kvtools import paths, sizes
from kvtools.errors import ConfigError
from kvtools.model import Json
from kvtools.vng import Machine, Node, VirtioMem


def load(name: str) -> Machine:
    """Raises ConfigError, one line naming file and key, when there is no such guest."""
    path = paths.data() / "kbuild" / "machines" / f"{name}.toml"
    try:
        return parse(path.read_text("utf-8"), path)
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.toml")))
        raise ConfigError(
            f"there is no machine {name!r}", fix=f"the machines are: {known}"
        ) from None


def parse(text: str, path: Path) -> Machine:
    try:
        table = tomllib.loads(text)
        nodes = tuple(Node(**_sized(n, "memory")) for n in table.pop("node", ()))
        devices = tuple(
            VirtioMem(**_sized(d, "size", "block_size", "requested"))
            for d in table.pop("virtio_mem", ())
        )
        table["kernel_args"] = tuple(table.get("kernel_args", ()))
        machine = Machine(
            **_sized(table, "memory", "maxmem"), nodes=nodes, virtio_mem=devices
        )
    except (tomllib.TOMLDecodeError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return _checked(machine, path)


def _sized(table: Mapping[str, Json], *keys: str) -> dict[str, Json]:
    """``table`` with the values of ``keys``, written as ``512M``, in bytes."""
    return {key: _bytes(key, value) if key in keys else value for key, value in table.items()}


def _bytes(key: str, value: Json) -> int:
    try:
        return sizes.parse(value)
    except ValueError as error:
        raise ValueError(f"{key} = {error}") from None


def _checked(machine: Machine, path: Path) -> Machine:
    hotplug = sum(device.size for device in machine.virtio_mem)
    if hotplug and machine.maxmem < machine.memory + hotplug:
        raise ConfigError(f"{path}: maxmem is smaller than memory and virtio-mem devices together")
    if machine.nodes and sum(node.memory for node in machine.nodes) != machine.memory:
        raise ConfigError(f"{path}: the nodes' memory does not add up to memory")
    for device in machine.virtio_mem:
        if device.size % device.block_size or device.requested % device.block_size:
            raise ConfigError(f"{path}: {device.name}: sizes must be multiples of block_size")
    return machine
