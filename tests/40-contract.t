#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 40-contract.t: every cell of the contracts has guest tests (contract.list), and these exist, as the
# programs of tests/guest list them; and there is no guest test that shows nothing.
#
# Usage: prove tests/40-contract.t
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh

# check DESCRIPTION FILE: passes if the file, which names what is wrong, is empty
check() {
	if [ -s "$2" ]; then
		not_ok "$1"
		sed 's/^/# /' "$2"
	else
		ok "$1"
	fi
}

# The programs are built from a copy where there is the script for it.
{
	dir=$(scripts/build-tests "$(dpkg --print-architecture)" 2>"$tmp/build") ||
		echo "tests/guest cannot be built: $(cat "$tmp/build")"
	sed "s/#.*//" tests/guest/suite | while read -r program; do
		[ -z "$program" ] && continue
		"$dir/guest/$program" -l >>"$tmp/names" || echo "$program -l fails"
	done
} >"$tmp/wrong" 2>&1
check "all programs of the suite list their tests" "$tmp/wrong"

sort "$tmp/names" | uniq -d >"$tmp/wrong"
check "names of tests are unique" "$tmp/wrong"

awk -F '\t' '/^#/ || /^$/ { next }
	$1 == "=" ? NF != 3 : NF != 2 { print FILENAME ":" FNR ": " $0 }' tests/contract.list >"$tmp/wrong"
check "lines of the list are well-formed" "$tmp/wrong"

awk -F '\t' '$1 == "=" && seen[$2]++ { print $2 }' tests/contract.list >"$tmp/wrong"
check "cells are listed once" "$tmp/wrong"

awk -F '\t' '/^#/ || /^$/ { next }
	$1 == "=" { cell[$2] = 1; next }
	{ tests[$1]++ }
	END {
		for (id in cell)
			if (!tests[id])
				print id " has no test"
		for (id in tests)
			if (!cell[id])
				print id " is no cell"
	}' tests/contract.list >"$tmp/wrong"
check "every cell has a test" "$tmp/wrong"

# matches: prints the names of the list that stand for no test ("list"), or the tests that no name of
# the list stands for ("tests")
matches() {
	awk -F '\t' -v what="$1" '
		FNR == NR { name[$0] = 1; next }
		/^#/ || /^$/ || $1 == "=" { next }
		$2 in name { used[$2] = 1; next }
		{
			found = 0
			if (sub(/\*$/, "", $2))
				for (n in name)
					if (index(n, $2) == 1) {
						used[n] = 1
						found = 1
					}
			if (!found && what == "list")
				print $1 ": there is no test \"" $2 "\""
		}
		END {
			if (what == "tests")
				for (n in name)
					if (!(n in used) && n !~ /: module (loads|not loaded)/)
						print n
		}' "$tmp/names" tests/contract.list
}

matches list >"$tmp/wrong"
check "every test of the list exists" "$tmp/wrong"

matches tests | sort >"$tmp/wrong"
check "every test stands in the list" "$tmp/wrong"

finish
