#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 06-readme.t: every C sample in README.md and in the pages under doc/ compiles as printed, without a
# warning; whole programs are linked too; HACKING.md's guest test compiles where it says.
#
# Usage: prove tests/06-readme.t
# README=FILE tests another file, and no page.
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh
# Where samples must be; other pages may have some.
pages=${README:-README.md doc/application.md}

if ! command -v gcc >/dev/null && ! (need gcc libc6-dev) >"$tmp/log" 2>&1; then
	not_ok "there is gcc"
	diag "$tmp/log"
	finish
	exit
fi
for page in $pages; do
	if [ ! -e "$page" ]; then
		not_ok "there is $page"
		finish
		exit
	fi
done

# blocks PAGE: each goes to a file that is named after the line it begins in
blocks() {
	rm -f "$tmp"/line*.c
	awk -v dir="$tmp" '
		/^[ \t]*```/ {
			if (file) {
				close(file)
				file = ""
			} else if (inside) {
				inside = 0
			} else if ($0 ~ /^[ \t]*```c[ \t]*$/) {
				file = sprintf("%s/line%05d.c", dir, NR + 1)
				printf "" >file
			} else {
				inside = 1
			}
			next
		}
		file { print >file }
	' "$1"
}

# sample FILE STANDARD
sample() {
	line=$(basename "$1" .c | sed 's/^line0*//')
	if grep -q '^int main' "$1"; then
		what="program"
		set -- "$1" "$2" -o "$tmp/program"
	else
		what="sample"
		set -- "$1" "$2" -c -o "$tmp/sample.o"
	fi
	file=$1
	standard=$2
	shift 2
	run "the $what at line $line of $page, -std=$standard" \
		timeout 60 gcc "-std=$standard" -O2 -Wall -Wextra -Werror -I. "$@" "$file"
}

# samples PAGE: false if it has none
samples() {
	page=$1
	blocks "$page"
	samples_before=$count
	for file in "$tmp"/line*.c; do
		[ -e "$file" ] || continue
		sample "$file" gnu99
		sample "$file" c99
		sample "$file" gnu17
	done
	[ "$count" -gt "$samples_before" ]
}

for must in $pages; do
	samples "$must" || not_ok "$must has C samples"
done

# with_example: getpeername.c with HACKING.md's test in it: the function before main(), and its line in there
with_example() {
	awk '
		BEGIN { n = 0 }
		/^```/ { if (inside) n++; inside = /^```c$/; next }
		FNR == NR { if (inside) text[n] = text[n] $0 "\n"; next }
		/^int main/ { printf "%s\n", text[0] }
		/^\treturn toa_main/ { printf "%s", text[1] }
		{ print }
		END { exit n < 2 }' HACKING.md tests/guest/getpeername.c
}

example() {
	with_example >"$tmp/example.c" &&
		gcc -std=gnu99 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -Itests/guest/lib -fsyntax-only \
			"$tmp/example.c"
}

if [ -z "${README:-}" ]; then
	run "HACKING.md: its guest test compiles in tests/guest/getpeername.c" example
	for may in doc/*.md; do
		case " $pages " in
		*" $may "*) ;;
		*) samples "$may" ;;
		esac
	done
fi
finish
