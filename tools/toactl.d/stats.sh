# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
#
# stats.sh: toactl stats: the counters, once or again and again, as text or JSON.

need_stats() {
	[ -r "$STATS" ] ||
		die "/proc/net/toa_stats cannot be read: is the module loaded, and is this the initial network namespace? Try: toactl doctor"
}

# show_sums FORMAT SUMS TIME [BEFORE SECONDS]: with the time, if it is given, and with rates if the sums before are
show_sums() {
	{
		[ -n "$4" ] && printf '%s\n' "$4" | sed 's/^/- /'
		printf '%s\n' "$2" | sed 's/^/+ /'
	} | awk -v format="$1" -v time="$3" -v seconds="$5" '
		$1 == "-" { before[$2] = $3; next }
		{ row[++n] = $2; sum[n] = $3 }
		END {
			if (format == "json")
				printf "{%s", time == "" ? "" : "\"time\": \"" time "\", "
			else if (time != "")
				print time
			for (i = 1; i <= n; i++) {
				rate = seconds ? (sum[i] - before[row[i]]) / seconds : 0
				if (format == "json") {
					printf "%s\"%s\": %s", (i > 1 ? ", " : ""), row[i], sum[i]
					if (seconds)
						printf ", \"%s_per_second\": %.1f", row[i], rate
				} else {
					printf "%-22s %14s", row[i], sum[i]
					if (seconds)
						printf " %12.1f/s", rate
					print ""
				}
			}
			if (format == "json")
				print "}"
		}'
}

do_stats() {
	watch='' format=text
	while [ $# -gt 0 ]; do
		case $1 in
		--watch)
			is_number "${2:-}" 1 86400 || bad_usage "--watch wants seconds"
			watch=$2
			shift
			;;
		--json) format=json ;;
		--prometheus) format=prometheus ;;
		*) bad_usage "stats: $1 is not known" ;;
		esac
		shift
	done
	need_stats
	if [ $format = prometheus ]; then
		[ -z "$watch" ] || bad_usage "--prometheus and --watch do not go together"
		show_prometheus
		return
	fi
	sums_now=$(sums)
	if [ -z "$watch" ]; then
		show_sums $format "$sums_now" '' '' ''
		return
	fi
	# shellcheck disable=SC2016
	at_end '[ -z "$sleeper" ] || kill "$sleeper" 2>/dev/null'
	show_sums $format "$sums_now" "$(now)" '' ''
	while nap "$watch"; do
		need_stats
		sums_before=$sums_now
		sums_now=$(sums)
		[ $format = json ] || echo
		show_sums $format "$sums_now" "$(now)" "$sums_before" "$watch"
	done
}
