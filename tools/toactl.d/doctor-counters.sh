# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0
#
# doctor-counters.sh: findings from what the counters say, sums_before and sums_after.

# gain ROW: sets got to how much it counted while the doctor watched
gain() {
	get "$1" "$sums_after"
	gain_is=$got
	get "$1" "$sums_before"
	got=$((gain_is - got))
}

# grew LEVEL-NOW LEVEL-BEFORE ROW: did the row count, now or before? What somebody has acknowledged is old. For
# `tell`, which says what that means.
grew() {
	grew_row=$3
	gain "$3"
	if [ "$got" -gt 0 ]; then
		grew_level=$1 grew_text="grew by $got while the doctor watched"
		return
	fi
	get "$3" "$sums_known"
	grew_level=$2
	[ "$gain_is" -gt "$got" ] || return 1
	if [ "$got" -gt 0 ]; then
		grew_text="grew by $((gain_is - got)) since $known_since"
	else
		grew_text="is $gain_is since the module was loaded"
	fi
}

# tell TEXT DO
tell() {
	finding "$grew_level" "$grew_row" "$grew_text: $1" "$2"
}

# senders: those that the traffic check saw
senders() {
	[ -n "${traffic:-}" ] || return 0
	printf '%s\n' "$traffic" | awk '$1 == "from" { printf "%s%s", n++ ? " " : " (seen: ", $2 }
		END { if (n) printf ")" }'
}

# behind: on how many connections the traffic check saw such options in one segment
behind() {
	[ -n "${traffic:-}" ] || return 0
	get behind "$traffic"
	[ "$got" -eq 0 ] || printf ' (seen: in one segment, on %s connections)' "$got"
}

check_counters() {
	grew problem warning toa_table_full && tell "addresses are lost, as the table holds table_max ($(parameter table_max)) connections" \
		"$(to_set table_max N)"
	grew problem warning toa_alloc_failed && tell "addresses are lost, as memory was short" \
		"free memory, or raise vm.min_free_kbytes"
	grew warning warning toa_probe_missed && tell "calls passed unseen: hooks by kprobes can be missed" \
		"load with hook=auto where the kernel has ftrace; stop other tracers (perf, bpftrace, kprobe_events)"
	grew problem warning toa_untrusted && tell "addresses are ignored, as their senders are not in trusted=$(parameter trusted)" \
		"if a sender$(senders) is your balancer, add its address to trusted, in /sys/module/toa/parameters and /etc/modprobe.d/toa.conf; if not, keep it away from the port"
	grew warning note toa_segment && tell "options came in a segment that segments=$(parameter segments) does not name" \
		"if the balancer marks that segment, name it in segments; if not, clients forge, and nothing is to be done"
	grew warning note toa_disagree && tell "options named another client than the one that counts, in an earlier segment or in the same one$(behind): the balancer passes on what clients write, or it is one of a chain" \
		"leave in segments only those that the balancer writes, in opt_ipv4, opt_ipv6, opt_hostid and opt_bare only its kinds: toactl doctor --port N sees which; behind a chain, of which the first takes out what clients write: echo last > /sys/module/toa/parameters/pick"
	grew warning note toa_syn_evicted && case ,$(parameter segments), in
	*,syn,*) tell "handshakes were forgotten because others needed their slot: a SYN flood?" \
		"if addresses are lost, load with a bigger syn_slots (it is $(parameter syn_slots))" ;;
	*) tell "addresses are lost, as accept queues were full" \
		"a bigger backlog of the server, and net.core.somaxconn" ;;
	esac
	grew warning note toa_share_full && tell "addresses of a user's or a container's namespaces are lost, as they hold their share of the table or the slots" \
		"if they are servers of yours: a smaller tenant_share (it is $(parameter tenant_share)) gives each more, 1 all; 0 gives nothing"
	grew warning note toa_invalid && tell "options name addresses that nobody may claim" \
		"find the sender with debug=1 and dmesg: somebody forges, or the balancer is misconfigured"
	check_room
	check_drift
}

# Before addresses are lost.
check_room() {
	get toa_entry_alloc "$sums_after"
	room_used=$got
	get toa_entry_free "$sums_after"
	room_used=$((room_used - got))
	room_max=$(parameter table_max)
	[ $((room_used * 5)) -le $((room_max * 4)) ] ||
		finding warning table_max "the table holds $room_used connections, and can hold $room_max" \
			"$(to_set table_max N)"
}

# An IPv6 address that was made is in the table until it is freed.
check_drift() {
	[ -r "$TABLE" ] || return 0
	drift=$(awk '
		FNR == 1 { part++ }
		part == 2 {
			if (FNR > 1 && $5 ~ /^\[/)
				table++
			next
		}
		/^ip6_address_(alloc|free)/ {
			colon = index($0, ":")
			name = substr($0, 1, colon)
			n = split(substr($0, colon + 1), column, " ")
			for (i = 1; i <= n; i++)
				sum[part, name ~ /alloc/] += column[i]
		}
		END {
			# Connections came or went meanwhile: nothing can be said.
			if (sum[1, 1] == sum[3, 1] && sum[1, 0] == sum[3, 0] && sum[1, 1] - sum[1, 0] != table)
				printf "%.0f were made and not freed, but the table has %d\n", sum[1, 1] - sum[1, 0], table
		}' "$STATS" "$TABLE" "$STATS" 2>/dev/null)
	[ -z "$drift" ] || finding warning ip6_address "$drift" \
		"please report it, with the output of: toactl stats; toactl table"
}

# Kinds that are believed, but have not come since load: the counters know families only.
check_families() {
	families_all=$(($(value syn_recv_sock_toa "$sums_after") + $(value toa_late "$sums_after")))
	families_six=$(value ip6_address_alloc "$sums_after")
	[ -e "$PARAMETERS/opt_ipv6" ] && [ "$families_all" -gt 0 ] || return 0
	if [ "$families_six" -eq 0 ] && [ -n "$(parameter opt_ipv6)" ]; then
		unused_kinds opt_ipv6 "$(parameter opt_ipv6)" '' "$families_all connections with an address since load"
	elif [ "$families_six" -ge "$families_all" ] && [ -n "$(parameter opt_ipv4)" ] && ! is_on both; then
		unused_kinds opt_ipv4 "$(parameter opt_ipv4)" '' "$families_all connections with an address since load"
	fi
}
