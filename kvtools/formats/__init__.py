# SPDX-License-Identifier: GPL-2.0-or-later
"""What checkers of objects and sources print, one module each; pure: text in, records out."""
