#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs one collection of the kernel's own selftests with the kernel's own runner.
# Arguments: the directory that holds kselftest/ and the collection, the collection, its
# test programs. Prints the runner's KTAP; the exit status says only whether it could run.

BASE_DIR=$1
collection=$2
shift 2
export BASE_DIR
cd "$BASE_DIR/$collection" || exit 1
. "$BASE_DIR/kselftest/runner.sh" || exit 1
# vng makes /dev/stdout, the runner's choice, a port of its own.
logfile=/proc/self/fd/1
run_many "$@"
