# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
#
# findings.sh: findings of toactl status and doctor, one line each on standard output,
# "LEVEL<tab>SUBJECT<tab>TEXT<tab>WHAT TO DO", and the report that people get of them.

finding() {
	printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:-}"
}

# to_set PARAMETER VALUE: what to do, now and for every boot
to_set() {
	printf 'echo %s> /sys/module/toa/parameters/%s, and %s=%s in /etc/modprobe.d/toa.conf\n' \
		"${2:+$2 }" "$1" "$1" "$2"
}

# report_json: findings for programs; the exit status is the worst. Both reports end the shell that they are in.
report_json() {
	exec awk -F '\t' "$JSON_AWK"'
		BEGIN {
			rank["warning"] = 1
			rank["problem"] = 2
			word[0] = "ok"
			word[1] = "warning"
			word[2] = "problem"
			printf "{\"findings\": ["
		}
		{
			printf "%s{\"level\": %s, \"subject\": %s, \"text\": %s", n++ ? ",\n " : "", quoted($1), quoted($2), quoted($3)
			if ($4 != "")
				printf ", \"do\": %s", quoted($4)
			printf "}"
			if (rank[$1] > worst)
				worst = rank[$1]
		}
		END {
			print "], \"worst\": \"" word[worst + 0] "\"}"
			exit worst + 0
		}'
}

# report: the same for people
report() {
	exec awk -F '\t' '
		BEGIN { rank["warning"] = 1; rank["problem"] = 2 }
		{
			printf "%-8s %-17s %s\n", $1, $2, $3
			if ($4 != "")
				printf "         %-17s do: %s\n", "", $4
			if (rank[$1] > worst)
				worst = rank[$1]
		}
		END { exit worst + 0 }'
}

# unused_kinds PARAMETER UNUSED USED WHERE
unused_kinds() {
	finding note "$1" "$2 came on none of $4, but clients that write it are believed" \
		"if the balancer never sends it: $(to_set "$1" "$3")"
}
