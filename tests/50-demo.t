#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 50-demo.t: the demo of the README works, and its answers come from the applications' own logs.
#
# Usage: prove tests/50-demo.t
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

scripts/demo >"$tmp/demo" 2>"$tmp/log" </dev/null
status=$?
if [ $status -eq 2 ]; then
	diag "$tmp/log"
	lacking "scripts/demo" "its parts cannot be had"
	finish
	exit
fi
[ $status -eq 0 ] || diag "$tmp/log"
run "scripts/demo: every application saw the real client" test $status -eq 0
for application in "nginx, access log" "HAProxy, log" "C server, output"; do
	# SNAT, NAT64, and both clients of the mixed scenario; the balancer's pool is 10.99.0.0/24.
	run "scripts/demo: $application, four times, with another answer without the module" \
		test "$(grep -cE "^  $application .* (::ffff:)?10\.99\.0\..* port " "$tmp/demo")" -eq 4
done
run "scripts/demo: toa_stats" grep -q "^syn_recv_sock_toa  *: " "$tmp/demo"
run "scripts/demo: toa_table" grep -qE "^200 .* 198\.51\.100\.[0-9]+:[0-9]+ +[0-9]+$" "$tmp/demo"
finish
