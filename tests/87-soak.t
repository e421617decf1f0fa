#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 87-soak.t: a short soak test (scripts/soak) with hooks by ftrace and by kprobes, and with each way to
# say whose word counts. `make soak` is the long one.
#
# Usage: prove tests/87-soak.t
# Environment: KERNELS="NAME[,ARGUMENT...]..." (see scripts/kernels, scripts/vm; the first is taken; default: 6.1)
#              CONNS   connections with each mechanism (default 2000)
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh

need_known_kernels
kernel=$(kernels | sed 's/ .*//')
for way in auto kprobe "auto segments=syn" "kprobe segments=ack,data" "auto both=1"; do
	hook=${way%% *}
	params=${way#"$hook"}
	CONNS=${CONNS:-2000} PARAMS=${params# } scripts/soak "$kernel,toa.hook=$hook" >"$tmp/soak" \
		2>"$tmp/log" </dev/null
	status=$?
	cat "$tmp/log" >>"$tmp/soak"
	if [ $status -eq 2 ]; then
		diag "$tmp/soak"
		lacking "$kernel, hook=$hook$params: soak" "the guest's parts cannot be had"
		continue
	fi
	run "$kernel, hook=$hook$params: no answer is wrong, none lost or left over but by missed probes" \
		test $status -eq 0
	diag "$tmp/soak"
done
finish
