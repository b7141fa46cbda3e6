# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps: each module has a frozen request and ``run(request, tick) -> Outcome``."""
