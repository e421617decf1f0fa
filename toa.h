/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/**
 * DOC: the contract between toa.ko and applications
 *
 * getpeername() and accept() give the real client without any code, but for one that does not fit:
 * an IPv6 client behind a NAT64 balancer, when the application listens on an AF_INET socket. An
 * application that must know that one, or what the balancer's own address is, includes this file
 * (C99 or C++) and asks, on a TCP socket of any family, behind any balancer or none:
 *
 *	struct toa_peer_info info;
 *	socklen_t len = sizeof(info);
 *
 *	if (getsockopt(fd, IPPROTO_IP, TOA_SO_GET_PEER, &info, &len) == 0)
 *		the client is info.client, a sockaddr_in or sockaddr_in6, as its family says;
 *
 * TOA_SO_GET_LOOKUP is older and gives only the IPv6 client.
 */
#ifndef TOA_H
#define TOA_H

#ifdef __KERNEL__
#include <linux/in.h>
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

/**
 * TOA_SO_GET_PEER - getsockopt(fd, IPPROTO_IP, ...): the real client, whatever the balancer
 *
 * The value is a &struct toa_peer_info; at least TOA_PEER_INFO_MIN bytes must fit. It answers for
 * every connected TCP socket: a connection that came without an address has the balancer, or
 * whoever is at the other end, as its client, and @kind is 0.
 * Fails with EINVAL (length negative or below TOA_PEER_INFO_MIN), EOPNOTSUPP (not a TCP socket),
 * ENOTCONN, EFAULT, and ENOPROTOOPT when the module is not loaded, or is older than 1.0.0.
 */
#define TOA_SO_GET_PEER 4097

/* Where the option stood: &struct toa_peer_info.segment */
#define TOA_SEGMENT_NONE 0	/* there was none */
#define TOA_SEGMENT_SYN 1
#define TOA_SEGMENT_ACK 2	/* the final ACK of the handshake */
#define TOA_SEGMENT_DATA 3	/* data that completed the handshake */

/**
 * union toa_peer_addr - an address, as its family says: AF_INET or AF_INET6
 * @v4: if @v4.sin_family is AF_INET
 * @v6: if @v6.sin6_family is AF_INET6
 *
 * May be passed as a struct sockaddr. All that is not used is zero, flow information too.
 */
union toa_peer_addr {
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/**
 * struct toa_peer_info - the answer to TOA_SO_GET_PEER
 * @size:     how many bytes the loaded module knows of; the struct grows at the end only. No more
 *            than these, and than fit, are written: the length says how many
 * @kind:     of the option that named the client, 0 if none did
 * @segment:  where it stood, TOA_SEGMENT_NONE if nowhere
 * @client:   the real client: what getpeername() shows, but an IPv6 client that getpeername()
 *            cannot show is here as well
 * @balancer: the other end of the connection: what getpeername() would show without the module
 *
 * 60 bytes, the same for 32-bit and 64-bit applications. In an AF_INET6 socket, IPv4 addresses are
 * IPv4-mapped ones, as getpeername() has them.
 */
struct toa_peer_info {
	uint16_t size;
	uint8_t kind;
	uint8_t segment;
	union toa_peer_addr client;
	union toa_peer_addr balancer;
};

/* As long as the struct was at first. */
#define TOA_PEER_INFO_MIN 60

#endif /* TOA_H */
