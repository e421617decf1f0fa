# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
#
# table.sh: toactl table: the connections that have an address, as text or JSON.

do_table() {
	json='' port='' client=''
	while [ $# -gt 0 ]; do
		case $1 in
		--json) json=1 ;;
		--port)
			is_number "${2:-}" 1 65535 || bad_usage "--port wants a number"
			port=$2
			shift
			;;
		--client)
			[ -n "${2:-}" ] || bad_usage "--client wants an address"
			client=$2
			shift
			;;
		*) bad_usage "table: $1 is not known" ;;
		esac
		shift
	done
	[ -e "$TABLE" ] || die "there is no /proc/net/toa_table: is the module loaded? Try: toactl doctor"
	[ -r "$TABLE" ] || die "/proc/net/toa_table says who talks to whom: only root may read it"
	awk -v json="$json" -v port="$port" -v client="$client" '
		# An address as text that is the same for all spellings of it.
		function canonical(a,    head, tail, n, m, i, part, rest, out) {
			a = tolower(a)
			gsub(/[][]/, "", a)
			sub(/^::ffff:/, "", a)
			if (a !~ /:/)
				return a
			i = index(a, "::")
			head = i ? substr(a, 1, i - 1) : a
			tail = i ? substr(a, i + 2) : ""
			n = split(head, part, ":")
			m = split(tail, rest, ":")
			out = ""
			for (i = 1; i <= 8; i++) {
				head = i <= n ? part[i] : i > 8 - m ? rest[i - 8 + m] : "0"
				sub(/^0+/, "", head)
				out = out ":" head
			}
			return out
		}
		function address(text) {
			sub(/:[0-9]+$/, "", text)
			gsub(/[][]/, "", text)
			return text
		}
		function port_of(text) {
			sub(/.*:/, "", text)
			return text
		}
		function object(text) {
			return "{\"address\": \"" address(text) "\", \"port\": " port_of(text) "}"
		}
		BEGIN { if (client != "") client = canonical(client) }
		NR == 1 { if (!json) print; next }
		port != "" && port_of($3) != port { next }
		client != "" && canonical(address($5)) != client { next }
		!json { print; next }
		{
			printf "%s{\"kind\": %s, \"netns\": %s, \"local\": %s, \"balancer\": %s, \"client\": %s, \"age\": %s}",
				n++ ? ",\n " : "[", $1, $2, object($3), object($4), object($5), $6
		}
		END { if (json) print (n ? "" : "[") "]" }' "$TABLE"
}
