# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
#
# doctor-settings.sh: findings about hooks and parameters.

check_hooks() {
	how=$(mechanism)
	case $how in
	*kprobes*)
		if [ "$(file_text "$ROOT/sys/kernel/debug/kprobes/enabled")" = 0 ]; then
			finding problem hooks "kprobes are switched off: nothing is seen" \
				"echo 1 > /sys/kernel/debug/kprobes/enabled"
		elif [ "$(file_text "$ROOT/proc/sys/kernel/ftrace_enabled")" = 0 ] &&
			probes | grep -q FTRACE; then
			finding problem hooks "kernel.ftrace_enabled is 0, which disarms the kprobes: nothing is seen" \
				"sysctl kernel.ftrace_enabled=1"
		elif probes | grep -q DISABLED; then
			finding problem hooks "some of the kprobes are disabled" "rmmod toa; modprobe toa"
		else
			finding ok hooks "by $how"
		fi
		;;
	ftrace) finding ok hooks "by ftrace" ;;
	*)
		finding note hooks "cannot be seen" \
			"as root: mount -t tracefs tracefs /sys/kernel/tracing, or look for 'toa load success' in dmesg"
		;;
	esac
}

check_parameters() {
	if is_on debug; then
		finding warning debug "is on: the kernel log gets a line for each decision, up to 10 of each sort in 5 seconds" \
			"read dmesg -Tw, then: echo 0 > /sys/module/toa/parameters/debug"
	else
		finding ok debug "is off; echo 1 > /sys/module/toa/parameters/debug shows each decision in dmesg"
	fi
	case $(parameter syn_slots),$(parameter segments) in
	0,syn*)
		finding warning syn_slots "is 0: an option that stands in the SYN only is not seen" \
			"load without syn_slots=0, unless the balancer repeats it in the final ACK"
		;;
	esac
}

# trusted_list: with commas between; nothing if everybody is trusted
trusted_list() {
	case $(parameter trusted) in
	'' | '(null)' | any | all) ;;
	*) parameter trusted ;;
	esac
}

check_trusted() {
	if [ -e "$PARAMETERS/trusted" ]; then
		case $(trusted_list) in
		'')
			finding warning trusted "is empty: whoever reaches the server can claim any address" \
				"echo ADDRESSES > /sys/module/toa/parameters/trusted, those of the balancer$(senders), and trusted=ADDRESSES in /etc/modprobe.d/toa.conf"
			;;
		*) finding ok trusted "$(parameter trusted)" ;;
		esac
	fi
}
