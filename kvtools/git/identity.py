# SPDX-License-Identifier: GPL-2.0-or-later
"""Who the user is: the only thing that is read from the user's own git configuration."""

from __future__ import annotations

import os

from kvtools import process
from kvtools.git.command import READ
from kvtools.model import Person


def identity() -> Person | None:
    """``user.name`` and ``user.email`` as git has them here; None when one is not set.

    As for git, GIT_AUTHOR_NAME and GIT_AUTHOR_EMAIL come first.
    """
    asked = os.environ.get("GIT_AUTHOR_NAME"), os.environ.get("GIT_AUTHOR_EMAIL")
    if asked[0] and asked[1]:
        return Person(asked[0], asked[1])
    name, email = (process.run(["git", "config", "--get", f"user.{key}"], deadline=READ,
                               check=False).text.strip() for key in ("name", "email"))
    return Person(name, email) if name and email else None
