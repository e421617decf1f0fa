# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
#
# table.sh: toactl table: the connections that have an address, as text or JSON, the clients that have most of
# them, and the processes that have them.

# Only one of them at a time.
table_way() {
	[ -z "$table_how" ] || bad_usage "$table_how and $1 do not go together"
	table_how=$1
}

do_table() {
	json='' port='' client='' top='' table_how=''
	while [ $# -gt 0 ]; do
		case $1 in
		--json) json=1 ;;
		--process | --follow) table_way "$1" ;;
		--top)
			is_number "${2:-}" 1 1000000 || bad_usage "--top wants a number"
			table_way "$1"
			top=$2
			shift
			;;
		--port)
			is_number "${2:-}" 1 65535 || bad_usage "--port wants a number"
			port=$2
			shift
			;;
		--client)
			is_client "${2:-}" || bad_usage "--client wants an address, or a prefix such as 192.0.2.0/24, not '${2:-}'"
			client=$2
			shift
			;;
		*) bad_usage "table: $1 is not known" ;;
		esac
		shift
	done
	if [ "$table_how" = --follow ]; then
		follow
		return
	fi
	[ -e "$TABLE" ] || die "there is no /proc/net/toa_table: is the module loaded? Try: toactl doctor"
	[ -r "$TABLE" ] || die "/proc/net/toa_table says who talks to whom: only root may read it"
	case $table_how in
	--top) show_table clients | sort -k 1,1nr -k 2 | head -n "$top" | show_top ;;
	--process) { connections; echo "-"; cat "$TABLE"; } | show_table process ;;
	*) show_table lines ;;
	esac
}

# connections: all of this namespace, with their processes, if it can be told
connections() {
	command -v ss >/dev/null || {
		echo "toactl: without ss (iproute2) the processes cannot be told" >&2
		return 0
	}
	ss -tnp
}

# show_table lines|clients|process: clients are one for each line, with how many connections they have; process
# reads the connections first, then a line "-", then the table
show_table() {
	if [ "$1" = process ]; then
		set -- "$1" -
	else
		set -- "$1" "$TABLE"
	fi
	awk -v what="$1" -v json="$json" -v port="$port" -v client="$client" "$ADDRESS_AWK$JSON_AWK"'
		function object(text) {
			return "{\"address\": \"" address(text) "\", \"port\": " port_of(text) "}"
		}
		function ends(here, there) {
			return same(address(here)) " " port_of(here) " " same(address(there)) " " port_of(there)
		}
		# users:(("nginx",pid=12,fd=3),("nginx",pid=13,fd=3))
		function remember(    text, name, pid, key) {
			key = ends($4, $5)
			text = $0
			while (match(text, /\("[^"]*",pid=[0-9]+/)) {
				name = substr(text, RSTART + 2, RLENGTH - 2)
				text = substr(text, RSTART + RLENGTH)
				pid = name
				sub(/.*=/, "", pid)
				sub(/",pid=[0-9]+$/, "", name)
				gsub(/[\001-\037\177]/, "?", name)
				plain[key] = plain[key] (plain[key] == "" ? "" : ",") name "/" pid
				parsed[key] = parsed[key] (parsed[key] == "" ? "" : ", ") \
					"{\"name\": " quoted(name) ", \"pid\": " pid "}"
			}
		}
		BEGIN {
			if (client != "")
				bits = prefix(client, want)
			head = what != "process"
		}
		!head && !started {
			if ($0 == "-")
				started = 1
			else
				remember()
			next
		}
		!lines++ {
			if (!json && what != "clients")
				print $0 (what == "process" ? "  process" : "")
			next
		}
		port != "" && port_of($3) != port { next }
		client != "" && !(groups(address($5), g) && within(g, want, bits)) { next }
		what == "clients" { number[address($5)]++; next }
		what == "process" { key = ends($3, $4) }
		!json {
			print $0 (what == "process" ? "  " (key in plain ? plain[key] : "-") : "")
			next
		}
		{
			printf "%s{\"kind\": %s, \"netns\": %s, \"local\": %s, \"balancer\": %s, \"client\": %s, \"age\": %s%s}",
				n++ ? ",\n " : "[", $1, $2, object($3), object($4), object($5), $6,
				what == "process" ? ", \"processes\": [" parsed[key] "]" : ""
		}
		END {
			if (what == "clients")
				for (name in number)
					print number[name], name
			else if (json)
				print (n ? "" : "[") "]"
		}' "$2"
}

# show_top: lines "NUMBER CLIENT" for people and programs
show_top() {
	awk -v json="$json" '
		BEGIN { if (!json) printf "%11s  %s\n", "connections", "client" }
		!json { printf "%11s  %s\n", $1, $2; next }
		{ printf "%s{\"client\": \"%s\", \"connections\": %s}", n++ ? ",\n " : "[", $2, $1 }
		END { if (json) print (n ? "" : "[") "]" }'
}
