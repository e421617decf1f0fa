# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
#
# doctor-kinds.sh: which option kinds the module believes, and how to make it believe another.

# parameter_of LENGTH: which one names the kinds of this length
parameter_of() {
	case $1 in
	8) echo opt_ipv4 ;;
	20) echo opt_ipv6 ;;
	7 | 19) echo opt_hostid ;;
	6 | 18) echo opt_bare ;;
	*) return 1 ;;
	esac
}

# kinds_of LENGTH: the kinds that the module believes, with commas between
kinds_of() {
	if kinds_name=$(parameter_of "$1") && [ -e "$PARAMETERS/$kinds_name" ]; then
		parameter "$kinds_name"
		return
	fi
	# Before there were such parameters.
	case $1 in
	8) echo 200 ;;
	20) echo 253 ;;
	esac
}

# known_kind KIND LENGTH
known_kind() {
	in_list "$1" "$(kinds_of "$2")"
}

# wrong_kind KIND LENGTH: what to do about an option that is not believed
wrong_kind() {
	if ! wrong_name=$(parameter_of "$2"); then
		echo "no TOA option has this kind and length; set the balancer to option 200 (IPv4) or 253 (IPv6)"
	elif [ -e "$PARAMETERS/$wrong_name" ]; then
		wrong_now=$(kinds_of "$2")
		echo "if it is the balancer's: echo ${wrong_now:+$wrong_now,}$1 > /sys/module/toa/parameters/$wrong_name, and the same in /etc/modprobe.d/toa.conf$(wrong_29 "$1")"
	else
		echo "set the balancer to option 200 (IPv4) or 253 (IPv6)"
	fi
}

# wrong_29 KIND
wrong_29() {
	[ "$1" != 29 ] ||
		echo "; better let it send 28: 29 is TCP-AO's, and from 6.7 on kernels that have it drop such segments"
}
