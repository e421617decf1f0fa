# shellcheck shell=sh disable=SC2034
# SPDX-License-Identifier: GPL-2.0
#
# status.sh: toactl status: one screen, and what is wrong. Sets sums_before and sums_after, the counters,
# which are the same here, and traffic: none was looked at.

describe_parameters() {
	for file in "$PARAMETERS"/*; do
		described=
		IFS= read -r described 2>/dev/null <"$file"
		printf ' %s=%s' "${file##*/}" "$described"
	done
}

do_status() {
	status_seen=''
	case $#:${1:-} in
	0:) ;;
	1:--acknowledge) status_seen=1 ;;
	*) bad_usage "status: $1 is not known" ;;
	esac
	if [ ! -e "$MODULE" ] || ! is_ours || [ ! -r "$STATS" ]; then
		if [ -e "$MODULE" ]; then
			check_loaded
		else
			check_not_loaded
		fi | report
		exit
	fi
	[ -z "$status_seen" ] || acknowledge
	read_acknowledged
	sums_after=$(sums)
	sums_before=$sums_after
	traffic=''
	how=$(mechanism)
	echo "toa $(file_text "$MODULE/version"): loaded, hooks by ${how:-ftrace or kprobes (root can see which)}"
	if [ -r "$TABLE" ]; then
		now=$(in_table)
		echo "addresses    ${now% *} IPv4 and ${now#* } IPv6 now"
	else
		echo "addresses    root can see how many"
	fi
	echo "connections  $(value syn_recv_sock_toa "$sums_after") with an address and $(value syn_recv_sock_no_toa "$sums_after") without since load"
	echo "answers      $(value getname_toa_ok "$sums_after")"
	echo "parameters  $(describe_parameters)"
	[ -z "$known_since" ] || echo "acknowledged $known_since: what was counted before is told no more"
	findings=$({
		check_loaded
		check_hooks
		check_parameters
		check_trusted
		check_counters
	} | grep -E '^(warning|problem)|^note[[:space:]]toa_(segment|disagree)'
		check_families)
	if ! printf '%s\n' "$findings" | grep -qE '^(warning|problem)'; then
		echo "problems     none"
	fi
	[ -n "$findings" ] || exit 0
	echo
	printf '%s\n' "$findings" | report
}
