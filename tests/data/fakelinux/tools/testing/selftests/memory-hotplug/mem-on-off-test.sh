#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
echo "Test scope: 2% hotplug memory"
exit 0
