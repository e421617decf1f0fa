# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
#
# module.sh: what the module, its hooks and its table are, as far as the kernel tells.

# As toa_hook.c has them.
HOOKS="inet_sock_destruct tcp_disconnect mptcp_disconnect inet_getname inet6_getname
tcp_v4_syn_recv_sock tcp_v6_syn_recv_sock mptcp_pm_new_connection tcp_rcv_established tcp_check_req
tcp_conn_request tcp_v4_conn_request tcp_v6_conn_request"

is_ours() {
	[ -e "$PARAMETERS/syn_slots" ] && [ -e "$PARAMETERS/table_max" ]
}

# other_modules: names of loaded modules that do the same, as far as their names tell, with spaces between
other_modules() {
	awk '{ name = tolower($1) }
	     (name ~ /(^|_)(toa|uoa|ttm)(_|$)/ || name ~ /^toa|toa$/) && name != "toa" {
		     printf "%s%s", n++ ? " " : "", $1
	     }' \
		"$ROOT/proc/modules" 2>/dev/null
}

# traced FILE: the file of tracefs or debugfs
traced() {
	for traced_dir in "$ROOT/sys/kernel/tracing" "$ROOT/sys/kernel/debug/tracing"; do
		[ -r "$traced_dir/$1" ] && echo "$traced_dir/$1" && return
	done
	return 1
}

# mechanism: what attaches the hooks: ftrace, kprobes, both, or nothing that can be seen
mechanism() {
	by=$(kernel_log | awk '
		/TOA: .*hooks by [^,:]*[,:].*toa load success/ { by = $0 }
		END {
			sub(/.*hooks by /, "", by)
			sub(/[,:].*/, "", by)
			if (by != "")
				print by
		}')
	# The line goes when the log is full.
	[ -n "$by" ] || by=$(attached)
	echo "$by"
}

# attached: the same, by who sits on our functions, where kprobes of others may sit too
attached() {
	enabled=$(traced enabled_functions) || enabled=/dev/null
	probes | awk '
		by == "ftrace" && /\[toa\]/ { ftrace++; seen[$1] = 1 }
		# Shared: who shares it cannot be seen.
		by == "ftrace" && $2 != "(1)" { seen[$1] = 1 }
		by == "kprobes" { sub(/\+.*/, "", $3); kprobes += !($3 in seen) }
		END {
			if (ftrace && kprobes)
				print "ftrace and kprobes"
			else if (ftrace)
				print "ftrace"
			else if (kprobes >= 4)
				print "kprobes"
		}' by=ftrace "$enabled" by=kprobes -
}

# probes: the lines of the kprobes on our functions
probes() {
	awk -v hooks="$HOOKS" '
		BEGIN { n = split(hooks, h, "[ \n\t]+"); for (i = 1; i <= n; i++) ours[h[i]] = 1 }
		{ name = $3; sub(/\+.*/, "", name) }
		name in ours' "$ROOT/sys/kernel/debug/kprobes/list" 2>/dev/null
}

# in_table: how many IPv4 and IPv6 addresses the table has
in_table() {
	awk 'NR > 1 { if ($5 ~ /^\[/) six++; else four++ } END { print four + 0, six + 0 }' "$TABLE" 2>/dev/null
}
