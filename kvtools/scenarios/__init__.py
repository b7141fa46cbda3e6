# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be done to a guest: the registry of scenarios."""

import functools

from kvtools.errors import UserError
from kvtools.scenarios import (
    balloon,
    boot,
    dump_crash,
    dump_host,
    dump_kdump,
    dump_reload,
    dump_vmcoreinfo,
    kselftest,
    machines,
    vmem,
)
from kvtools.scenarios.base import Guest, Scenario, Subtest, absent, missing

machine = machines.load

__all__ = ["Guest", "Scenario", "Subtest", "absent", "get", "machine", "missing", "names",
           "paths"]

_ALL = {
    "boot": boot.scenario,
    "vmem.probe": vmem.probe,
    "vmem.resize": vmem.resize,
    "vmem.granularity": vmem.granularity,
    "vmem.partial-section": vmem.partial_section,
    "vmem.shrink-to-zero": vmem.shrink_to_zero,
    "vmem.flap": vmem.flap,
    "vmem.pressure": vmem.pressure,
    "vmem.pinned": vmem.pinned,
    "vmem.zone": vmem.zone,
    "vmem.numa": vmem.numa,
    "vmem.module": vmem.module,
    "vmem.reboot": vmem.reboot,
    "vmem.sysfs": vmem.sysfs,
    "vmem.stress": vmem.stress,
    "vmem.two-devices": vmem.two_devices,
    "vmem.suspend": vmem.suspend,
    "vmem.hwpoison": vmem.hwpoison,
    "balloon.offline": balloon.offline,
    "kselftest:memory-hotplug": kselftest.memory_hotplug,
    "kselftest:driver-online": kselftest.driver_online,
    "dump.vmcoreinfo": dump_vmcoreinfo.vmcoreinfo,
    "dump.host": dump_host.host,
    "dump.kdump": dump_kdump.kdump,
    "dump.reload": dump_reload.reload,
    "dump.crash": dump_crash.dump_crash,
}


def names() -> tuple[str, ...]:
    """Every scenario, ``boot`` first, in the order in which they run."""
    return tuple(_ALL)


@functools.cache
def paths() -> tuple[str, ...]:
    """What scenarios take from the tree under test."""
    made = [get(name) for name in _ALL]
    return tuple(sorted({path for one in made for path in (*one.files, *one.headers)}))


def get(name: str) -> Scenario:
    """Raises UserError when there is none of that name, ConfigError on a bad machine file."""
    try:
        make = _ALL[name]
    except KeyError:
        raise UserError(
            f"there is no scenario {name!r}", fix="the scenarios are: " + ", ".join(_ALL)
        ) from None
    return make()
