# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0
#
# doctor-listener.sh: findings about the server that listens on doctor_port.

# listens FILE PORT
listens() {
	awk -v want="$(printf '%04X' "$2")" '
		{ n = split($2, part, ":") }
		$4 == "0A" && part[n] == want { found = 1 }
		END { exit !found }' "$ROOT/proc/net/$1" 2>/dev/null
}

# Ports of IPv4 connections that came with an IPv6 client, as table and packets show.
nat64_ports() {
	printf '%s\n' "$traffic" | awk -v port="$doctor_port" '
		FILENAME != "-" && FILENAME != "" {
			if ($1 + 0 > 0 && $5 ~ /^\[/ && $3 !~ /^\[/) {
				sub(/.*:/, "", $3)
				ports[$3] = 1
			}
			next
		}
		$1 == "counts" && $3 >= 18 { v6 = 1 }
		$1 == "from" && $2 !~ /:/ { ipv4 = 1 }
		END {
			if (v6 && ipv4)
				ports[port] = 1
			for (port in ports)
				print port
		}' - "$(readable "$TABLE")"
}

# readable FILE: itself, or one that is empty
readable() {
	if [ -r "$1" ]; then
		echo "$1"
	else
		echo /dev/null
	fi
}

check_listener() {
	if [ -n "$doctor_port" ]; then
		if listens tcp6 "$doctor_port"; then
			finding ok listener "AF_INET6 on port $doctor_port"
		elif listens tcp "$doctor_port"; then
			finding ok listener "AF_INET on port $doctor_port"
		else
			finding warning listener "nobody listens on port $doctor_port in this network namespace" \
				"start the server, or run toactl doctor in its namespace"
		fi
	fi
	for port in $(nat64_ports); do
		[ -z "$doctor_port" ] || [ "$port" = "$doctor_port" ] || continue
		if ! listens tcp "$port"; then
			[ "$(parameter nat64_getpeername)" != N ] ||
				finding warning listener "IPv6 clients arrive at port $port, but nat64_getpeername is off: getpeername() shows the balancer" \
					"echo 1 > /sys/module/toa/parameters/nat64_getpeername, or ask with getsockopt TOA_SO_GET_PEER (toa.h)"
			continue
		fi
		finding problem listener "AF_INET on port $port, but IPv6 clients arrive: getpeername() shows the balancer" \
			"listen dual-stack (nginx: listen [::]:$port ipv6only=off), or ask with getsockopt TOA_SO_GET_PEER (toa.h)"
	done
}
