# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0
#
# follow.sh: toactl table --follow: what the tracepoints say, as it happens, in a trace of its own. Reads port,
# client and json, which table.sh sets.

follow() {
	[ -e "$MODULE" ] || die "the module is not loaded. Try: toactl doctor"
	for follow_dir in "$ROOT/sys/kernel/tracing" "$ROOT/sys/kernel/debug/tracing" ''; do
		[ ! -d "$follow_dir/events/toa" ] || break
	done
	[ -d "$follow_dir/instances" ] ||
		die "the module's tracepoints cannot be seen: only root may, from Linux 3.16 on; mount -t tracefs tracefs /sys/kernel/tracing"
	instance='' follower=''
	at_end follow_end
	follow_new=$follow_dir/instances/toactl.$$
	mkdir "$follow_new" || die "no trace of its own can be made in $follow_dir/instances"
	instance=$follow_new
	[ -z "$port" ] || echo "port == $port" >"$instance/events/toa/filter" || die "the trace takes no filter"
	echo 1 >"$instance/events/toa/enable" || die "the tracepoints cannot be switched on"
	# shellcheck disable=SC2046
	show_events $(unbuffered) <"$instance/trace_pipe" &
	follower=$!
	wait "$follower"
}

follow_end() {
	[ -z "$follower" ] || kill "$follower" 2>/dev/null
	[ -z "$follower" ] || wait "$follower" 2>/dev/null
	[ -z "$instance" ] || {
		# With the module its events go.
		[ ! -e "$instance/events/toa/enable" ] || echo 0 >"$instance/events/toa/enable"
		rmdir "$instance"
	}
}

# unbuffered: mawk waits until it has read a lot, unless it is told not to
unbuffered() {
	[ -n "$(awk -W interactive 'BEGIN { exit }' 2>&1)" ] || echo "-W interactive"
}

# show_events OPTION...: lines of trace_pipe, shorter, or as JSON. In the background: awk itself is the process.
show_events() {
	exec awk "$@" -v json="$json" -v client="$client" "$ADDRESS_AWK$JSON_AWK"'
		function mapped(text) {
			text = address(text)
			if (tolower(text) ~ /^::ffff:.*\./)
				sub(/^.*:/, "", text)
			return text
		}
		# field(NAME): what stands behind NAME=
		function field(name,    at, text) {
			at = index(event, " " name "=")
			if (!at)
				return ""
			text = substr(event, at + length(name) + 2)
			sub(/ .*/, "", text)
			return text
		}
		function add(name, text, number) {
			if (json)
				out = out ", \"" name "\": " (number ? text : quoted(text))
			else
				out = out " " name " " text
		}
		function add_end(name, text,    addr) {
			addr = mapped(text)
			if (json)
				out = out ", \"" name "\": {\"address\": \"" addr "\", \"port\": " port_of(text) "}"
			else
				out = out " " name " " (addr ~ /:/ ? "[" addr "]" : addr) ":" port_of(text)
		}
		function add_client(text) {
			if (text == "" || port_of(text) == 0)
				return
			add_end(seen++ ? "client2" : "client", text)
			if (client != "" && groups(address(text), g) && within(g, want, bits))
				wanted = 1
		}
		BEGIN { if (client != "") bits = prefix(client, want) }
		/\[LOST [0-9]+ EVENTS\]/ {
			lost = $0
			sub(/.*LOST /, "", lost)
			sub(/ .*/, "", lost)
			print json ? "{\"event\": \"lost\", \"number\": " lost "}" : "- lost " lost " events: they come too fast"
			fflush()
			next
		}
		!match($0, /[0-9]+\.[0-9]+: toa_(stored|getname|ignored): /) { next }
		{
			head = substr($0, 1, RSTART - 1)
			time = substr($0, RSTART, RLENGTH)
			event = " " substr($0, RSTART + RLENGTH)
			name = time
			sub(/:.*/, "", time)
			sub(/.*: toa_/, "", name)
			sub(/:.*/, "", name)
			if (name == "getname")
				name = "answered"
			wanted = client == ""
			seen = 0
			out = json ? "{\"time\": " time ", \"event\": \"" name "\"" : time " " name
			add("port", field("port"), 1)
			if (field("balancer") != "")
				add_end("balancer", field("balancer"))
			add_client(field("v4"))
			add_client(field("v6"))
			add_client(field("client"))
			if (field("reason") != "")
				add("reason", field("reason"))
			# Who is answered asks itself; packets come to whoever happens to run.
			if (name == "answered") {
				add("call", field("call"))
				if (match(head, /-[0-9]+ +(\([^)]*\) +)?\[/)) {
					pid = substr(head, RSTART + 1)
					sub(/ .*/, "", pid)
					comm = substr(head, 1, RSTART - 1)
					sub(/^ +/, "", comm)
					gsub(/[\001-\037\177]/, "?", comm)
					if (json)
						out = out ", \"process\": {\"name\": " quoted(comm) ", \"pid\": " pid "}"
					else
						out = out " process " comm "/" pid
				}
			}
			if (wanted) {
				print out (json ? "}" : "")
				fflush()
			}
		}'
}
