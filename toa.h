/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/**
 * DOC: the contract between toa.ko and applications
 *
 * Include this file in an application (C99 or C++) that serves IPv6 clients through a NAT64
 * balancer and listens on an AF_INET socket:
 *
 *	struct toa_nat64_peer peer;
 *	socklen_t len = sizeof(peer);
 *
 *	if (getsockopt(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, &peer, &len) == 0)
 *		the client is peer.saddr, port ntohs(peer.sport);
 *
 * Everything else needs no code: getpeername() and accept() give the real client.
 */
#ifndef TOA_H
#define TOA_H

#ifdef __KERNEL__
#include <linux/in6.h>
#include <linux/types.h>
#else
#include <netinet/in.h>
#include <stdint.h>
#endif

/**
 * TOA_SO_GET_LOOKUP - getsockopt(fd, IPPROTO_IP, ...): the IPv6 client behind a NAT64 balancer
 *
 * The value is a &struct toa_nat64_peer; at least the 18 bytes up to the port must fit.
 * Fails with EINVAL (length negative or below 18), EOPNOTSUPP (not a TCP socket), ENOTCONN,
 * ENOENT (the connection came without an address), EAFNOSUPPORT (it came with an IPv4 address:
 * ask getpeername()), EFAULT, and ENOPROTOOPT when the module is not loaded.
 */
#define TOA_SO_GET_LOOKUP 4096

/**
 * struct toa_nat64_peer - the answer to TOA_SO_GET_LOOKUP
 * @saddr: address of the real client
 * @sport: its port, network byte order
 *
 * 20 bytes; the two bytes behind @sport are zero.
 */
struct toa_nat64_peer {
	struct in6_addr saddr;
	uint16_t sport;
};

#endif /* TOA_H */
