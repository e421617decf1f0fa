# shellcheck shell=sh disable=SC2034
# SPDX-License-Identifier: GPL-2.0
#
# doctor.sh: toactl doctor: runs the checks, and reports. Sets what they read: doctor_port and
# doctor_seconds, of the command line; scratch, a file for any of them; sums_before and sums_after, the
# counters.

do_doctor() {
	doctor_port='' doctor_seconds=10
	while [ $# -gt 0 ]; do
		case $1 in
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
	scratch=$(mktemp) || die "no temporary file can be made"
	diagnose | report
	status=$?
	rm -f "$scratch"
	exit $status
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
	sums_before=$(sums)
	watch
	sums_after=$(sums)
	check_trusted
	check_traffic
	check_counters
	check_listener
}
