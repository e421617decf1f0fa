# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0
#
# doctor-traffic.sh: findings about what arrives while the doctor watches: the options, the segments they
# stand in, their kinds. Reads what doctor.sh and doctor-capture.sh set.

AGAIN="run it again while a client connects through the balancer, or longer: --seconds 60"

check_traffic() {
	gain toa_late
	late=$got
	gain syn_recv_sock_toa
	made=$got
	gain syn_recv_sock_no_toa
	bare=$got
	gain toa_untrusted
	untrusted=$got
	# These were made without one.
	made=$((made + late))
	bare=$((bare > late ? bare - late : 0))
	if [ $((made + bare)) -eq 0 ]; then
		finding warning counters "did not move in $doctor_seconds s: nobody connected" \
			"$AGAIN"
	else
		finding ok counters "$made connections with an address and $bare without in $doctor_seconds s"
	fi
	if [ -n "$traffic" ]; then
		check_options
		return
	fi
	check_families
	if [ $((made + bare)) -gt 0 ] && [ "$made" -eq 0 ] && [ "$untrusted" -eq 0 ]; then
		finding problem option "no connection in $doctor_seconds s carried one that is believed" \
			"install tcpdump and give --port N to see what arrives; the balancer must send option 200 or 253, and nothing between may strip it"
	fi
}

check_options() {
	get connections "$traffic"
	connections=$got
	get bare "$traffic"
	without=$got
	if [ "$connections" -eq 0 ]; then
		finding warning option "nobody connected to port $doctor_port in $doctor_seconds s" \
			"$AGAIN"
		return
	fi
	believed=0
	printf '%s\n' "$traffic" >"$scratch"
	while read -r word kind length number; do
		if [ "$word" = option ] && known_kind "$kind" "$length"; then
			[ "$number" -le "$believed" ] || believed=$number
			finding ok option "$kind (length $length) on $number of $connections connections to port $doctor_port"
		fi
	done <"$scratch"
	while read -r word kind length number; do
		# Beside one that is believed, a rarer one is of no concern.
		[ "$word" != option ] || known_kind "$kind" "$length" || [ "$number" -le "$believed" ] ||
			finding problem option "$kind (length $length) on $number of $connections connections to port $doctor_port: the module does not believe it" \
				"$(wrong_kind "$kind" "$length")"
	done <"$scratch"
	if [ "$without" -eq "$connections" ]; then
		finding problem option "none on $connections connections to port $doctor_port" \
			"let the balancer send option 200 or 253; if it does, something between strips it: compare tcpdump there and here"
	elif [ "$without" -gt 0 ]; then
		finding note option "none on $without of $connections connections: health checks and direct clients have none"
	fi
	if [ "$believed" -gt 0 ]; then
		check_segments
		check_kinds
	fi
}

# Which segments the balancer marks, as far as can be seen: those that carry an option on half as many
# connections, at least, as the one that carries most. Clients that forge are fewer.
check_segments() {
	[ -e "$PARAMETERS/segments" ] || return 0
	allowed=$(parameter segments)
	most=0 marked='' ignored='' unused='' where=''
	for segment in syn ack data; do
		get "segment $segment" "$traffic"
		[ "$got" -le "$most" ] || most=$got
		where="${where:+$where, }$got in ${segment}"
	done
	for segment in syn ack data; do
		get "segment $segment" "$traffic"
		if [ $((2 * got)) -ge "$most" ] && [ "$most" -gt 0 ]; then
			marked=${marked:+$marked,}$segment
			in_list $segment "$allowed" || ignored=${ignored:+$ignored,}$segment
		elif in_list $segment "$allowed"; then
			unused=${unused:+$unused,}$segment
		fi
	done
	where="of $connections connections the option stands $where"
	if [ -n "$ignored" ]; then
		finding problem segments "$where; segments=$allowed ignores it there" \
			"if the balancer writes it: $(to_set segments "$marked")"
	elif [ "$marked" = data ] && [ "$made" -eq 0 ] && ! is_on late; then
		finding problem segments "$where: when it comes, the socket is there already" \
			"$(to_set late 1); or let the listener wait for data (nginx: listen ... deferred), then accept() is right too"
	elif [ -n "$unused" ]; then
		finding note segments "$where; segments=$allowed believes clients that write it into $unused" \
			"if the balancer writes it into $marked only: $(to_set segments "$marked")"
	else
		finding ok segments "$where"
	fi
}

# Kinds that are believed, but do not come.
check_kinds() {
	for name in opt_ipv4:8 opt_ipv6:20 opt_hostid:7 opt_bare:6; do
		length=${name#*:}
		name=${name%:*}
		[ -e "$PARAMETERS/$name" ] || continue
		used='' unused=''
		for kind in $(parameter "$name" | tr ',' ' '); do
			get "counts $kind $length" "$traffic"
			# With an address of the other family it is longer.
			[ "$got" -gt 0 ] || [ "$length" -ge 8 ] || get "counts $kind $((length + 12))" "$traffic"
			if [ "$got" -gt 0 ]; then
				used=${used:+$used,}$kind
			else
				unused=${unused:+$unused,}$kind
			fi
		done
		[ -z "$unused" ] || unused_kinds "$name" "$unused" "$used" "$connections connections to port $doctor_port"
	done
}
