# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: GPL-2.0
#
# doctor.sh: toactl doctor: runs the checks, and reports. Sets what they read: doctor_port and
# doctor_seconds, of the command line; scratch, a file for any of them, and capture, one for packets;
# sums_before and sums_after, the counters.

do_doctor() {
	doctor_port='' doctor_seconds=10 doctor_report=report
	while [ $# -gt 0 ]; do
		case $1 in
		--json)
			doctor_report=report_json
			shift
			continue
			;;
		--port)
			is_number "${2:-}" 1 65535 || bad_usage "--port wants a number"
			doctor_port=$2
			;;
		--seconds)
			is_number "${2:-}" 0 86400 || bad_usage "--seconds wants a number"
			doctor_seconds=$2
			;;
		*) bad_usage "doctor: $1 is not known" ;;
		esac
		shift 2
	done
	doctor_dir='' reporter='' tcpdump=''
	at_end doctor_end
	doctor_dir=$(mktemp -d) || die "no temporary directory can be made"
	scratch=$doctor_dir/scratch capture=$doctor_dir/capture
	mkfifo "$doctor_dir/findings" || die "$doctor_dir takes no files"
	# Not a pipe: whoever ends this ends the shell that waits, and it must clean up.
	"$doctor_report" <"$doctor_dir/findings" &
	reporter=$!
	diagnose >"$doctor_dir/findings"
	wait "$reporter"
	status=$?
	reporter=''
	exit $status
}

# Nothing is left, no process and no file, by a signal neither.
doctor_end() {
	for doctor_child in $tcpdump $sleeper $reporter; do
		kill "$doctor_child" 2>/dev/null
	done
	[ -z "$doctor_dir" ] || rm -rf "$doctor_dir"
}

diagnose() {
	[ -n "$ROOT" ] || [ "$(id -u)" -eq 0 ] ||
		finding note root "this is not root: hooks, table and packets cannot be seen" "sudo toactl doctor"
	if [ ! -e "$MODULE" ]; then
		check_not_loaded
		return
	fi
	check_loaded || return
	check_hooks
	check_parameters
	read_acknowledged
	sums_before=$(sums)
	watch
	sums_after=$(sums)
	check_trusted
	check_traffic
	check_counters
	check_listener
}
