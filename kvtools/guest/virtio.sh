#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The virtio devices and their drivers, as KTAP. Argument: the device id to look for, in hex
# as sysfs prints it (virtio-mem: 0x0018).

echo "KTAP version 1"
echo "1..1"
found=0
for device in /sys/bus/virtio/devices/*; do
	read -r id <"$device/device" || continue
	[ "$id" = "$1" ] || continue
	found=$((found + 1))
	driver=$(readlink "$device/driver")
	echo "# device ${device##*/} ${driver##*/}"
done
[ "$found" -gt 0 ] || printf 'not '
echo "ok 1 virtio-$1"
