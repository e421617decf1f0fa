#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 05-unit.t: what can be tested in user space: the option parser (tests/unit), and that toa.h
# includes cleanly in applications.
#
# Usage: prove tests/05-unit.t
# FUZZ_RUNS=n sets how often the fuzzer runs (default 300000; `make -C tests/unit fuzz` for more).
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh

# tool COMMAND PACKAGE...: true if there is the command, or it could be installed
tool() {
	command=$1
	shift
	command -v "$command" >/dev/null && return
	(need "$@") >"$tmp/log" 2>&1
	command -v "$command" >/dev/null
}

# clang's run-time library is a package of its own, named after the version.
clang_fuzzes() {
	echo 'int LLVMFuzzerTestOneInput(const char *d, long n); int LLVMFuzzerTestOneInput(const char *d, long n) { return !d && n; }' >"$tmp/try.c"
	clang -fsanitize=fuzzer,address,undefined -o "$tmp/try" "$tmp/try.c" >"$tmp/log" 2>&1
}

fuzzer() {
	tool clang clang || return 1
	clang_fuzzes && return
	version=$(clang -dumpversion)
	(need "libclang-rt-${version%%.*}-dev") >"$tmp/log" 2>&1
	clang_fuzzes
}

# anybody: root runs them as nobody, who may not be able to read this tree
anybody() {
	mkdir -p "$tmp/tree/tests" "$tmp/home" && cp toa_option.[ch] "$tmp/tree" &&
		cp -R tests/unit "$tmp/tree/tests" || return 1
	set -- env -u TOA_CACHE -u XDG_CACHE_HOME -u BUILD HOME="$tmp/home" \
		timeout 300 make -C "$tmp/tree/tests/unit" check
	if [ "$(id -u)" -eq 0 ]; then
		chmod 755 "$tmp" && chown nobody "$tmp/home" &&
			set -- setpriv --reuid nobody --clear-groups "$@" || return 1
	fi
	"$@" && [ -x "$tmp/home/.cache/toa/unit/test_option" ]
}

# flatten FILE: make another program's test results ours
flatten() {
	while IFS= read -r line; do
		case $line in
		"not ok "*" - "*)
			not_ok "parser: ${line#not ok * - }" ;;
		"ok "*" - "*)
			ok "parser: ${line#ok * - }" ;;
		[0-9]*..[0-9]*)
			planned=${line#*..} ;;
		*)
			echo "# ${line#\# }" ;;
		esac
	done <"$1"
}

# The parser

if tool gcc gcc libc6-dev && tool make make; then
	planned=0
	timeout 300 make -s -C tests/unit check BUILD="$tmp/unit" >"$tmp/tap" 2>&1
	status=$?
	flatten "$tmp/tap"
	# A parser that crashes prints no plan.
	if [ "$planned" -eq "$count" ] && { [ $status -eq 0 ] || [ "$failed" -gt 0 ]; }; then
		ok "parser: all tests were run"
	else
		not_ok "parser: all tests were run"
		echo "# $count of $planned, exit status $status"
	fi
	run "parser: the tests reach every line and branch" \
		timeout 300 make -C tests/unit coverage BUILD="$tmp/unit"
	run "parser: anybody can run the tests" anybody
else
	lacking "parser" "no gcc and make"
fi

runs=${FUZZ_RUNS:-300000}
if tool make make && fuzzer; then
	run "parser: $runs runs of the fuzzer" \
		timeout 600 make -C tests/unit fuzz BUILD="$tmp/unit" RUNS="$runs" FUZZ_SECONDS=590
	sed -n 's/^Done /# done: /p' "$tmp/log"
else
	lacking "parser: $runs runs of the fuzzer" "no clang with libFuzzer"
fi

# toa.h in applications

cat >"$tmp/app.c" <<'END'
#include "toa.h"
#include "toa.h"
#include <stddef.h>
#include <sys/socket.h>

/* An array of negative size is an error, in C99 and in C++. */
typedef char size_is_20[sizeof(struct toa_nat64_peer) == 20 ? 1 : -1];
typedef char saddr_at_0[offsetof(struct toa_nat64_peer, saddr) == 0 ? 1 : -1];
typedef char sport_at_16[offsetof(struct toa_nat64_peer, sport) == 16 ? 1 : -1];
typedef char saddr_is_16[sizeof(((struct toa_nat64_peer *)0)->saddr) == 16 ? 1 : -1];
typedef char sport_is_2[sizeof(((struct toa_nat64_peer *)0)->sport) == 2 ? 1 : -1];
typedef char number_is_4096[TOA_SO_GET_LOOKUP == 4096 ? 1 : -1];

int ask(int fd, unsigned short *port);

int ask(int fd, unsigned short *port)
{
	struct toa_nat64_peer peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, &peer, &len))
		return -1;
	*port = ntohs(peer.sport);
	return peer.saddr.s6_addr[0];
}
END
cp "$tmp/app.c" "$tmp/app.cc"
echo '#include "toa.h"' >"$tmp/alone.c"
echo 'struct toa_nat64_peer peer; int number = TOA_SO_GET_LOOKUP;' >>"$tmp/alone.c"
cp "$tmp/alone.c" "$tmp/alone.cc"

# header COMPILER STANDARD SUFFIX PACKAGE
header() {
	name="toa.h: $1 -std=$2"
	if ! tool "$1" "$4"; then
		lacking "$name" "no $1"
		return
	fi
	for source in app alone; do
		"$1" "-std=$2" -Wall -Wextra -pedantic -Werror -I. -c -o "$tmp/app.o" \
			"$tmp/$source.$3" >"$tmp/log" 2>&1 || {
			not_ok "$name"
			diag "$tmp/log"
			return
		}
	done
	ok "$name"
}

header gcc c99 c gcc
header gcc c11 c gcc
header clang c99 c clang
header clang c11 c clang
header g++ c++11 cc g++
header g++ c++17 cc g++
header clang++ c++11 cc clang
header clang++ c++17 cc clang

finish
