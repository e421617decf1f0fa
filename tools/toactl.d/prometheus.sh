# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
#
# prometheus.sh: toactl stats --prometheus: the counters, with a help text for each.

show_prometheus() {
	prometheus_ranges=''
	if [ -e "$PARAMETERS/trusted" ]; then
		prometheus_ranges=$(trusted_list | awk -F , '{ n += NF } END { print n + 0 }')
	fi
	prometheus_by=$(mechanism)
	sums | awk -v version="$(file_text "$MODULE/version")" -v table_max="$(parameter table_max)" \
		-v ranges="$prometheus_ranges" -v by="${prometheus_by:-unknown}" '
		BEGIN {
			help["syn_recv_sock_toa"] = "Connections made with at least one address."
			help["syn_recv_sock_no_toa"] = "Connections made without an address."
			help["getname_toa_ok"] = "Answers given with the real client."
			help["getname_toa_mismatch"] = "getsockopt asked, but the connection has an IPv4 address only."
			help["getname_toa_empty"] = "getsockopt asked, but the connection has no address."
			help["ip6_address_alloc"] = "Connections with an IPv6 address made."
			help["ip6_address_free"] = "Connections with an IPv6 address gone."
			help["toa_invalid"] = "Options that name an address nobody may claim."
			help["toa_untrusted"] = "Options from senders that are not trusted."
			help["toa_syn_evicted"] = "Handshakes forgotten because others needed their slot, or there was none yet."
			help["toa_table_full"] = "Connections whose addresses were lost because the table was full."
			help["toa_alloc_failed"] = "Connections whose addresses were lost because memory was short."
			help["toa_disagree"] = "Options that named another client than the one that counts."
			help["toa_segment"] = "Options in a segment that segments= does not name."
			help["toa_late"] = "Connections that got their address from data that came later."
			help["toa_share_full"] = "Addresses that tenants lost because they hold their share."
			help["toa_entry_alloc"] = "Connections with an address made."
			help["toa_entry_free"] = "Connections with an address gone."
			help["toa_adopted"] = "Connections older than the module that got the address which had been handed over."
			help["toa_probe_missed"] = "Calls that passed unseen."
			print "# HELP toa_info The module that is loaded."
			print "# TYPE toa_info gauge"
			printf "toa_info{version=\"%s\",mechanism=\"%s\"} 1\n", version, by
			if (ranges != "") {
				print "# HELP toa_trusted_ranges How many ranges of addresses are trusted; 0: everybody is."
				print "# TYPE toa_trusted_ranges gauge"
				print "toa_trusted_ranges " ranges
			}
			if (table_max != "") {
				print "# HELP toa_table_max How many connections with an address are kept at once."
				print "# TYPE toa_table_max gauge"
				print "toa_table_max " table_max
			}
		}
		$1 == "toa_entry_alloc" { entries += $2 }
		$1 == "toa_entry_free" { entries -= $2 }
		{
			metric = ($1 ~ /^toa_/ ? "" : "toa_") $1 "_total"
			print "# HELP " metric " " ($1 in help ? help[$1] : "Row " $1 " of /proc/net/toa_stats.")
			print "# TYPE " metric " counter"
			print metric " " $2
		}
		END {
			print "# HELP toa_entries Connections with an address that are kept now."
			print "# TYPE toa_entries gauge"
			print "toa_entries " entries + 0
		}'
}
