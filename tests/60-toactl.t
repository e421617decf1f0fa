#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 60-toactl.t: toactl, as it is installed, on files that stand for /proc and /sys, under dash and busybox;
# the same in the sources; its man pages; then in a guest, where the doctor must find the faults that
# tests/toactl/guest plants.
#
# Usage: prove tests/60-toactl.t
# Environment: KERNELS="NAME..." (see scripts/kernels; the guest boots the first; default: 6.1)
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh

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
	echo 1.0.0 >"$host/sys/module/toa/version"
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

reports() {
	healthy
	says "status: one screen, no problem" 0 "^toa 1\.0\.0: loaded, hooks by ftrace$" \
		"^addresses +1 IPv4 and 1 IPv6 now$" "^connections +12 with an address and 3 without since load$" \
		"^answers +15$" "^parameters +both=N debug=N hook=auto .* table_max=1048576 trusted=" "^problems +none$" -- status
	says "stats: sums over CPUs" 0 "^syn_recv_sock_toa +12$" "^ip6_address_free +4$" -- stats
	says "stats --prometheus: each row a counter" 0 '^toa_info\{version="1.0.0",mechanism="ftrace"\} 1$' \
		"^toa_trusted_ranges 1$" "^toa_entries 5$" "^toa_table_max 1048576$" \
		"^# TYPE toa_syn_recv_sock_toa_total counter$" "^toa_syn_recv_sock_toa_total 12$" \
		"^# HELP toa_probe_missed_total [A-Z]" "^toa_probe_missed_total 0$" -- stats --prometheus
	json 'x["getname_toa_ok"] == 15 and len(x) == 18' stats --json
	metrics
	counters syn_recv_sock_toa 4294967295 9000000000000000
	says "stats: big numbers" 0 "^syn_recv_sock_toa +9000004294967295$" -- stats
	counters
	says "table: as the file" 0 "^kind +netns" "^200 .* 198\.51\.100\.1:40000" "^253 .* \[2001:db8:c::1\]:40001" -- table
	json 'len(x) == 2 and x[1] == {"kind": 253, "netns": 4026531840, "local": {"address": "2001:db8:d::1", "port": 443}, "balancer": {"address": "2001:db8:b::1", "port": 1025}, "client": {"address": "2001:db8:c::1", "port": 40001}, "age": 12}' table --json
	json '[e["kind"] for e in x] == [200]' table --json --port 80
	json '[e["kind"] for e in x] == [253]' table --json --client 2001:DB8:000C:0:0:0::1
	json '[e["kind"] for e in x] == [200]' table --json --client ::ffff:198.51.100.1
	json 'x == []' table --json --client 198.51.100.11
	clients
	says "no command is an error with usage" 64 "^usage: toactl status" --
	says "an unknown command is an error" 64 "^toactl: nonsense is not known" -- nonsense
	says "a port out of range is an error" 64 "^toactl: --port wants" -- table --port 65536
	says "so is one behind =" 64 "^toactl: --port wants" -- table --port=0
	says "so is none" 64 "^toactl: --port wants" -- table --port
	json '[e["kind"] for e in x] == [200]' table --json --port=80
	json '[e["kind"] for e in x] == [253]' table --client=2001:db8:c::/48 --json
	rm -r "$host/proc/net"
	says "stats without the module" 2 "is the module loaded" -- stats
}

# All rows that the module has.
metrics() {
	sed -n 's/^\t\[TOA_STAT.*"\(.*\)",/\1/p' toa_stats.c >"$tmp/rows"
	{
		printf '%34s%-11s\n' "" CPU0
		sed 's/$/               :         1/' "$tmp/rows"
		echo "toa_probe_missed         :         0"
	} >"$host/proc/net/toa_stats"
	run_shell stats --prometheus >"$tmp/out"
	run "$shell_name: stats --prometheus: every row of the module has a text of its own" \
		sh -c "[ \$(wc -l <'$tmp/rows') -ge 18 ] && ! grep '^# HELP .* Row ' '$tmp/out'"
	sed -n 's/^\(toa_[a-z0-9_]*\).*/\1/p' "$tmp/out" | sort >"$tmp/metrics"
	for word in HELP TYPE; do
		sed -n "s/^# $word \(toa_[a-z0-9_]*\) .*/\1/p" "$tmp/out" | sort >"$tmp/said"
		run "$shell_name: stats --prometheus: every metric has a $word" diff "$tmp/said" "$tmp/metrics"
	done
	parameter trusted ""
	says "stats --prometheus: nobody is named in trusted" 0 "^toa_trusted_ranges 0$" -- stats --prometheus
	parameter trusted 10.0.0.0/8,2001:db8::/32,192.0.2.1
	: >"$host/dmesg"
	rm -r "$host/sys/kernel/tracing"
	says "stats --prometheus: three are; the hooks cannot be seen" 0 "^toa_trusted_ranges 3$" 'mechanism="unknown"' \
		-- stats --prometheus
	healthy
}

# Who is in the table, and which process.
clients() {
	for bad in "" x 10.0.0 10.0.0.256 010.0.0.1 1.2.3.4.5 10.0.0.0/33 10.0.0.0/ 1:2 ::1::2 1:2:3:4:5:6:7:8:9 \
		:::1 12345::1 2001:db8::/129 fe80::1%lo 198.51.100.1:80; do
		printf '%s\n' "$bad"
	done >"$tmp/bad"
	while IFS= read -r bad; do
		run_shell table --client "$bad" 2>&1 </dev/null | grep -q "^toactl: --client wants an address" || echo "# taken: '$bad'"
	done <"$tmp/bad" >"$tmp/taken"
	run "$shell_name: table --client: what is no address is not taken" test ! -s "$tmp/taken"
	cat "$tmp/taken"
	says "table --client: such an error is one of usage" 64 "^toactl: --client wants an address.*not '10\.0\.0\.256'" "^usage:" \
		-- table --client 10.0.0.256
	json '[e["kind"] for e in x] == [200]' table --json --client 198.51.0.0/16
	json '[e["kind"] for e in x] == [200]' table --json --client 198.51.100.1/32
	json 'x == []' table --json --client 198.51.100.2/31
	json '[e["kind"] for e in x] == [200]' table --json --client 0.0.0.0/0
	json '[e["kind"] for e in x] == [200]' table --json --client ::ffff:198.51.100.0/120
	json '[e["kind"] for e in x] == [253]' table --json --client 2001:db8:c::/47
	json 'x == []' table --json --client 2001:db8:c::2/127
	json '[e["kind"] for e in x] == [200, 253]' table --json --client ::/0
	cat >>"$host/proc/net/toa_table" <<-END
		253  4026531840 10.99.1.1:80                                    10.99.0.1:1026                                  [2001:db8:c::1]:40002                           9
		253  4026531840 10.99.1.1:80                                    10.99.0.1:1027                                  [2001:db8:c::1]:40003                           9
		200  4026531840 10.99.1.1:80                                    10.99.0.1:1028                                  198.51.100.1:40004                              9
		200  4026531840 10.99.1.1:80                                    10.99.0.1:1029                                  198.51.100.7:40005                              9
	END
	says "table --top: the clients that have most" 0 "^connections  client$" "^ +3  2001:db8:c::1$" "^ +2  198\.51\.100\.1$" -- table --top 2
	run "$shell_name: table --top 2: no more of them" sh -c "[ \$(wc -l <'$tmp/out') -eq 3 ]"
	json 'x == [{"client": "198.51.100.1", "connections": 2}, {"client": "198.51.100.7", "connections": 1}]' \
		table --top 5 --json --port 80 --client 198.51.100.0/24
	says "table --top and --process do not go together" 64 "^toactl: --top and --process" -- table --top 2 --process
	says "table --top wants a number" 64 "^toactl: --top wants" -- table --top 0
	processes
	healthy
}

# What ss prints, played by a program of that name.
processes() {
	mkdir -p "$tmp/ss"
	cat >"$tmp/ss/ss" <<-'END'
		#!/bin/sh
		cat <<-LINES
		State  Recv-Q  Send-Q         Local Address:Port            Peer Address:Port  Process
		ESTAB  0       0       [::ffff:10.99.1.1]:80       [::ffff:10.99.0.1]:1024   users:(("nginx",pid=12,fd=3),("ng\\nx 2",pid=13,fd=3))
		ESTAB  0       0        [2001:db8:d:0::1]:443         [2001:db8:b::1]:1025   users:(("haproxy",pid=99,fd=7)) timer:(keepalive,1min,0)
		ESTAB  0       0                10.99.1.1:80              10.99.0.2:1026   users:(("other",pid=7,fd=7))
		LINES
	END
	chmod +x "$tmp/ss/ss"
	shell_path=$tmp/ss:$shell_path
	says "table --process: beside the connection" 0 "^kind .* age +process$" "198\.51\.100\.1:40000 .* 3 +nginx/12,ng.*nx 2/13$" \
		"\[2001:db8:c::1\]:40001 .* 12 +haproxy/99$" "10\.99\.0\.1:1026 .* 9 +-$" -- table --process
	json 'x[1]["processes"] == [{"name": "haproxy", "pid": 99}] and x[2]["processes"] == [] and x[0]["processes"][0] == {"name": "nginx", "pid": 12}' \
		table --process --json
	shell_path=${shell_path#*:}
}

# What a trace of its own says, as a kernel has said it; mkdir and rmdir play the directory that makes it.
following() {
	healthy
	mkdir -p "$host/sys/kernel/tracing/events/toa" "$host/sys/kernel/tracing/instances" "$tmp/follow"
	cat >"$tmp/events" <<-'END'
		          <idle>-0       [001] ..s2.    31.337001: toa_stored: skaddr=00000000ab port=80 balancer=[::ffff:10.99.0.1]:1024 v4=198.51.100.1:40000 v6=[::]:0
		        ng: nx-2-4711    [000] .....    31.338001: toa_getname: skaddr=00000000ab call=getpeername port=80 client=[::ffff:198.51.100.1]:40000
		          <idle>-0       [001] ..s2.    32.000001: toa_stored: skaddr=00000000ac port=443 balancer=[2001:db8:b::1]:1025 v4=0.0.0.0:0 v6=[2001:db8:c::1]:40001
		CPU:1 [LOST 17 EVENTS]
		          <idle>-0       [001] ..s2.    33.000001: toa_ignored: reason=untrusted port=80 balancer=[::ffff:192.0.2.1]:7
	END
	cat >"$tmp/wanted" <<-'END'
		31.337001 stored port 80 balancer 10.99.0.1:1024 client 198.51.100.1:40000
		31.338001 answered port 80 client 198.51.100.1:40000 call getpeername process ng: nx-2/4711
		32.000001 stored port 443 balancer [2001:db8:b::1]:1025 client [2001:db8:c::1]:40001
		- lost 17 events: they come too fast
		33.000001 ignored port 80 balancer 192.0.2.1:7 reason untrusted
	END
	show_recorded >"$tmp/followed"
	run "$shell_name: table --follow: what happens, line for line" diff "$tmp/wanted" "$tmp/followed"
	show_recorded client=198.51.100.0/24 >"$tmp/followed"
	run "$shell_name: table --follow --client: those events that name it" \
		sh -c "[ \$(grep -c 'client 198' '$tmp/followed') -eq 2 ] && ! grep -E 'stored port 443|ignored' '$tmp/followed'"
	show_recorded json=1 >"$tmp/followed"
	run "$shell_name: table --follow --json: one object for each line" "$python" -c "
import json
x = [json.loads(line) for line in open('$tmp/followed')]
assert len(x) == 5 and x[0] == {'time': 31.337001, 'event': 'stored', 'port': 80, 'balancer': {'address': '10.99.0.1', 'port': 1024}, 'client': {'address': '198.51.100.1', 'port': 40000}}, x
assert x[1]['process'] == {'name': 'ng: nx-2', 'pid': 4711} and x[3] == {'event': 'lost', 'number': 17}, x"
	# busybox has a mkdir of its own, which cannot be played: the guest has the real one.
	[ "$shell_name" = busybox ] || instance
	rm -r "$host/sys/kernel/tracing/events"
	says "table --follow without tracepoints" 2 "tracepoints cannot be seen" -- table --follow
}

# show_recorded [VARIABLE=VALUE]: the recorded events, by this shell and its awk
show_recorded() {
	# shellcheck disable=SC2016,SC2086
	PATH=$shell_path $shell -c 'json= client=
		. tools/toactl.d/address.sh
		. tools/toactl.d/follow.sh
		[ -z "$1" ] || eval "$1"
		show_events' show "${1:-}" <"$tmp/events"
}

# The trace is made, filtered, and gone at the end.
instance() {
	cat >"$tmp/follow/mkdir" <<-END
		#!/bin/sh
		"$(command -v mkdir)" "\$@" || exit
		case \$1 in
		*/instances/*)
			"$(command -v mkdir)" -p "\$1/events/toa"
			"$(command -v mkfifo)" "\$1/trace_pipe"
			"$(command -v setsid)" "$(command -v sh)" -c "echo \\\$\\\$ >'$tmp/feeder'; cat '$tmp/events'; exec sleep 60" \
				>"\$1/trace_pipe" &
			;;
		esac
	END
	cat >"$tmp/follow/rmdir" <<-END
		#!/bin/sh
		cat "\$1/events/toa/enable" "\$1/events/toa/filter" >'$tmp/left'
		rm -r "\$1"
	END
	chmod +x "$tmp/follow/mkdir" "$tmp/follow/rmdir"
	shell_path=$tmp/follow:$shell_path
	for signal in HUP:129 INT:130 TERM:143; do
		session table --follow --port=80
		for _ in $(seq 300); do
			[ "$(wc -l <"$tmp/session")" -lt 5 ] || break
			sleep 0.1
		done
		end_session "${signal%:*}"
		# The player of the kernel is none of its processes.
		kill "$(cat "$tmp/feeder")"
		run "$shell_name: table --follow, and SIG${signal%:*}" diff "$tmp/wanted" "$tmp/session"
		printf '%s\n' "${signal#*:}" "" "" 0 "port == 80" >"$tmp/end"
		{
			printf '%s\n' "$ended" "$survivors" "$(ls "$host/sys/kernel/tracing/instances")"
			cat "$tmp/left"
		} >"$tmp/ended"
		run "$shell_name: its trace is switched off and gone, and no process is left" diff "$tmp/end" "$tmp/ended"
	done
	shell_path=${shell_path#*:}
}

# alive SESSION: the processes of it
alive() {
	cat /proc/[0-9]*/stat 2>/dev/null | awk -v session="$1" '
		{ pid = $1; sub(/.*\) /, "") }
		$4 == session && $1 != "Z" { print pid }'
}

# session ARGUMENT...: toactl in a session of its own, $session, and with the signals that a shell takes from what it
# starts in the background, and nohup from all
session() {
	mkdir -p "$tmp/empty"
	# shellcheck disable=SC2086
	"$python" -c '
import os, signal, sys
for name in ("HUP", "INT", "PIPE", "TERM"):
    signal.signal(getattr(signal, "SIG" + name), signal.SIG_DFL)
os.setsid()
os.environ.update(PATH=sys.argv[1], TMPDIR=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])' "$shell_path" "$tmp/empty" $shell "$tmp/toactl" "$@" >"$tmp/session" 2>&1 </dev/null &
	session=$!
}

# end_session SIGNAL: sets survivors, the processes that are left
end_session() {
	kill -s "$1" "$session"
	for _ in $(seq 50); do
		survivors=$(alive "$session")
		[ -n "$survivors" ] || break
		sleep 0.1
	done
	[ -z "$survivors" ] || kill -s KILL -- "-$session"
	wait "$session" 2>/dev/null
	ended=$?
}

# Whoever is ended leaves no process and no file.
killed() {
	mkdir -p "$tmp/slow"
	printf '#!/bin/sh\necho "$$" >"%s/dumping"\necho listening on any >&2\nexec sleep 600\n' "$tmp" >"$tmp/slow/tcpdump"
	chmod +x "$tmp/slow/tcpdump"
	shell_path=$tmp/slow:$shell_path
	healthy
	for signal in HUP:129 INT:130 TERM:143; do
		rm -f "$tmp/dumping"
		session doctor --port 80 --seconds 600
		for _ in $(seq 300); do
			[ ! -s "$tmp/dumping" ] || break
			sleep 0.1
		done
		sleep 0.5
		end_session "${signal%:*}"
		run "$shell_name: doctor: SIG${signal%:*} leaves no process and no file" \
			test "$ended:$survivors:$(ls "$tmp/empty"):$([ -s "$tmp/dumping" ] && echo dumped)" = "${signal#*:}:::dumped"
	done
	session stats --watch 600
	for _ in $(seq 300); do
		[ ! -s "$tmp/session" ] || break
		sleep 0.1
	done
	sleep 0.3
	end_session TERM
	run "$shell_name: stats --watch: SIGTERM leaves no process" test "$ended:$survivors" = 143:
	shell_path=${shell_path#*:}
}

# Somebody has seen it.
acknowledged() {
	healthy
	counters toa_table_full 0 5
	says "status: the table was full" 1 "^warning +toa_table_full +is 5 since the module was loaded" -- status
	says "status --acknowledge: it is told no more" 0 "^acknowledged 20.*Z: what was counted before" "^problems +none" -- status --acknowledge
	says "status: nor later" 0 "^problems +none" -- status
	says "doctor: nor by the doctor" 1 "^warning +counters +did not move" -- doctor --seconds 0
	run "$shell_name: it does not" sh -c "! grep toa_table_full '$tmp/out'"
	counters toa_table_full 2 5
	says "status: it was full again" 1 "^warning +toa_table_full +grew by 2 since 20.*Z: addresses are lost" -- status
	counters toa_alloc_failed 2 5
	says "status: something else happened" 1 "^warning +toa_alloc_failed +is 7 since the module was loaded" -- status
	# Loaded again: another directory.
	mv "$host/sys/module/toa" "$host/sys/module/before"
	cp -R "$host/sys/module/before" "$host/sys/module/toa"
	counters toa_table_full 0 3
	says "status: what was acknowledged is of another load" 1 "^warning +toa_table_full +is 3 since the module was loaded" -- status
	rm -rf "$host/run"
	: >"$host/run"
	says "status --acknowledge where nothing can be written" 2 "^toactl: .*cannot be written" -- status --acknowledge
	says "status takes nothing else" 64 "^toactl: status: --all is not known" -- status --all
}

watching() {
	healthy
	# The counters move once behind the first report.
	session stats --watch 1 --json
	for _ in $(seq 300); do
		[ ! -s "$tmp/session" ] || break
		sleep 0.1
	done
	counters syn_recv_sock_toa 110 2
	for _ in $(seq 300); do
		! grep -q '"syn_recv_sock_toa": 112' "$tmp/session" || break
		sleep 0.1
	done
	end_session TERM
	cp "$tmp/session" "$tmp/watch"
	run "$shell_name: stats --watch: rates" \
		grep -q '"syn_recv_sock_toa": 112, "syn_recv_sock_toa_per_second": 100.0' "$tmp/watch"
	run "$shell_name: stats --watch --json: with the time" \
		awk '!/^{"time": "20[0-9-]*T[0-9:]*Z", "/ { bad = 1 } END { exit bad || NR < 2 }' "$tmp/watch"
	session stats --watch=1
	for _ in $(seq 300); do
		[ "$(grep -c '^20[0-9-]*T[0-9:]*Z$' "$tmp/session")" -lt 2 ] || break
		sleep 0.1
	done
	end_session TERM
	run "$shell_name: stats --watch: the time above each report" \
		sh -c "head -n 1 '$tmp/session' | grep -q '^20[0-9-]*T[0-9:]*Z$' && grep -qE '^toa_late .* 0\.0/s' '$tmp/session'"
}

doctor() {
	healthy
	says "doctor: all is well, but nobody connects" 1 "^ok +module +loaded, version 1\.0\.0" \
		"^ok +hooks +by ftrace" "^warning +counters +did not move" "^ok +listener +AF_INET on port 80" \
		-- doctor --port 80 --seconds 0
	json 'x["worst"] == "warning" and {"level": "ok", "subject": "hooks", "text": "by ftrace"} in x["findings"] and [f["do"] for f in x["findings"] if f["subject"] == "counters"]' \
		doctor --json --port=80 --seconds=0
	run_shell doctor --json --seconds 0 >/dev/null
	run "$shell_name: doctor --json: its exit status is the same" test $? -eq 1
	parameter trusted '"\x'
	json '"\"\\x" in [f["text"] for f in x["findings"]]' doctor --json --seconds 0
	parameter trusted 10.99.0.0/24
	parameter debug Y
	says "doctor: debug on" 1 "^warning +debug +is on" "do: .*echo 0 > /sys/module/toa/parameters/debug" -- doctor --seconds 0
	healthy
	counters toa_table_full 0 5
	says "doctor: table full" 1 "^warning +toa_table_full +is 5" "do: .*parameters/table_max" -- doctor --seconds 0
	counters toa_probe_missed 9 0
	says "doctor: missed hooks" 1 "^warning +toa_probe_missed +is 9" "do: load with hook=auto" -- doctor --seconds 0
	counters toa_alloc_failed 9 0
	says "doctor: no memory" 1 "^warning +toa_alloc_failed" -- doctor --seconds 0
	counters
	sed -i 's/^\(toa_probe_missed .*\)/&\ntoa_untrusted            :         4          0 /' "$host/proc/net/toa_stats"
	parameter trusted 192.0.2.1
	says "doctor: untrusted senders" 1 "^warning +toa_untrusted +is 4.*trusted=192\.0\.2\.1" "do: .*add its address to trusted" -- doctor --seconds 0
	says "status tells it too" 1 "^warning +toa_untrusted" -- status
	healthy
	counters ip6_address_alloc 9 0
	says "doctor: IPv6 addresses that are never freed" 1 "^warning +ip6_address +5 were made" -- doctor --seconds 0
	healthy
	sed -i 's/^253  4026531840 \[2001:db8:d::1\]:443  /253  4026531840 10.99.1.1:80         /' "$host/proc/net/toa_table"
	says "doctor: AF_INET listener with IPv6 clients" 2 "^problem +listener +AF_INET on port 80" "do: listen dual-stack.*TOA_SO_GET_PEER" -- doctor --seconds 0
	says "doctor: nobody listens" 1 "^warning +listener +nobody listens on port 81" -- doctor --seconds 0 --port 81
	echo "   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0" >>"$host/proc/net/tcp6"
	sed -i 2d "$host/proc/net/tcp"
	says "doctor: a dual-stack listener with IPv6 clients" 1 "^ok +listener +AF_INET6 on port 80" -- doctor --seconds 0 --port 80
	parameter nat64_getpeername N
	says "doctor: nat64_getpeername is off" 1 "^warning +listener +IPv6 clients arrive at port 80, but nat64_getpeername is off" -- doctor --seconds 0
	counted
	hooks_faults
	loading_faults
}

hooks_faults() {
	healthy
	rm "$host/sys/kernel/tracing/enabled_functions"
	for symbol in inet_sock_destruct tcp_disconnect inet_getname inet6_getname tcp_v4_syn_recv_sock \
		tcp_v6_syn_recv_sock tcp_conn_request; do
		echo "ffffffff86499c30  k  $symbol+0x0    [FTRACE]"
	done >"$host/sys/kernel/debug/kprobes/list"
	loaded_by kprobes
	says "doctor: hooks by kprobes" 1 "^ok +hooks +by kprobes" -- doctor --seconds 0
	: >"$host/dmesg"
	says "doctor: hooks by kprobes, the log is gone" 1 "^ok +hooks +by kprobes" -- doctor --seconds 0
	echo 0 >"$host/proc/sys/kernel/ftrace_enabled"
	says "doctor: kprobes disarmed by kernel.ftrace_enabled" 2 "^problem +hooks +kernel\.ftrace_enabled is 0" "do: sysctl kernel\.ftrace_enabled=1" -- doctor --seconds 0
	echo 0 >"$host/sys/kernel/debug/kprobes/enabled"
	says "doctor: kprobes switched off" 2 "^problem +hooks +kprobes are switched off" -- doctor --seconds 0
	healthy
	: >"$host/dmesg"
	# A tracer's, on a function that is ours by ftrace.
	echo "ffffffff86499c30  k  inet_getname+0x0    [FTRACE]" >"$host/sys/kernel/debug/kprobes/list"
	says "doctor: hooks by ftrace, the log is gone" 1 "^ok +hooks +by ftrace$" -- doctor --seconds 0
	echo "ffffffff86499c30  k  tcp_check_req+0x0    [DISABLED]" >>"$host/sys/kernel/debug/kprobes/list"
	says "doctor: a kprobe beside ftrace, the log is gone" 2 "^problem +hooks +some of the kprobes are disabled" -- doctor --seconds 0
	: >"$host/sys/kernel/debug/kprobes/list"
	loaded_by "ftrace and kprobes"
	rm "$host/sys/kernel/tracing/enabled_functions"
	says "doctor: hooks by both, by the log alone" 1 "^ok +hooks +by ftrace and kprobes$" -- doctor --seconds 0
}

loading_faults() {
	healthy
	rm -r "$host/sys/module/toa" "$host/proc/net/toa_stats"
	: >"$host/proc/modules"
	says "doctor: module missing" 2 "^problem +module +toa is not loaded" "^problem +installed +the module is not installed" "do: install the package toa-dkms" -- doctor
	mkdir -p "$host/lib/modules/5.10.0-old/updates/dkms"
	: >"$host/lib/modules/5.10.0-old/updates/dkms/toa.ko.xz"
	says "doctor: module for another kernel" 2 "^problem +installed +for the wrong kernel: for 5\.10\.0-old, but this is 6\.1\.0-test" "do: .*dkms autoinstall" -- doctor
	mkdir -p "$host/lib/modules/6.1.0-test/extra" "$host/sys/module/module/parameters"
	: >"$host/lib/modules/6.1.0-test/extra/toa.ko"
	says "doctor: module installed, not loaded" 2 "^ok +installed +/lib/modules/6\.1\.0-test/extra/toa\.ko" "do: modprobe toa" -- doctor
	echo Y >"$host/sys/module/module/parameters/sig_enforce"
	says "doctor: Secure Boot and no signature" 2 "^problem +signature +this kernel loads signed modules only" "do: make sign" -- doctor
	echo "[  9.1] TOA: cannot hook inet_getname: this kernel has no kprobes" >"$host/dmesg"
	says "doctor: the kernel's last word" 2 "^note +log +the kernel's last word: .*cannot hook inet_getname" -- doctor
	says "status: not loaded" 2 "^problem +module +toa is not loaded" -- status
	echo "slb_toa 16384 0 - Live 0x0" >"$host/proc/modules"
	says "doctor: another TOA module" 2 "^problem +module +another TOA module is loaded: slb_toa" "do: rmmod slb_toa" -- doctor
	healthy
	rm "$host/sys/module/toa/parameters/syn_slots"
	says "doctor: another TOA module of the same name" 2 "^problem +module +a module named toa is loaded, but it is another" "do: rmmod toa" -- doctor
}

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

in_shell() {
	shell_name=$1 shell=$2 shell_path=$3
	reports
	following
	watching
	killed
	acknowledged
	doctor
	packets
}

# in_sources NAME PROGRAM: it answers as the one that is installed
in_sources() {
	healthy
	for arguments in --help --version nonsense status "stats --prometheus" "table --json" "doctor --seconds 0"; do
		# shellcheck disable=SC2086
		"$tmp/toactl" $arguments >"$tmp/installed" 2>&1
		echo "status $?" >>"$tmp/installed"
		# shellcheck disable=SC2086
		"$2" $arguments >"$tmp/sources" 2>&1
		echo "status $?" >>"$tmp/sources"
		run "$1: $arguments" diff "$tmp/installed" "$tmp/sources"
	done
}

# A part that cannot be read makes no program.
part_missing() {
	cp -R tools "$tmp/tools"
	rm "$tmp/tools/toactl.d/table.sh"
	! "$tmp/tools/put-together" "$tmp/half/toactl" && [ -z "$(ls "$tmp/half")" ]
}

one_script() {
	run "make install-tools installs the one script" \
		sh -c "make DESTDIR='$tmp/dest' PREFIX=/usr install-tools && cmp '$tmp/toactl' '$tmp/dest/usr/sbin/toactl'"
	run "no script if a part is missing" part_missing
	silent "shellcheck: the one script" shellcheck "$tmp/toactl"
	in_sources "in the sources" tools/toactl
	ln -s "$PWD/tools/toactl" "$tmp/link"
	in_sources "in the sources, by a link" "$tmp/link"
}

# Debian's own: a wrapper of it may be slow.
need python3-minimal
python=$(command -v /usr/bin/python3 || command -v python3)

run "toactl is put together" tools/put-together "$tmp/toactl"
if need make shellcheck; then
	one_script
else
	lacking "the one script" "no make, no shellcheck"
fi
command -v busybox >/dev/null || need busybox-static || command -v busybox >/dev/null || {
	lacking "toactl in its shells" "no busybox"
	finish
	exit
}
mkdir "$tmp/busybox"
for applet in $(busybox --list); do
	ln -s "$(command -v busybox)" "$tmp/busybox/$applet"
done
in_shell dash "$(command -v dash)" "$PATH"
in_shell busybox "$tmp/busybox/sh" "$tmp/busybox"

for page in man/*.[48]; do
	if need mandoc; then
		silent "$page: mandoc has nothing to say" mandoc -Tlint -Wwarning "$page"
	else
		lacking "$page: mandoc has nothing to say" "no mandoc"
	fi
done
for word in status stats table doctor; do
	run "toactl(8) has $word" grep -qE "^\.It Cm $word" man/toactl.8
done

run "toactl has the module's version" \
	test "toactl $(sed -n 's/^#define TOA_VERSION "\(.*\)"/\1/p' toa_main.c)" = "$("$tmp/toactl" --version)"

if [ -x tests/toactl/guest ]; then
	# shellcheck source=/dev/null
	. tests/toactl/boot
fi
finish
