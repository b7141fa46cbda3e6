# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m kvtools``."""

import sys

from kvtools.cli import main

sys.exit(main())
