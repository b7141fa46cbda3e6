# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose fault it is that a guest can no longer be driven; pure.

A guest whose kernel hangs leaves QEMU alive; a guest that resets or powers off makes QEMU
say so (SHUTDOWN with ``guest`` true) before it ends. A QEMU that ends without that was
killed, and that is never the kernel's fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvtools import dmesg
from kvtools.errors import GuestLost, MachineError
from kvtools.qmp import Event

CRASH = "echo 1 >/proc/sys/kernel/sysrq; sleep 0.2; echo c >/proc/sysrq-trigger"
"""Makes a guest panic, after the agent has said that it runs this."""

CRASH_TITLE = "Kernel panic: sysrq triggered crash"


class KernelFault(Exception):
    """The guest's kernel stopped working; ends a scenario and becomes its FAIL.

    ``kind`` is one stable word for the fingerprint, ``message`` one line.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class OutOfTime(MachineError):
    """A guest that answers and is not done: as likely a slow machine as a slow kernel."""


@dataclass(frozen=True, slots=True)
class End:
    """How a guest was found when it stopped answering.

    ``exit_status`` is None while QEMU lives and ``run_state`` what it then says of itself
    ("" when it says nothing). ``doing`` completes "while ...", ``waited`` is in seconds,
    ``said`` the last line of vng and QEMU themselves.
    """

    doing: str
    waited: float
    accel: str
    greeted: bool
    exit_status: int | None
    run_state: str
    events: Sequence[Event]
    console: str
    said: str = ""


def explain(end: End) -> KernelFault | GuestLost:
    """The error to raise for that end."""
    fatal = [splat for splat in dmesg.parse(end.console) if splat.fatal]
    if fatal:
        return KernelFault("splat", f"{fatal[0].title} while {end.doing}")
    if end.exit_status is not None:
        return _ended(end)
    if end.run_state != "running":
        state = f"is {end.run_state}" if end.run_state else "does not answer"
        return GuestLost(f"QEMU {state} while {end.doing}")
    return _hanging(end)


def _ended(end: End) -> KernelFault | GuestLost:
    for event in end.events:
        if event.name == "SHUTDOWN" and event.data.get("guest"):
            how = {"guest-reset": "reset itself", "guest-shutdown": "powered off"}
            reason = str(event.data.get("reason", ""))
            what = how.get(reason, f"ended ({reason})")
            return KernelFault(
                reason or "guest-end",
                f"the guest {what} while {end.doing}; {_last_line(end.console)}",
            )
    said = f": {end.said}" if end.said else ""
    return GuestLost(
        f"QEMU ended (vng exit status {end.exit_status}) while {end.doing}, "
        f"and the console shows no kernel fault{said}"
    )


def _hanging(end: End) -> KernelFault | GuestLost:
    if end.greeted:
        return KernelFault(
            "hang",
            f"the guest stopped answering for {end.waited:.0f} s while {end.doing}; "
            + _last_line(end.console),
        )
    if not end.console.strip() and end.accel == "kvm":
        # A KVM that does not run 64-bit code looks just like this.
        return GuestLost(
            f"the guest printed nothing in {end.waited:.0f} s under KVM",
            fix="try --accel tcg: if it boots there, KVM is broken on this machine",
        )
    return KernelFault(
        "no-boot", f"did not boot within {end.waited:.0f} s; {_last_line(end.console)}"
    )


def after_crash(end: End) -> KernelFault | GuestLost | None:
    """Like :func:`explain`, for a guest that was made to panic; None when all went well.

    Well is: no fault but the panic asked for, and a crash kernel that powered the guest off.
    """
    fatal = [splat for splat in unasked(dmesg.parse(end.console)) if splat.fatal]
    if fatal:
        return KernelFault("splat", f"{fatal[0].title} while {end.doing}")
    if end.exit_status is None:
        return KernelFault(
            "crash-hang",
            f"not done {end.waited:.0f} s after the crash, while {end.doing}; "
            + _last_line(end.console),
        )
    reasons = [e.data.get("reason") for e in end.events if e.name == "SHUTDOWN"]
    if "guest-shutdown" in reasons:
        return None
    if "guest-reset" in reasons or "guest-panic" in reasons:
        return KernelFault(
            "crash-reset",
            f"the guest reset itself while {end.doing}: no crash kernel ran, or not to its end; "
            + _last_line(end.console),
        )
    said = f": {end.said}" if end.said else ""
    return GuestLost(f"QEMU ended while {end.doing}, and not because the guest did{said}")


def unasked(splats: Sequence[dmesg.Splat]) -> list[dmesg.Splat]:
    """Without the panic that :data:`CRASH` causes; a second one like it nobody asked for."""
    return [s for s in splats if s.title != CRASH_TITLE or s.count > 1]


def _last_line(console: str) -> str:
    lines = console.strip().splitlines()
    return f"last on the console: {lines[-1].strip()}" if lines else "nothing on the console"
