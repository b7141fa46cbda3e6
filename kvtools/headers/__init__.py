# SPDX-License-Identifier: GPL-2.0-or-later
"""Header-aware builds: which objects an edited header leaves as they are. See docs/headers.md."""

from kvtools.headers.reuse import Sampled, Spared, distrust, prepare, sample
from kvtools.headers.state import settle
from kvtools.headers.verify import differing

__all__ = ["Sampled", "Spared", "differing", "distrust", "prepare", "sample", "settle"]
