# SPDX-License-Identifier: GPL-2.0-or-later
"""Booted guests: starting one, driving it, and turning what happened into an outcome."""

from kvtools.guest_session.cell import DROPPED, run_cell, skipped
from kvtools.guest_session.faults import KernelFault
from kvtools.guest_session.guest import Guest, Polled, Source
from kvtools.guest_session.inputs import inputs_of
from kvtools.guest_session.request import GuestRequest
from kvtools.guest_session.shell import shell

__all__ = [
    "DROPPED",
    "Guest",
    "GuestRequest",
    "KernelFault",
    "Polled",
    "Source",
    "inputs_of",
    "run_cell",
    "shell",
    "skipped",
]
