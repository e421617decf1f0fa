#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 30-guest.t: boots each kernel with the module and runs the guest tests of tests/guest/suite, in as
# many guests at a time as there are processors. Any complaint of the kernel, a hang, or an early end
# of the guest fails the run.
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

need_known_kernels
mkdir -p "${LOGS:=$tmp/logs}"

# guest KERNEL: its report is in a file when there is a status
guest() {
	if scripts/kernel "${1%%,*}" >"$tmp/$1.err" 2>&1; then
		scripts/vm --timeout 3600 --test-timeout 900 --log "$LOGS/$1.log" "$1" >"$tmp/$1.tap" 2>"$tmp/$1.err" &
		vm=$!
		wait "$vm"
		echo $? >"$tmp/$1.status.new"
	else
		echo none >"$tmp/$1.status.new"
	fi
	mv "$tmp/$1.status.new" "$tmp/$1.status"
}

# guests KERNEL...: one after the other
guests() {
	vm=
	trap 'kill $vm 2>/dev/null; exit 1' TERM
	for guest_kernel; do
		guest "$guest_kernel"
	done
}

# The guests of every Nth kernel, for each of N processors.
pids=
trap 'kill $pids 2>/dev/null; rm -rf "$tmp"' EXIT
lanes=$(nproc)
for lane in $(seq "$lanes"); do
	# shellcheck disable=SC2046
	guests $(kernels | tr -s ' \t' '\n' | sed -n "$lane~${lanes}p") </dev/null &
	pids="$pids $!"
done

for kernel in $(kernels); do
	for _ in $(seq 7200); do
		[ ! -e "$tmp/$kernel.status" ] || break
		sleep 1
	done
	status=$(cat "$tmp/$kernel.status")
	if [ "$status" = none ]; then
		diag "$tmp/$kernel.err"
		lacking "$kernel: guest tests" "the kernel cannot be had"
	elif include "$tmp/$kernel.tap"; then
		ok "$kernel: the report is complete"
	elif [ "$status" -eq 2 ]; then
		diag "$tmp/$kernel.err"
		lacking "$kernel: guest tests" "the guest's parts cannot be had"
	else
		not_ok "$kernel: the report is complete"
		diag "$tmp/$kernel.err"
	fi
done

finish
