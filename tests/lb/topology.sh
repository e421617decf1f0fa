#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# topology.sh: persistent TUN devices, addresses and routes for the test balancer, with ip(8).
#
# Usage: topology.sh up [CLIENT_NETNS SERVER_NETNS]
#        topology.sh down [CLIENT_NETNS SERVER_NETNS]
#        topology.sh show
#
# Without names all is in the current network namespace; with names the two namespaces are created
# (down removes them). The balancer then runs with --no-setup, since all it needs is there:
#
#   toa-lb --no-setup --client-tun toa-c --server-tun toa-s \
#       [--client-netns CLIENT_NETNS --server-netns SERVER_NETNS] \
#       --pool 10.99.0.1-10.99.0.4 --pool 2001:db8:b::1-2001:db8:b::4 --service ...
#
# (toa-lb can do the same by itself: --client-addr, --server-addr; what it makes goes with it, while
# this stays until "down", so that a server can bind to the backend's address before it starts.)
#
#   clients   198.51.100.1 .. 198.51.100.20, 2001:db8:c::1 .. 2001:db8:c::14, on toa-c
#   VIPs      203.0.113.0/24, 2001:db8:f::/64, routed to toa-c
#   pool      10.99.0.0/24, 2001:db8:b::/64, routed to toa-s
#   backend   10.99.1.1, 2001:db8:d::1, on toa-s
#
# No sysctl is needed, with rp_filter=1 neither: every source address a packet comes with is routed
# to the device it comes from, and none of them is local.
# Exit status: 0, 1 if something could not be set up, 2 for a bad command line.

usage() {
	sed -n 's/^# \{0,1\}//; 4,8p' "$0" >&2
	exit 2
}

# at NETNS COMMAND...: ip in that namespace, or here if it is empty
at() {
	netns=$1
	shift
	if [ -n "$netns" ]; then
		ip -n "$netns" "$@"
	else
		ip "$@"
	fi
}

# Is there IPv6 at all?
six() {
	[ -e /proc/sys/net/ipv6 ]
}

device() {
	at "$1" link set lo up &&
		at "$1" tuntap add dev "$2" mode tun &&
		at "$1" link set "$2" txqueuelen 10000 up
}

up() {
	if [ -n "$client" ]; then
		ip netns add "$client" && ip netns add "$server" || return 1
	fi
	device "$client" toa-c && device "$server" toa-s || return 1
	i=1
	while [ $i -le 20 ]; do
		at "$client" addr add "198.51.100.$i/32" dev toa-c || return 1
		if six; then
			at "$client" addr add "2001:db8:c::$(printf %x $i)/128" dev toa-c nodad ||
				return 1
		fi
		i=$((i + 1))
	done
	at "$client" route add 203.0.113.0/24 dev toa-c src 198.51.100.1 &&
		at "$server" addr add 10.99.1.1/32 dev toa-s &&
		at "$server" route add 10.99.0.0/24 dev toa-s src 10.99.1.1 || return 1
	if six; then
		at "$client" route add 2001:db8:f::/64 dev toa-c src 2001:db8:c::1 &&
			at "$server" addr add 2001:db8:d::1/128 dev toa-s nodad &&
			at "$server" route add 2001:db8:b::/64 dev toa-s src 2001:db8:d::1 ||
			return 1
	fi
}

down() {
	if [ -n "$client" ]; then
		ip netns del "$client"
		ip netns del "$server"
	else
		ip link del toa-c
		ip link del toa-s
	fi
}

case $# in
1) client='' server='' ;;
3) client=$2 server=$3 ;;
*) usage ;;
esac

case $1 in
up)
	if ! up; then
		down 2>/dev/null
		exit 1
	fi
	;;
down) down ;;
show)
	for dev in toa-c toa-s; do
		ip addr show dev $dev && ip route show dev $dev && ip -6 route show dev $dev
	done
	;;
*) usage ;;
esac
