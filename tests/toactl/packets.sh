# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: GPL-2.0
#
# packets.sh: what toactl doctor --port makes of packets. Wants host.sh.

# packet FROM TO SEQ ACK FLAGS OPTIONS [DATA]: one more segment in what tcpdump prints; ports as four
# digits, all hexadecimal; the balancer is 10.99.0.1, the server 10.99.1.1
packet() {
	case $1 in
	0050) packet_ends=0a6301010a630001 ;;
	*) packet_ends=0a6300010a630101 ;;
	esac
	echo "10:00:00.000000 toa-s In  IP a segment"
	printf '\t0x0000:  %s\n' "$(printf '4500%04x0001400040060000%s%s%s%08x%08x%x0%sffff00000000%s' \
		$((40 + ${#6} / 2 + ${#7} / 2)) "$packet_ends" "$1" "$2" "$3" "$4" $((5 + ${#6} / 8)) "$5" "$6")${7:-}" |
		sed 's/[0-9a-f]\{4\}/& /g; s/^\(.\)0x0000 *: */\10x0000:  /; s/0x00 00/0x0000/'
}

# handshake PORT SYN-OPTIONS ACK-OPTIONS DATA-OPTIONS: a connection, and a later segment that is none of it
handshake() {
	packet "$1" 0050 4294967295 0 02 "$2"
	packet 0050 "$1" 4294967295 0 12 020405b4
	packet "$1" 0050 0 0 10 "$3"
	packet "$1" 0050 0 0 18 "$4" 47455420
	packet "$1" 0050 4 100 10 c8080002c6336402
}

# The strictest setting, from what comes.
strictness() {
	C200=c8089c40c6336401 MSS=020405b4 BARE=1c06c63364010101
	C253=fd149c4120010db8000c00000000000000000001
	healthy
	{
		handshake 0401 $MSS $C200 0101080a0000000000000000
		handshake 0402 $C200$MSS $C200 $C200
		handshake 0403 $MSS $C200 $C200
	} >"$tmp/capture"
	says "doctor: the option is never in the SYN" 1 "^note +segments +of 3 connections the option stands 1 in syn, 3 in ack, 2 in data" \
		"do: if the balancer writes it into ack,data only: echo ack,data > /sys/module/toa/parameters/segments, and segments=ack,data in" \
		"^note +opt_ipv6 +253 came on none of 3 connections" "do: if the balancer never sends it: echo > /sys/module/toa/parameters/opt_ipv6" \
		-- doctor --port 80 --seconds 0
	parameter segments ack,data
	parameter opt_ipv6 ""
	says "doctor: nothing more to tell" 1 "^ok +segments +of 3 connections" "^ok +option +200" -- doctor --port 80 --seconds 0
	run "$shell_name: it gives no note" sh -c "! grep ^note '$tmp/out'"
	parameter segments syn
	says "doctor: the segment is not in segments=" 2 "^problem +segments +of 3 .*segments=syn ignores it there" "do: .*echo ack,data >" -- doctor --port 80 --seconds 0
	healthy
	{
		handshake 0401 $MSS "" $C200
		handshake 0402 $C200$MSS "" $C200
		handshake 0403 "" "" $C200
	} >"$tmp/capture"
	says "doctor: in data only" 2 "^problem +segments +of 3 connections the option stands 1 in syn, 0 in ack, 3 in data: when it comes, the socket is there" \
		"do: echo 1 > /sys/module/toa/parameters/late, and late=1 in .*listen ... deferred" -- doctor --port 80 --seconds 0
	parameter late Y
	says "doctor: in data only, as it is wanted" 1 "^note +segments .*into syn,ack" "do: .*echo data >" -- doctor --port 80 --seconds 0
	parameter opt_ipv4 77,200,254
	says "doctor: kinds that never come" 1 "^note +opt_ipv4 +77,254 came on none of 3" "do: .*echo 200 > /sys/module/toa/parameters/opt_ipv4" -- doctor --port 80 --seconds 0
	healthy
	handshake 0401 "" $C200$C253 "" >"$tmp/capture"
	says "doctor: behind another option, and so not seen" 1 "^ok +option +253 .* on 1 of 1" "^note +opt_ipv6 +253 came on none of 1" -- doctor --port 80 --seconds 0
	counters toa_disagree 3 0
	says "doctor: two in one segment" 1 "^note +toa_disagree +is 3 .*in the same one \(seen: in one segment, on 1 connections\)" -- doctor --port 80 --seconds 0
	counters
	parameter pick last
	says "doctor: pick=last" 2 "^problem +listener" "^note +opt_ipv4 +200 came on none of 1" -- doctor --port 80 --seconds 0
	healthy
	handshake 0401 fe08f989c6336417 fe06e2d4c3d90101 "" >"$tmp/capture"
	says "doctor: what is Fast Open's or SMC's is no address" 2 "^problem +option +none on 1 connections" -- doctor --port 80 --seconds 0
	handshake 0401 "" fe08f989c6336417 "" >"$tmp/capture"
	says "doctor: outside of a SYN it is one" 2 "^problem +option +254 \(length 8\).*does not believe" "do: .*echo 200,254 > /sys/module/toa/parameters/opt_ipv4" -- doctor --port 80 --seconds 0
	handshake 0401 "" "" $BARE >"$tmp/capture"
	says "doctor: option 28 with the address alone" 2 "^problem +option +28 \(length 6\)" "do: .*echo 28 > /sys/module/toa/parameters/opt_bare" -- doctor --port 80 --seconds 0
	handshake 0401 "" "" "1d${BARE#1c}" >"$tmp/capture"
	says "doctor: option 29" 2 "^problem +option +29 \(length 6\)" "do: .*echo 29 > /sys/module/toa/parameters/opt_bare.*TCP-AO" -- doctor --port 80 --seconds 0
	handshake 0401 "" 1d10000000000000000000000000000000 "" >"$tmp/capture"
	says "doctor: TCP-AO is no address" 2 "^problem +option +none on 1" -- doctor --port 80 --seconds 0
	handshake 0401 "" "fc${C200#c8}" "" >"$tmp/capture"
	says "doctor: option 252" 2 "do: .*echo 200,252 > /sys/module/toa/parameters/opt_ipv4" -- doctor --port 80 --seconds 0
	{
		handshake 0401 "" "fc${C200#c8}" ""
		handshake 0402 $C200 "fc${C200#c8}" ""
	} >"$tmp/capture"
	says "doctor: option 252, and a client that forges 200" 2 "^problem +option +252" "^ok +option +200" -- doctor --port 80 --seconds 0
}

# The same from the counters.
counted() {
	healthy
	parameter trusted ""
	says "doctor: trusted is empty" 1 "^warning +trusted +is empty" "do: echo ADDRESSES > /sys/module/toa/parameters/trusted" -- doctor --seconds 0
	says "status: trusted is empty" 1 "^warning +trusted +is empty" -- status
	healthy
	echo 1 >"$host/sys/module/toa/refcnt"
	mkdir -p "$host/proc/4711/task/4712" "$host/proc/4713/task/4713"
	echo nginx >"$host/proc/4711/task/4712/comm"
	printf '[<0>] _copy_to_user+0x31/0x40\n[<0>] copy_waiting+0x42/0x70 [toa]\n' >"$host/proc/4711/task/4712/stack"
	echo '[<0>] do_exit+0x2b4/0xa80' >"$host/proc/4713/task/4713/stack"
	says "status: somebody waits inside" 1 "^warning +process 4711 +nginx waits inside toa, for memory" -- status
	echo 0 >"$host/sys/module/toa/refcnt"
	says "status: nobody waits inside any more" 0 "^problems +none" -- status
	healthy
	counters toa_entry_alloc 800 11
	parameter table_max 1000
	says "status: the table is nearly full" 1 "^warning +table_max +the table holds 804 connections, and can hold 1000" -- status
	parameter table_max 1005
	says "status: the table is not nearly full" 0 "^problems +none" -- status
	healthy
	counters toa_syn_evicted 0 4
	says "doctor: toa_syn_evicted, a flood" 1 "^note +toa_syn_evicted +is 4 .*: a SYN flood\?" -- doctor --seconds 0
	parameter segments ack,data
	says "doctor: toa_syn_evicted, SYNs are not looked at" 1 "^note +toa_syn_evicted +is 4 .*accept queues were full" -- doctor --seconds 0
	healthy
	for counted_row in toa_disagree toa_segment toa_share_full; do
		counters $counted_row 0 4
		says "doctor: $counted_row" 1 "^note +$counted_row +is 4 since" -- doctor --seconds 0
	done
	counters ip6_address_alloc 0 0
	sed -i 's/^\(ip6_address_free .*:\).*/\1          0          0 /' "$host/proc/net/toa_stats"
	sed -i '/^253/d' "$host/proc/net/toa_table"
	says "status: IPv6 is never seen" 0 "^problems +none" "^note +opt_ipv6 +253 came on none of 12 connections with an address since load" "do: .*echo > /sys/module/toa/parameters/opt_ipv6" -- status
	says "doctor: IPv6 is never seen" 1 "^note +opt_ipv6 +253 came on none of 12" -- doctor --seconds 0
	counters ip6_address_alloc 4 8
	says "status: IPv4 is never seen" 1 "^note +opt_ipv4 +200 came on none of 12" -- status
}

# What tcpdump prints of a segment, played by a program of that name.
packets() {
	healthy
	mkdir -p "$tmp/bin"
	{
		echo "#!/bin/sh"
		echo "cat '$tmp/capture'"
		echo "echo listening on any >&2"
		echo "exec sleep 60"
	} >"$tmp/bin/tcpdump"
	chmod +x "$tmp/bin/tcpdump"
	shell_path=$tmp/bin:$shell_path
	# IPv4, 10.99.0.1:1024 to port 80: a SYN with MSS and an option.
	syn='	0x0000:  4500 0030 0001 4000 4006 0000 0a63 0001
	0x0010:  0a63 0101 0400 0050 0000 0001 0000 0000'
	head='10:00:00.000000 toa-s In  IP 10.99.0.1.1024 > 10.99.1.1.80: Flags [S], length 0'
	printf '%s\n%s\n\t0x0020:  8002 ffff 0000 0000 c808 9c40 c633 6401\n\t0x0030:  0204 05b4\n' \
		"$head" "$syn" >"$tmp/capture"
	says "doctor: option 200 arrives" 1 "^ok +option +200 \(length 8\) on 1 of 1 connections to port 80" -- doctor --port 80 --seconds 0
	printf '%s\n%s\n\t0x0020:  6002 ffff 0000 0000 0204 05b4\n' "$head" "$syn" >"$tmp/capture"
	says "doctor: the option is stripped" 2 "^problem +option +none on 1 connections to port 80" "do: let the balancer send option 200 or 253" -- doctor --port 80 --seconds 0
	printf '%s\n%s\n\t0x0020:  a002 ffff 0000 0000 fe14 9c41 2001 0db8\n\t0x0030:  000c 0000 0000 0000 0000 0001\n' \
		"$head" "$syn" >"$tmp/capture"
	rm "$host/sys/module/toa/parameters/opt_ipv6"
	says "doctor: option 254" 2 "^problem +option +254 \(length 20\) on 1 of 1 connections" "do: set the balancer to option 200" -- doctor --port 80 --seconds 0
	parameter opt_ipv6 253
	says "doctor: option 254, and a parameter for it" 2 "do: if it is the balancer.s: echo 253,254 > /sys/module/toa/parameters/opt_ipv6" -- doctor --port 80 --seconds 0
	parameter opt_ipv6 253,254
	says "doctor: option 254 as it is wanted; the listener does not fit" 2 "^ok +option +254 \(length 20\)" "^problem +listener +AF_INET on port 80" -- doctor --port 80 --seconds 0
	healthy
	printf '%s\n%s\n\t0x0020:  7002 ffff 0000 0000 1c07 01c6 3364 0100\n' "$head" "$syn" >"$tmp/capture"
	parameter opt_hostid ""
	says "doctor: a host id in option 28" 2 "^problem +option +28 \(length 7\)" "do: .*echo 28 > /sys/module/toa/parameters/opt_hostid" -- doctor --port 80 --seconds 0
	parameter opt_hostid 28
	says "doctor: a host id in option 28, as it is wanted" 1 "^ok +option +28 \(length 7\)" -- doctor --port 80 --seconds 0
	strictness
	shell_path=${shell_path#*:}
}
