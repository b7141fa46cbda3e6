#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The init of the crash kernel: writes the dumps that the host asked for into its share and
# powers off. The share holds "plan", a line "NAME OPTIONS..." of makedumpfile for each dump;
# for each there are then NAME.kdump, NAME.report (what it said) and NAME.status (exit status
# and seconds); "headers" is the beginning of /proc/vmcore; "done" comes last.

# Programs are started sparingly: each takes some tenths of a second under TCG.

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C.UTF-8
export PATH LC_ALL
# Over /tmp, because that is there on every host and makedumpfile puts the VMCOREINFO there.
share=/tmp

now() {
	read -r uptime rest </proc/uptime
	echo "$uptime"
}

mount -t proc proc /proc
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 kvtools.share $share && cd $share
mounted=$?
echo "kvtools: crash kernel is up after $(now) s" >/dev/kmsg
if [ $mounted -eq 0 ]; then
	dd if=/proc/vmcore of=headers bs=64k count=1 2>headers.log
	while read -r name options; do
		begun=$(now)
		# Unquoted: several options.
		makedumpfile --message-level 22 $options /proc/vmcore "$name.kdump" \
			>"$name.report" 2>&1
		echo "$? $begun $(now)" >"$name.status"
	done <plan
	now >done # nothing is left to be written: the share is mounted without a cache
fi
echo o >/proc/sysrq-trigger
sleep 60
