#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# fixdep.sh OBJECT SOURCE: turn the compiler's .OBJECT.d into kbuild's .OBJECT.cmd
# It runs for every object of every test build: no process but the one that removes the .d file.
case $1 in */*) dir=${1%/*} ;; *) dir=. ;; esac
name=${1##*/}
{
	echo "source_$1 := $2"
	echo
	echo "deps_$1 := \\"
	while read -r line; do
		for word in ${line%\\}; do
			case $word in "$1:" | "$2") ;; *) echo "  $word \\" ;; esac
		done
	done < "$dir/.$name.d"
	echo
	echo "$1: \$(deps_$1)"
	echo
	echo "\$(deps_$1):"
} > "$dir/.$name.cmd"
rm -f "$dir/.$name.d"
