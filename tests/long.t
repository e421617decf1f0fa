#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# long.t: what takes too long for every run: hundreds of loads and unloads under traffic, a million
# entries, 200,000 live connections, many random segments, the soak test. Any complaint of the kernel, and
# a leak where it looks for leaks, fails it.
#
# Usage: prove tests/long.t      (not one of scripts/check's; scripts/check-all --debug runs it)
# Environment: KERNELS="NAME[,ARGUMENT...]..." (see scripts/kernels, scripts/vm; default: 6.1 and the newest)
#              CYCLES   loads and unloads with each mechanism (default 300)
#              LIVE     connections at once (default 200000; 20000 on kernels built to find mistakes)
#              ROUNDS   handshakes of random segments for each kind of socket, and as much other
#                       random input (default 20000)
#              CONNS    connections of the soak test (default 20000)
# Exit status: 0 if all tests passed or were skipped, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh

need_known_kernels
for kernel in $(kernels); do
	if ! scripts/kernel "${kernel%%,*}" >"$tmp/log" 2>&1; then
		diag "$tmp/log"
		lacking "$kernel: long tests" "the kernel cannot be had"
		continue
	fi
	live=200000 rest=200
	# They take much longer for each, and much more memory.
	grep -q "^${kernel%%,*} .*source:" scripts/kernels && live=20000 rest=10000
	set -- "fuzz ${ROUNDS:-20000}" "fuzz_sockopt ${ROUNDS:-20000}" "fuzz_param ${ROUNDS:-20000}"
	case $kernel in
	# The others load with both mechanisms themselves, or do not depend on it.
	*toa.hook=*) ;;
	*) set -- "unload ${CYCLES:-300} $rest" "flood 1000000" "flood live ${LIVE:-$live}" "$@" ;;
	esac
	# The million entries and KASAN's shadow of them take memory.
	scripts/vm --mem 4096 --timeout 14400 --test-timeout 7200 "$kernel" -- "$@" \
		>"$tmp/tap" 2>"$tmp/log" </dev/null
	include "$tmp/tap" || diag "$tmp/log"
	if TIMEOUT=14400 CONNS=${CONNS:-20000} scripts/soak "$kernel" >"$tmp/log" 2>&1 </dev/null; then
		ok "$kernel/soak: nothing lost, wrong or leaked"
	else
		not_ok "$kernel/soak: nothing lost, wrong or leaked"
	fi
	diag "$tmp/log"
done

finish
