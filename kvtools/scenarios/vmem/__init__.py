# SPDX-License-Identifier: GPL-2.0-or-later
"""The virtio-mem driver, driven over QMP.

The guest only answers; every size it gives is compared with what QEMU says itself.
"""

from kvtools.scenarios.vmem.basic import probe, resize
from kvtools.scenarios.vmem.exact import granularity, shrink_to_zero, two_devices
from kvtools.scenarios.vmem.flap import flap
from kvtools.scenarios.vmem.hwpoison import hwpoison
from kvtools.scenarios.vmem.life import module, reboot, suspend
from kvtools.scenarios.vmem.load import pinned, pressure, stress
from kvtools.scenarios.vmem.numa import numa
from kvtools.scenarios.vmem.sections import partial_section
from kvtools.scenarios.vmem.sysfs import sysfs
from kvtools.scenarios.vmem.zone import zone

__all__ = [
    "flap",
    "granularity",
    "hwpoison",
    "module",
    "numa",
    "partial_section",
    "pinned",
    "pressure",
    "probe",
    "reboot",
    "resize",
    "shrink_to_zero",
    "stress",
    "suspend",
    "sysfs",
    "two_devices",
    "zone",
]
