# SPDX-License-Identifier: GPL-2.0-or-later
"""Untrusted series: ``steps`` are the confined ones, ``outside`` and ``inside`` the two ends.

Nothing is imported here: the inner end starts with every step.
"""
