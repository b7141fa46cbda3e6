#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Loads the crash kernel: the kernel under test again, with the host's root as its root and
# kdump-init.sh as its init. Argument: how kexec loads it (-s: kexec_file_load, -c: kexec_load).
# The share of the host holds bzImage; the crash kernel finds there what it is to do.

here=${0%/*}
share=/run/kvtools/share

[ -e $share/bzImage ] || {
	mkdir -p $share
	mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 kvtools.share $share || exit 1
}
read -r reserved </sys/kernel/kexec_crash_size
[ "$reserved" -gt 0 ] || {
	echo "no memory is reserved for a crash kernel" >&2
	exit 1
}
read -r cmdline </proc/cmdline
root=
for word in $cmdline; do
	case $word in
	root=* | rootfstype=* | rootflags=* | console=* | earlyprintk=*) root="$root $word" ;;
	esac
done
# The BSP's id is left out, because the CPU that panics becomes the only one.
kexec -p "$1" $share/bzImage --append="$root ro panic=-1 nr_cpus=1 irqpoll reset_devices \
disable_cpu_apicid=0 novmcoredd init=$here/kdump-init.sh" || exit 1
read -r loaded </sys/kernel/kexec_crash_loaded
[ "$loaded" = 1 ]
