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

# shellcheck source=tests/toactl/host.sh
. tests/toactl/host.sh
# shellcheck source=tests/toactl/packets.sh
. tests/toactl/packets.sh

# pattern: the version that is loaded
pattern() {
	sed 's/[.+]/\\&/g' "$host/sys/module/toa/version"
}

reports() {
	healthy
	says "status: one screen, no problem" 0 "^toa $(pattern): loaded, hooks by ftrace$" \
		"^addresses +1 IPv4 and 1 IPv6 now$" "^connections +12 with an address and 3 without since load$" \
		"^answers +15$" "^parameters +both=N debug=N hook=auto .* table_max=1048576 trusted=" "^problems +none$" -- status
	says "stats: sums over CPUs" 0 "^syn_recv_sock_toa +12$" "^ip6_address_free +4$" -- stats
	says "stats --prometheus: each row a counter" 0 "^toa_info\\{version=\"$(pattern)\",mechanism=\"ftrace\"\\} 1$" \
		"^toa_trusted_ranges 1$" "^toa_entries 5$" "^toa_table_max 1048576$" \
		"^# TYPE toa_syn_recv_sock_toa_total counter$" "^toa_syn_recv_sock_toa_total 12$" \
		"^# HELP toa_probe_missed_total [A-Z]" "^toa_probe_missed_total 0$" -- stats --prometheus
	json 'x["getname_toa_ok"] == 15 and len(x) == 19' stats --json
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
	says "doctor: all is well, but nobody connects" 1 "^ok +module +loaded, version $(pattern), for" \
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
	sed -i '/v6\|inet6\|conn_request/d' "$host/sys/kernel/debug/kprobes/list"
	says "doctor: hooks by kprobes, the log is gone, no IPv6 and no SYNs" 1 "^ok +hooks +by kprobes" -- doctor --seconds 0
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

# module FILE VERSION: a file that is a module of this version, as far as modinfo sees
module() {
	mkdir -p "${1%/*}"
	printf 'version=%s\0' "$2" >"$tmp/modinfo"
	: | gcc -x c -c -o "$1" - && objcopy --add-section .modinfo="$tmp/modinfo" "$1"
}

# kernel RELEASE [headers]: one that is installed
kernel() {
	mkdir -p "$host/lib/modules/$1/kernel"
	[ -z "${2:-}" ] || mkdir "$host/lib/modules/$1/build"
	[ -z "${2:-}" ] || : >"$host/lib/modules/$1/build/Makefile"
}

after_the_next_boot() {
	own=$("$tmp/toactl" --version)
	own=${own#toactl }
	healthy
	mkdir -p "$host/etc"
	printf 'PRETTY_NAME="Debian"\nID=debian\n' >"$host/etc/os-release"
	kernel 6.1.0-9-amd64
	kernel 6.1.0-10-cloud-amd64
	: >"$host/dmesg"
	says "status: a newer kernel, and nothing is installed" 0 "^problems +none" -- status
	module "$host/lib/modules/6.1.0-9-amd64/updates/dkms/toa.ko" "$own"
	says "status: no headers for the newest kernel" 1 "^warning +newest kernel +no headers for the newest kernel, 6\.1\.0-10-cloud-amd64: " \
		"do: apt-get install linux-headers-cloud-amd64, then: dkms autoinstall -k 6\.1\.0-10-cloud-amd64" -- status
	says "doctor: no headers for the newest kernel" 1 "^warning +newest kernel +no headers for" -- doctor --seconds 0
	printf 'ID="rocky"\nID_LIKE="rhel centos fedora"\n' >"$host/etc/os-release"
	says "status: no headers for the newest kernel, on RHEL" 1 "do: dnf install kernel-devel-6\.1\.0-10-cloud-amd64, then:" -- status
	kernel 6.1.0-10-cloud-amd64 headers
	says "status: the newest kernel has no module" 1 "^warning +newest kernel +6\.1\.0-10-cloud-amd64 has no module" "do: dkms autoinstall -k 6" -- status
	module "$host/lib/modules/6.1.0-10-cloud-amd64/updates/dkms/toa.ko" "$own"
	# Headers are there before their kernel.
	mkdir -p "$host/lib/modules/6.1.0-11-amd64/build"
	says "status: the newest kernel has one" 0 "^problems +none" -- status
	module "$host/lib/modules/6.1.0-test/updates/dkms/toa.ko" "$own"
	says "status: loaded, installed and tool are of one version" 0 "^problems +none" -- status
	module "$host/lib/modules/6.1.0-test/updates/dkms/toa.ko" 99.1
	says "status: another one is installed" 1 "^warning +version +loaded, installed and tool version differ: $own, 99\.1, $own$" "do: toactl upgrade" -- status
	says "doctor: another one is installed" 1 "^warning +version +loaded, installed and tool version differ" -- doctor --seconds 0
	rm "$host/lib/modules/6.1.0-test/updates/dkms/toa.ko"
	echo 98.1 >"$host/sys/module/toa/version"
	says "status: the tool is of another version" 1 "^warning +version +.* differ: 98\.1, none, $own$" "do: install toa-dkms and toa-utils of one version" -- status
	healthy
	rm -r "$host/sys/module/toa" "$host/proc/net/toa_stats"
	: >"$host/proc/modules"
	mkdir -p "$host/usr/src/toa-1.0.0"
	: >"$host/usr/src/toa-1.0.0/dkms.conf"
	kernel 6.1.0-test
	says "doctor: DKMS has built nothing without headers" 2 "^problem +installed +no headers for this kernel, 6\.1\.0-test: DKMS has built no module" -- doctor
	run "$shell_name: doctor: it is told once" test "$(grep -cE '^(problem|warning) .* headers' "$tmp/out")" -eq 1
	kernel 6.2.0-test
	says "doctor: nor for the newest kernel" 2 "^problem +installed +no headers for this kernel" "^warning +newest kernel +no headers for the newest kernel, 6\.2\.0-test" -- doctor
}

in_shell() {
	shell_name=$1 shell=$2 shell_path=$3
	reports
	following
	watching
	killed
	acknowledged
	doctor
	after_the_next_boot
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
for word in status stats table doctor upgrade; do
	run "toactl(8) has $word" grep -qE "^\.It Cm $word" man/toactl.8
done

run "toactl has the version of the tree" test "toactl $(scripts/version)" = "$("$tmp/toactl" --version)"

if [ -x tests/toactl/guest ]; then
	# shellcheck source=/dev/null
	. tests/toactl/boot
fi
finish
