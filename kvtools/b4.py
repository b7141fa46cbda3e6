# SPDX-License-Identifier: GPL-2.0-or-later
"""b4 fetches a series from the list archive by message-id."""

from __future__ import annotations

from pathlib import Path

from kvtools import process
from kvtools.errors import MachineError, SeriesError

DEADLINE = 180.0
"""Seconds: b4 retries hosts that do not answer."""
_UNKNOWN = ("Server returned an error: 404", "No messages found")


def fetch(message_id: str, into: Path) -> Path:
    """Fetch the series of ``message_id`` below ``into``; returns the mailbox.

    Trailers that others replied with are not added: what was sent is what is tested.
    Raises SeriesError when the archive does not know it, MachineError without a network.
    """
    into.mkdir(parents=True, exist_ok=True)
    done = process.run(
        ["b4", "-n", "am", "--no-add-trailers", "--outdir", str(into), "--", message_id],
        deadline=DEADLINE,
        check=False,
    )
    found = sorted([*into.glob("*.mbx"), *into.glob("*.mbox")])
    if found:
        return found[0]
    said = (done.stderr + done.stdout).decode("utf-8", "replace").strip()
    if any(sign in said for sign in _UNKNOWN):
        raise SeriesError(
            f"no series for the message-id {message_id}", fix="take the id of a patch of it"
        )
    last = said.splitlines()[-1][:160] if said else f"exit status {done.returncode}"
    raise MachineError(
        f"b4 could not fetch {message_id} (no network?): {last}",
        fix=f"on a connected machine run b4 am -o DIR {message_id} and give the .mbx",
    )
