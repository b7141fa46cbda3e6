#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What the guest sees of its memory, as KTAP; the host compares (kvtools/scenarios/memory.py).
# Arguments: none. Numbers as the kernel prints them: MemTotal in kB, block size in hex.

BLOCKS=/sys/devices/system/memory

echo "KTAP version 1"
echo "1..1"
while read -r name value unit; do
	[ "$name" = MemTotal: ] && echo "# memtotal $value" && break
done </proc/meminfo
if read -r size <$BLOCKS/block_size_bytes; then
	echo "# block_size $size"
	online= other=
	for state in $BLOCKS/memory*/state; do
		# A block may go away between the listing and the reading.
		read -r is 2>/dev/null <"$state" || continue
		number=${state%/state}
		case $is in
		online) online="$online ${number##*/memory}" ;;
		*) other="$other ${number##*/memory}" ;;
		esac
	done
	echo "# online$online"
	echo "# offline$other"
fi
while read -r line; do
	case $line in
	*"System RAM"* | *virtio*) echo "# iomem $line" ;;
	esac
done </proc/iomem
echo "ok 1 memory"
