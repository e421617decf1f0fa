# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
#
# tap.sh: what the test files for prove share. To be sourced, from the top of the tree; defines
# functions, and makes $tmp, a directory that goes when the test ends.

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

count=0
failed=0

ok() {
	count=$((count + 1))
	echo "ok $count - $1"
}

not_ok() {
	count=$((count + 1))
	failed=$((failed + 1))
	echo "not ok $count - $1"
}

# lacking NAME REASON: something that the test needs, on any machine, cannot be had
lacking() {
	not_ok "$1"
	echo "# $2"
}

# skip NAME REASON: the kernel, or the machine, truly lacks it
skip() {
	count=$((count + 1))
	echo "ok $count - $1 # SKIP $2"
}

# diag FILE: the end of a log, as comments
diag() {
	tail -n 40 "$1" | sed 's/^/# /'
}

# run NAME COMMAND...: a test that passes if the command does
run() {
	run_name=$1
	shift
	if "$@" >"$tmp/log" 2>&1 </dev/null; then
		ok "$run_name"
	else
		not_ok "$run_name"
		diag "$tmp/log"
		return 1
	fi
}

# silent NAME COMMAND...: a test that passes if the command does, and says nothing
silent() {
	silent_name=$1
	shift
	if "$@" >"$tmp/log" 2>&1 </dev/null && [ ! -s "$tmp/log" ]; then
		ok "$silent_name"
	else
		not_ok "$silent_name"
		diag "$tmp/log"
		return 1
	fi
}

# include FILE KERNEL: makes the TAP stream in FILE, of another program, a part of ours. KERNEL's name
# is in it already.
include() {
	include_plan=
	include_from=$count
	while IFS= read -r include_line; do
		case $include_line in
		"not ok "*) not_ok "${include_line#not ok * - }" ;;
		"ok "*) ok "${include_line#ok * - }" ;;
		1..*) include_plan=${include_line#1..} ;;
		*) echo "$include_line" ;;
		esac
	done <"$1"
	[ "$((count - include_from))" = "$include_plan" ]
}

# need_known_kernels: ends all tests if KERNELS has a name that is none
need_known_kernels() {
	kernels_known 2>"$tmp/log" && return
	diag "$tmp/log"
	echo "Bail out! $(cat "$tmp/log")"
	exit 1
}

# finish: to be the last command
finish() {
	echo "1..$count"
	[ "$failed" -eq 0 ]
}
