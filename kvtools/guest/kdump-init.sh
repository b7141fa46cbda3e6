#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The init of the crash kernel: writes the dumps that the host asked for into its share and
# powers off. The share holds "plan", a line "NAME OPTIONS..." of makedumpfile for each dump;
# for each there are then NAME.kdump, NAME.report (what it said) and NAME.status (exit status
# and seconds); "headers" is the beginning of /proc/vmcore; "done" comes last.

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C.UTF-8
export PATH LC_ALL
share=/run/share

now() {
	read -r uptime rest </proc/uptime
	echo "$uptime"
}

mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp # makedumpfile puts the VMCOREINFO there
mkdir $share
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 kvtools.share $share
echo "kvtools: crash kernel is up after $(now) s" >/dev/kmsg
if cd $share; then
	dd if=/proc/vmcore of=headers bs=64k count=1 2>headers.log
	while read -r name options; do
		begun=$(now)
		# Unquoted: several options.
		makedumpfile --message-level 22 $options /proc/vmcore "$name.kdump" \
			>"$name.report" 2>&1
		echo "$? $begun $(now)" >"$name.status"
	done <plan
	now >done
	cd /
	umount $share
fi
echo o >/proc/sysrq-trigger
sleep 60
