#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 30-guest.t: boots each kernel with the module and runs the guest tests of tests/guest/suite. Any
# complaint of the kernel, a hang, or an early end of the guest fails the run.
#
# Usage: prove tests/30-guest.t
# Environment: KERNELS="NAME[,ARGUMENT...]..." (see scripts/kernels, scripts/vm; default: 6.1 and the newest)
#              LOGS=DIR keeps each guest's console and dmesg
# Exit status: 0 if all tests passed or were skipped, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh

if [ ! -r tests/guest/suite ]; then
	echo "1..0 # SKIP no guest tests"
	exit 0
fi

for kernel in $(kernels); do
	if ! scripts/kernel "${kernel%%,*}" >"$tmp/log" 2>&1; then
		diag "$tmp/log"
		skip "$kernel: guest tests" "the kernel cannot be had"
		continue
	fi
	mkfifo "$tmp/tap" || exit 1
	mkdir -p "${LOGS:=$tmp/logs}"
	scripts/vm --timeout 3600 --test-timeout 900 --log "$LOGS/$kernel.log" "$kernel" >"$tmp/tap" 2>"$tmp/log" </dev/null &
	vm=$!
	include "$tmp/tap"
	complete=$?
	wait "$vm"
	status=$?
	rm "$tmp/tap"
	if [ $complete -eq 0 ]; then
		ok "$kernel: the report is complete"
	elif [ $status -eq 2 ]; then
		diag "$tmp/log"
		skip "$kernel: guest tests" "the guest's parts cannot be had"
	else
		not_ok "$kernel: the report is complete"
		diag "$tmp/log"
	fi
done

finish
