#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 90-bench.t: the module costs no more than tests/bench/budget allows, in instructions and in memory: a short
# form of scripts/bench, on the newest kernel.
#
# Usage: prove tests/90-bench.t
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh

scripts/bench --short --csv "$tmp/csv" --plot - >"$tmp/log" 2>&1 </dev/null
status=$?
sed 's/^/# /' "$tmp/log"
if [ $status -eq 2 ]; then
	lacking "figures were measured" "the guest's parts cannot be had"
	finish
	exit
fi

# What has a goal has a verdict; names may have commas.
sed -n 's/^\([^,]*\),[^,]*,[^,]*,"\([^"]*\)",\([^,]*\),[^,]*,[^,]*,\([^,]*\),[^,]*,\([^,]*\),\(..*\)$/\6:\1: \2: \4 \3 (goal: \5)/p' \
	"$tmp/csv" >"$tmp/verdicts"
run "figures were measured" test -s "$tmp/verdicts"
while IFS=: read -r verdict name; do
	case $verdict in
	EXCEEDS*) not_ok "${name# }, above the budget" ;;
	*) ok "${name# }" ;;
	esac
done <"$tmp/verdicts"
finish
