# shellcheck shell=sh disable=SC2119,SC2120,SC2154
# SPDX-License-Identifier: GPL-2.0
#
# host.sh: files that stand for /proc and /sys of a host, and checks of what toactl says of them. Wants tests/tap.sh;
# shell, shell_name and shell_path, what runs toactl; python, or nothing; and $tmp/toactl.

host=$tmp/host
export TOACTL_ROOT="$host"

# Files of a host where all is well: the same each time, so that one that was made is copied.
healthy() {
	rm -rf "$host"
	if [ -d "$tmp/healthy" ]; then
		cp -R "$tmp/healthy" "$host"
		return
	fi
	make_healthy
	cp -R "$host" "$tmp/healthy"
}

make_healthy() {
	mkdir -p "$host/proc/net" "$host/proc/sys/kernel" "$host/sys/module/toa/parameters" \
		"$host/sys/kernel/tracing" "$host/sys/kernel/debug/kprobes" "$host/lib/modules" "$host/run"
	echo 6.1.0-test >"$host/proc/sys/kernel/osrelease"
	echo 1 >"$host/proc/sys/kernel/ftrace_enabled"
	echo "toa 61440 0 - Live 0xffffffffc040e000 (OE)" >"$host/proc/modules"
	"$tmp/toactl" --version | sed 's/^toactl //' >"$host/sys/module/toa/version"
	parameter debug N
	parameter hook auto
	parameter both N
	parameter kernel_getname N
	parameter late N
	parameter opt_bare ""
	parameter opt_hostid ""
	parameter opt_ipv4 200
	parameter opt_ipv6 253
	parameter pick first
	parameter segments syn,ack,data
	parameter syn_slots 16384
	parameter table_max 1048576
	parameter trusted 10.99.0.0/24
	counters
	cat >"$host/proc/net/toa_table" <<-END
		kind      netns local                                           balancer                                        client                                          age
		200  4026531840 10.99.1.1:80                                    10.99.0.1:1024                                  198.51.100.1:40000                              3
		253  4026531840 [2001:db8:d::1]:443                             [2001:db8:b::1]:1025                            [2001:db8:c::1]:40001                           12
	END
	for symbol in inet_sock_destruct tcp_disconnect inet_getname inet6_getname tcp_v4_syn_recv_sock \
		tcp_v6_syn_recv_sock tcp_conn_request; do
		echo "$symbol (1)   I  	tramp: 0xffffffffc0535000 (on_getname_v4+0x0/0x90 [toa]) ->on_x+0x0/0x90 [toa]"
	done >"$host/sys/kernel/tracing/enabled_functions"
	: >"$host/sys/kernel/debug/kprobes/list"
	echo 1 >"$host/sys/kernel/debug/kprobes/enabled"
	for family in tcp tcp6; do
		echo "  sl  local_address rem_address   st" >"$host/proc/net/$family"
	done
	echo "   0: 0101630A:0050 00000000:0000 0A 00000000:00000000" >>"$host/proc/net/tcp"
	echo "   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 0:0" \
		>>"$host/proc/net/tcp6"
	loaded_by ftrace
}

# loaded_by MECHANISM: the kernel log's line
loaded_by() {
	echo "[    7.0] TOA: 1.0.0, hooks by $1, every sender is believed (trusted= is empty): toa load success" \
		>"$host/dmesg"
}

parameter() {
	echo "$2" >"$host/sys/module/toa/parameters/$1"
}

# counters [ROW FIRST SECOND]: all rows; one of them with other counts on the two CPUs
counters() {
	{
		printf '%34s%-11s%-11s\n' "" CPU0 CPU1
		for row in syn_recv_sock_toa:10:2 syn_recv_sock_no_toa:3:0 getname_toa_ok:7:8 \
			getname_toa_mismatch:0:0 getname_toa_empty:0:0 ip6_address_alloc:5:0 \
			ip6_address_free:1:3 toa_invalid:0:0 toa_syn_evicted:0:0 toa_table_full:0:0 \
			toa_alloc_failed:0:0 toa_segment:0:0 toa_disagree:0:0 \
			toa_late:0:0 toa_share_full:0:0 toa_entry_alloc:9:3 toa_entry_free:1:6 \
			toa_adopted:0:0 \
			toa_probe_missed:0:0; do
			name=${row%%:*}
			row=${row#*:}
			[ "$name" = "${1:-}" ] && row=$2:$3
			printf '%-25s:%10s %10s \n' "$name" "${row%:*}" "${row#*:}"
		done
	} >"$host/proc/net/.toa_stats"
	# A reader sees the old ones or the new ones.
	mv "$host/proc/net/.toa_stats" "$host/proc/net/toa_stats"
}

# says NAME STATUS PATTERN... -- ARGUMENT...: toactl ends with this status, and each pattern stands in
# a line of what it prints
says() {
	says_name="$shell_name: $1"
	says_status=$2
	shift 2
	: >"$tmp/patterns"
	while [ "$1" != -- ]; do
		printf '%s\n' "$1" >>"$tmp/patterns"
		shift
	done
	shift
	run_shell "$@" >"$tmp/out" 2>&1 </dev/null
	says_got=$?
	says_good=1
	[ $says_got -eq "$says_status" ] || says_good=
	awk 'NR == FNR { pattern[NR] = $0; n = NR; next }
		{ for (i = 1; i <= n; i++) if ($0 ~ pattern[i]) seen[i] = 1 }
		END { for (i = 1; i <= n; i++) if (!seen[i]) { print "# not seen: " pattern[i]; bad = 1 } exit bad }' \
		"$tmp/patterns" "$tmp/out" || says_good=
	if [ -n "$says_good" ]; then
		ok "$says_name"
	else
		not_ok "$says_name"
		echo "# status $says_got, not $says_status"
		diag "$tmp/out"
	fi
}

run_shell() {
	# shellcheck disable=SC2086
	PATH=$shell_path $shell "$tmp/toactl" "$@"
}

# json PROGRAM ARGUMENT...: what toactl prints is JSON, and the Python expression on it, x, is true
json() {
	json_test=$1
	shift
	if [ -z "$python" ]; then
		lacking "$shell_name: $*: valid JSON" "no python3"
		return
	fi
	run_shell "$@" >"$tmp/json" 2>&1 </dev/null
	run "$shell_name: $*: valid JSON, and $json_test" "$python" -c "
import json
x = json.load(open('$tmp/json'))
assert $json_test, x"
}
