/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The addresses that a balancer puts into a TCP header, and the parser that finds them there.
 * Knows nothing of the kernel, so that it also compiles in user space (tests/unit).
 */
#ifndef TOA_OPTION_H
#define TOA_OPTION_H

#ifdef __KERNEL__
#include <linux/in6.h>
#else
#include <netinet/in.h>
#endif
#include <linux/types.h>

#define TOA_HAVE_V4 0x1
#define TOA_HAVE_V6 0x2

/**
 * struct toa_addrs - what a segment, or a connection, says about the real client
 * @v6_addr: IPv6 address (option 253), valid if @have has TOA_HAVE_V6
 * @v4_addr: IPv4 address (option 200), valid if @have has TOA_HAVE_V4
 * @v6_port: port that goes with @v6_addr
 * @v4_port: port that goes with @v4_addr
 * @have:    TOA_HAVE_V4, TOA_HAVE_V6, both or 0
 *
 * Addresses and ports are in network byte order.
 */
struct toa_addrs {
	struct in6_addr v6_addr;
	__be32 v4_addr;
	__be16 v6_port;
	__be16 v4_port;
	__u8 have;
};

unsigned int toa_option_parse(const __u8 *opt, unsigned int len, struct toa_addrs *out);

#endif /* TOA_OPTION_H */
