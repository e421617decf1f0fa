# shellcheck shell=sh disable=SC2034
# SPDX-License-Identifier: GPL-2.0
#
# common.sh: what all parts of toactl use: where the files are, errors, files of one line, parameters,
# the counters, waiting.

# Tests put files of their own in the place of /proc, /sys and /lib.
ROOT=${TOACTL_ROOT:-}
STATS=$ROOT/proc/net/toa_stats
TABLE=$ROOT/proc/net/toa_table
MODULE=$ROOT/sys/module/toa
PARAMETERS=$MODULE/parameters
NEWLINE='
'

bad_usage() {
	echo "toactl: $*" >&2
	usage >&2
	exit 64
}

die() {
	echo "toactl: $*" >&2
	exit 2
}

# is_number TEXT LOW HIGH
is_number() {
	case $1 in
	'' | *[!0-9]* | ??????????*) return 1 ;;
	esac
	[ "$1" -ge "$2" ] && [ "$1" -le "$3" ]
}

# in_list WORD LIST: is the word in the list with commas?
in_list() {
	case ",$2," in
	*",$1,"*) ;;
	*) return 1 ;;
	esac
}

# file_text FILE: its first line, or nothing
file_text() {
	[ -r "$1" ] || return 1
	file_line=
	IFS= read -r file_line <"$1" 2>/dev/null || [ -n "$file_line" ] || return 1
	printf '%s\n' "$file_line"
}

parameter() {
	file_text "$PARAMETERS/$1"
}

# Bool parameters read Y or N, numeric ones as numbers.
is_on() {
	case $(parameter "$1") in
	Y | y | [1-9]*) ;;
	*) return 1 ;;
	esac
}

kernel_log() {
	if [ -n "$ROOT" ]; then
		cat "$ROOT/dmesg" 2>/dev/null
	else
		dmesg 2>/dev/null
	fi
}

kernel_release() {
	file_text "$ROOT/proc/sys/kernel/osrelease" || uname -r
}

# sums: one line "ROW SUM" for each row, summed over CPUs
sums() {
	awk '{
		colon = index($0, ":")
		if (!colon)
			next
		name = substr($0, 1, colon - 1)
		gsub(/[ \t]/, "", name)
		n = split(substr($0, colon + 1), column, " ")
		sum = 0
		for (i = 1; i <= n; i++)
			sum += column[i]
		printf "%s %.0f\n", name, sum
	}' "$STATS"
}

# get WORDS LINES: sets got to what stands behind the words in their line, such as the sum of a row of
# `sums`; to 0 if there is no such line: another version of the module has other rows
get() {
	got=$NEWLINE$2
	case $got in
	*"$NEWLINE$1 "*)
		got=${got#*"$NEWLINE$1 "}
		got=${got%%"$NEWLINE"*}
		;;
	*) got=0 ;;
	esac
}

# value ROW SUMS: the row's sum
value() {
	get "$1" "$2"
	echo "$got"
}

# now: the time, as programs read it
now() {
	date -u +%Y-%m-%dT%H:%M:%SZ
}

# nap SECONDS: sleeps, but a signal's trap need not wait for the end of it
sleeper=''
nap() {
	sleep "$1" &
	sleeper=$!
	wait "$sleeper"
	sleeper=''
}

# at_end COMMAND: run at the end, and when a signal ends this
at_end() {
	# shellcheck disable=SC2064
	trap "$1" EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 141' PIPE
	trap 'exit 143' TERM
}
