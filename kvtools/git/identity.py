# SPDX-License-Identifier: GPL-2.0-or-later
"""Who the user is: the only thing that is read from the user's own git configuration."""

from __future__ import annotations

from kvtools import process
from kvtools.git.command import READ
from kvtools.model import Person


def identity() -> Person | None:
    """``user.name`` and ``user.email`` as git has them here; None when one is not set."""
    name, email = (process.run(["git", "config", "--get", f"user.{key}"], deadline=READ,
                               check=False).text.strip() for key in ("name", "email"))
    return Person(name, email) if name and email else None
