#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 15-rooms.t: the module's files use each other only downwards, as tests/rooms says: in what they include,
# and in what their objects call.
#
# Usage: prove tests/15-rooms.t
# Environment: KERNELS="NAME..." (see scripts/kernels; default: 6.1 and the newest): the last one is built for
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh

plan() {
	grep -v '^#' tests/rooms
}

# What is no room: the interface for applications, and what only the build reads.
rooms() {
	for file in toa_*.[ch]; do
		case $file in
		toa_probe.c | toa_has.h | *.mod.c) ;;
		*) basename "${file%.*}" | sed 's/^toa_//' ;;
		esac
	done | sort -u
}

# Lines "FROM TO": FROM's file includes TO's header.
includes() {
	for file in toa_*.[ch]; do
		from=$(basename "${file%.*}" | sed 's/^toa_//')
		sed -n "s/^#[ \t]*include \"toa_\([a-z0-9]*\)\.h\"/$from \1/p" "$file"
	done | awk '$1 != $2 && $1 != "probe" && $2 != "has"' | sort -u
}

# calls DIR: the same for objects: FROM's uses a symbol that TO's defines.
calls() {
	for object in "$1"/toa_*.o; do
		nm "$object" | awk -v room="$(basename "${object%.o}" | sed 's/^toa_//')" '
			NF == 3 && $2 ~ /^[A-Z]$/ { print "d", room, $3 }
			NF == 2 && $1 == "U" { print "u", room, $2 }'
	done | sort | awk '
		$1 == "d" { home[$3] = $2 }
		$1 == "u" && $3 in home && home[$3] != $2 { print $2, home[$3] }' | sort -u
}

# up ARROWS PLAN: those arrows that do not go down; what the plan does not have is nowhere
up() {
	awk 'NR == FNR { for (i = 1; i <= NF; i++) floor[$i] = NR; next }
	     !($1 in floor) || !($2 in floor) || floor[$1] >= floor[$2] { print $1 " uses " $2 }' "$2" "$1"
}

# down WHAT: $tmp/arrows go down, and the test notices if they do not
down() {
	run "there are arrows: $1" test "$(wc -l <"$tmp/arrows")" -ge 40
	silent "each goes down: $1" up "$tmp/arrows" "$tmp/plan"
	run "upside down none does: $1" test "$(up "$tmp/arrows" "$tmp/reversed" | wc -l)" -eq \
		"$(wc -l <"$tmp/arrows")"
}

plan >"$tmp/plan"
tac "$tmp/plan" >"$tmp/reversed"
tr ' ' '\n' <"$tmp/plan" | sort >"$tmp/planned"
rooms >"$tmp/rooms"
run "tests/rooms has each room once" diff "$tmp/rooms" "$tmp/planned"
awk '/^```/ { n++; next } n == 1' doc/design.md >"$tmp/picture"
run "doc/design.md shows the plan" diff "$tmp/plan" "$tmp/picture"

includes >"$tmp/arrows"
down "what files include"

kernel=$(kernels | sed 's,.* ,,; s|,.*||')
for build in '' DEBUG=1; do
	what="what objects call${build:+, $build}"
	if ! ko=$(scripts/build-module "$kernel" $build 2>"$tmp/log"); then
		diag "$tmp/log"
		lacking "$what" "the module cannot be built for $kernel"
		continue
	fi
	calls "$(dirname "$ko")" >"$tmp/arrows"
	down "$what"
done
finish
