# SPDX-License-Identifier: GPL-2.0-or-later
"""kvtools: apply, build, boot and test every patch of a Linux kernel series."""
