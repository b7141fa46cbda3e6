#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The guest's end of kvtools/channel.py, which describes the protocol.
# Arguments, for tests: the device instead of the virtio-serial port, a directory for files.
# vng runs it as root. It needs /proc, /sys, devtmpfs, a tmpfs on /run and coreutils; no udev.

VERSION=1
PORT=kvtools.channel
LIMIT=8388608 # bytes of each output stream that are sent; the host is told the same
DIR=${2:-/run/kvtools}

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C.UTF-8
HOME=/root
export PATH LC_ALL HOME
umask 022
cd /

find_port() {
	for name in /sys/class/virtio-ports/*/name; do
		read -r found <"$name" || continue
		[ "$found" = "$PORT" ] || continue
		name=${name%/name}
		echo "/dev/${name##*/}"
		return 0
	done
	return 1
}

say() {
	printf '%s\n' "$*" >&3
}

hello() {
	read -r uptime rest </proc/uptime
	say "hello $VERSION $(uname -r) $uptime"
}

# run ID TEXT: TEXT is a script as printf's %b writes it. One at a time.
run() {
	id=$1
	: >"$DIR/out"
	: >"$DIR/err"
	: >"$DIR/status"
	: >"$DIR/pid"
	(
		# A session of its own, so that stop reaches all of it. Appending, because a
		# program may open its standard output a second time (/proc/self/fd/1).
		setsid sh -c 'echo $$ >"$0"; eval "$1"' "$DIR/pid" "$(printf '%b' "$2")" \
			</dev/null >>"$DIR/out" 2>>"$DIR/err" 3<&-
		echo $? >"$DIR/status"
	) &
	say "running $id"
}

# sized FILE: how much of FILE is sent, without a process for the common empty one.
sized() {
	size=0
	[ -s "$1" ] || return 0
	size=$(wc -c <"$1")
	[ "$size" -le "$LIMIT" ] || size=$LIMIT
}

# send WORD ID STATUS: both streams behind a line with their sizes.
send() {
	sized "$DIR/out"
	out=$size
	sized "$DIR/err"
	say "$1 $2 $3 $out $size"
	[ "$out" -eq 0 ] || head -c "$out" "$DIR/out" >&3
	[ "$size" -eq 0 ] || head -c "$size" "$DIR/err" >&3
	say
}

poll() {
	if [ "$1" != "$id" ]; then
		say "refused no command $1"
	elif [ -s "$DIR/status" ]; then
		read -r status <"$DIR/status"
		send done "$1" "$status"
	else
		say "running $1"
	fi
}

stop() {
	read -r pid <"$DIR/pid" && kill -KILL "-$pid" 2>/dev/null
	say "running $1"
}

# The tasks that sleep uninterruptibly and what each CPU runs, on the console.
trace() {
	echo 1 >/proc/sys/kernel/sysrq
	echo w >/proc/sysrq-trigger
	echo l >/proc/sysrq-trigger
	say "traced"
}

mkdir -p "$DIR"
device=${1:-$(find_port)}
[ -c "$device" ] || {
	echo "kvtools: no virtio-serial port named $PORT" >/dev/kmsg
	exit 1
}
exec 3<>"$device" || exit 1
id=0
hello
while :; do
	if ! read -r word argument rest <&3; then
		sleep 0.2 # the host has not connected, or has gone
		continue
	fi
	case $word in
	hello) hello ;;
	run) run "$argument" "$rest" ;;
	poll) poll "$argument" ;;
	peek) send partial "$argument" - ;;
	stop) stop "$argument" ;;
	trace) trace ;;
	poweroff) say bye && exit 0 ;;
	*) say "refused unknown request" ;;
	esac
done
