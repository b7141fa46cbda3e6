# SPDX-License-Identifier: GPL-2.0-or-later
"""Someone else's series: find a base for it, test it, and write the replies."""
