#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 08-translation.t: README.ja.md is in step with README.md: the same headings, code, tables, lists and
# links, in the same order.
#
# Usage: prove tests/08-translation.t
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

# code FILE: the blocks of code, as they are
code() {
	awk '/^```/ { inside = !inside; print; next } inside' "$1"
}

# shape FILE: what each line outside code is: a heading of a level, a row of a table with so many columns
# and these words of code in its first one, an item of a list
shape() {
	awk '
		/^```/ { inside = !inside; if (inside) print "code"; next }
		inside { next }
		/^#+ / { print "heading", length($1); next }
		/^\|/ {
			line = $0
			columns = gsub(/\|/, "|", line)
			split($0, cell, "|")
			words = ""
			while (match(cell[2], /`[^`]*`/)) {
				words = words " " substr(cell[2], RSTART, RLENGTH)
				cell[2] = substr(cell[2], RSTART + RLENGTH)
			}
			print "row", columns, words
			next
		}
		/^[0-9]+\. / { print "item", $1; next }
		/^- / { print "item"; next }
		/^!\[/ { print "picture" }
	' "$1"
}

# links FILE: where links lead; both name the other language first
links() {
	grep -o '](\([^)]*\))' "$1" | sed '1d' | sort
}

# words FILE: the words of code in the text
# shellcheck disable=SC2016
words() {
	awk '/^```/ { inside = !inside; next } !inside' "$1" | tr '\n' ' ' | grep -o '`[^`]*`' | sort -u
}

for what in code shape links words; do
	$what README.md >"$tmp/en"
	$what README.ja.md >"$tmp/ja"
	run "README.ja.md has the $what of README.md" diff "$tmp/en" "$tmp/ja"
done
run "README.md leads to README.ja.md" grep -qF "](README.ja.md)" README.md
run "README.ja.md leads to README.md" grep -qF "](README.md)" README.ja.md
finish
