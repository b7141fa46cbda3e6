#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# fixdep.sh OBJECT SOURCE: turn the compiler's .OBJECT.d into kbuild's .OBJECT.cmd
dir=$(dirname "$1") name=$(basename "$1")
{
	echo "source_$1 := $2"
	echo
	echo "deps_$1 := \\"
	tr ' \\' '\n\n' < "$dir/.$name.d" | sed -e '1d' -e '/^$/d' | grep -vxF "$2" | sed 's/.*/  & \\/'
	echo
	echo "$1: \$(deps_$1)"
	echo
	echo "\$(deps_$1):"
} > "$dir/.$name.cmd"
rm -f "$dir/.$name.d"
