#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 09-pages.t: README.md is short, and leads to each page under doc/, which leads back; links in all pages
# lead to files and headings that exist; cells of tables can be read; each source file is described.
#
# Usage: prove tests/09-pages.t
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

LINES_MAX=150
CELL_MAX=160

# headings FILE: what a link to each of them has behind #
headings() {
	awk '/^```/ { inside = !inside } !inside && /^#+ / {
		sub(/^#+ /, "")
		$0 = tolower($0)
		gsub(/[^a-z0-9 _-]/, "")
		gsub(/ /, "-")
		print
	}' "$1"
}

# links FILE: where they lead
links() {
	awk '/^```/ { inside = !inside; next } !inside' "$1" | grep -o ']([^)]*)' | sed 's/^](//; s/)$//'
}

# dead FILE: those that lead nowhere
dead() {
	dir=$(dirname "$1")
	links "$1" | while IFS= read -r link; do
		case $link in
		*://*) continue ;;
		'#'*) file=$1 ;;
		*) file=$dir/${link%%#*} ;;
		esac
		if [ ! -e "$file" ]; then
			echo "$link: there is no such file"
			continue
		fi
		case $link in
		*'#'*) headings "$file" | grep -qxF -e "${link#*#}" || echo "$link: there is no such heading" ;;
		esac
	done
}

# long_cells FILE: a cell that must be read twice is a paragraph, or a list
long_cells() {
	awk -F '|' -v max="$CELL_MAX" '/^[|]/ {
		for (i = 2; i < NF; i++)
			if (length($i) - 2 > max)
				print FNR ": " length($i) - 2 " characters: " $i
	}' "$1"
}

# Each source file is a room of tests/rooms, or one that has no floor.
undescribed() {
	for file in toa.h toa_*.[ch]; do
		case $file in
		toa_has.h | *.mod.c) continue ;;
		esac
		grep -qE "\`${file%.*}\.[ch]\`" doc/design.md || echo "$file"
	done
}

run "README.md has at most $LINES_MAX lines" test "$(wc -l <README.md)" -le "$LINES_MAX"
for page in doc/*.md; do
	run "README.md leads to $page" grep -qF "]($page" README.md
	run "$page leads to README.md" grep -qF "](../README.md" "$page"
done
silent "doc/design.md says what each source file is for" undescribed
set -- tests/mutants/*.patch
run "doc/promises.md says how many mutants there are" grep -q "^\`make mutants\` builds $# wrong versions " doc/promises.md
for page in README.md README.ja.md HACKING.md doc/*.md examples/README.md; do
	silent "$page: its links lead somewhere" dead "$page"
	case $page in
	# Each row of the kernels is the record of a run.
	README.ja.md | doc/kernels.md) ;;
	*) silent "$page: cells of at most $CELL_MAX characters" long_cells "$page" ;;
	esac
done
finish
