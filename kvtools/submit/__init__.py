# SPDX-License-Identifier: GPL-2.0-or-later
"""From a tested series to mails that are ready to be sent, by way of b4."""
