#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 85-servers.t: nginx and HAProxy with deferred, reuseport and Fast Open listeners, behind the test
# balancer, log their real clients.
#
# Usage: prove tests/85-servers.t
# Environment: KERNEL (default 6.1)
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

built=$(scripts/build-tests amd64 load 2>"$tmp/log") &&
	scripts/vm --payload "$built/lb:lb" --payload tests/servers/guest:servers --timeout 600 \
		--cmd /toa/servers "${KERNEL:-6.1}" >"$tmp/servers" 2>"$tmp/log" </dev/null
status=$?
if [ $status -eq 2 ]; then
	diag "$tmp/log"
	lacking "servers behind the balancer" "the guest's parts cannot be had"
	finish
	exit
fi
while IFS= read -r line; do
	case $line in
	"ok "*) ok "${line#ok }" ;;
	"not ok "*) not_ok "${line#not ok }" ;;
	*) echo "# ${line#"# "}" ;;
	esac
done <"$tmp/servers"
run "the guest reached its end, and its kernel has no complaint" test $status -eq 0
run "all was tried" grep -qx "all was tried" "$tmp/servers"
finish
