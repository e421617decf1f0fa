#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 20-lb.t: the test balancer (tests/lb) by itself, with this host's TCP and no toa module.
#
# Usage: prove tests/20-lb.t
# Needs root, network namespaces and /dev/net/tun; where one is missing it fails (in a guest of the
# VM runner nothing is). Everything happens in network namespaces of its own.
# Exit status: 0 if all tests passed or were skipped, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh
client=toa-lb-c$$ server=toa-lb-s$$
made=

# shellcheck disable=SC2317 # the trap calls it
clean() {
	[ -z "$made" ] || tests/lb/topology.sh down "$client" "$server" 2>/dev/null
	rm -rf "$tmp"
}
trap clean EXIT

TMPDIR=$tmp
export TMPDIR

# result STATUS NAME: STATUS is 0 for ok
result() {
	if [ "$1" -eq 0 ]; then
		ok "$2"
	else
		not_ok "$2"
		# A subtest of which only the failures, or what it said last, are of interest.
		{ grep -A 1 '^not ok' "$tmp/log" || tail -n 20 "$tmp/log"; } | sed 's/^/# /'
	fi
}

# subtest NAME COMMAND...: a command that speaks TAP
subtest() {
	name=$1
	shift
	"$@" >"$tmp/log" 2>&1
	status=$?
	sed 's/^/    /' "$tmp/log"
	if grep -q '^1\.\.0 # SKIP' "$tmp/log"; then
		result 1 "$name (not here: $(sed -n 's/^1\.\.0 # SKIP //p' "$tmp/log"))"
	elif ! grep -q '^1\.\.[1-9]' "$tmp/log"; then
		result 1 "$name (it did not finish)"
	else
		result $status "$name"
	fi
}

need make gcc libc6-dev iproute2
make -s -C tests/lb >"$tmp/log" 2>&1
status=$?
result $status "builds without a warning"
if [ $status -ne 0 ]; then
	finish
	exit
fi

subtest "two namespaces: all tests" tests/lb/lb-test
subtest "one namespace, one or two devices" tests/lb/lb-test one

# topology.sh needs ip(8), and persistent devices.
if [ "$(id -u)" -ne 0 ] || ! unshare -n true 2>/dev/null; then
	reason="network namespaces cannot be made here"
elif ! ip -V >/dev/null 2>&1; then
	reason="no ip(8)"
elif ! unshare -n ip tuntap add dev toa-x mode tun 2>/dev/null; then
	reason="no TUN devices"
else
	reason=
fi
if [ -z "$reason" ]; then
	# shellcheck disable=SC2016 # expanded by the inner shell
	subtest "topology.sh, one namespace, rp_filter on" unshare -n sh -c '
		echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter
		tests/lb/topology.sh up && exec tests/lb/lb-test prepared'
	made=yes
	# shellcheck disable=SC2016
	subtest "topology.sh, two named namespaces" sh -c '
		tests/lb/topology.sh up "$@" && exec tests/lb/lb-test prepared "$@"' sh \
		"$client" "$server"
else
	for name in "topology.sh, one namespace" "topology.sh, two namespaces"; do
		result 1 "$name (not here: $reason)"
	done
fi

finish
