#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 07-commands.t: every command that README.md, HACKING.md or a page under doc/ prints is run by a test:
# commands.list says by which.
#
# Usage: prove tests/07-commands.t
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

tab=$(printf '\t')

# What is behind a backslash would be another character in a test's name.
short() {
	printf '%s' "${1%%\\*}"
}

# The lines of all blocks that are marked as shell, behind their page's name.
awk '/^```/ { inside = /^```sh$/; next } inside && !/^#/ && NF { print FILENAME "\t" $0 }' README.md HACKING.md doc/*.md >"$tmp/printed"
cut -f 2- "$tmp/printed" >"$tmp/commands"

while IFS="$tab" read -r page command; do
	command=$command awk -F '\t' '!/^#/ && $1 == ENVIRON["command"]' tests/commands.list >"$tmp/line"
	run "$page: $(short "$command"): commands.list says which test runs it" test -s "$tmp/line"
done <"$tmp/printed"

# A test is named with a text that stands in it; `-` is a reason why there can be none.
while IFS="$tab" read -r command file text; do
	case $command in
	'' | '#'*) continue ;;
	esac
	run "commands.list: $(short "$command"): a page has it" grep -qxF -e "$command" "$tmp/commands"
	[ "$file" = - ] || run "commands.list: $(short "$command"): $file runs it" grep -qF -e "$text" "$file"
done <tests/commands.list
finish
