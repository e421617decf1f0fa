# shellcheck shell=sh disable=SC2034
# SPDX-License-Identifier: GPL-2.0
#
# acknowledge.sh: what the counters said when somebody had seen it: what is told from then on is new. Sets
# sums_known, the counters then, and known_since, when.

# It goes at boot, and is of no use when the module has been loaded again.
ACKNOWLEDGED=$ROOT/run/toa/acknowledged

# this_load: another number for each time that the module is loaded
this_load() {
	# shellcheck disable=SC2012
	ls -di "$MODULE" | sed 's/^ *\([0-9]*\) .*/\1/'
}

acknowledge() {
	(
		umask 022
		mkdir -p "${ACKNOWLEDGED%/*}" && {
			echo "$(this_load) $(now)" && sums
		} >"$ACKNOWLEDGED.$$" && mv "$ACKNOWLEDGED.$$" "$ACKNOWLEDGED"
	) || {
		rm -f "$ACKNOWLEDGED.$$"
		die "$ACKNOWLEDGED cannot be written: only root may acknowledge"
	}
}

read_acknowledged() {
	sums_known='' known_since=''
	[ -r "$ACKNOWLEDGED" ] || return 0
	known_all=$(cat "$ACKNOWLEDGED")
	known_head=${known_all%%"$NEWLINE"*}
	[ "${known_head%% *}" = "$(this_load)" ] || return 0
	known_since=${known_head#* }
	sums_known=${known_all#*"$NEWLINE"}
}
