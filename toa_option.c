// SPDX-License-Identifier: GPL-2.0
/*
 * The option parser: bytes in, addresses out.
 *
 * No kernel state and no kernel function: this file also compiles in user space, where it is
 * tested and fuzzed.
 */
#include "toa_option.h"

#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif

/* Kinds of RFC 9293 that have no length byte. */
#define OPT_END 0
#define OPT_NOP 1

/* The balancers' options: kind and length together identify them, other senders use the kinds
 * with other lengths.
 */
#define OPT_SNAT	200
#define OPT_SNAT_LEN	8
#define OPT_NAT64	253
#define OPT_NAT64_LEN	20

/*
 * Addresses that no client of a balancer can have. Believing them would give a forger what rules
 * for "localhost" and the like give away.
 */
static int v4_claimable(const __u8 *a)
{
	static const __u8 unspecified[4];
	static const __u8 broadcast[4] = { 255, 255, 255, 255 };

	return memcmp(a, unspecified, 4) &&
	       memcmp(a, broadcast, 4) &&
	       a[0] != 127 &&				/* loopback */
	       (a[0] & 0xf0) != 224 &&			/* multicast */
	       !(a[0] == 169 && a[1] == 254);		/* link-local */
}

static int v6_claimable(const __u8 *a)
{
	static const __u8 zero[15];
	static const __u8 mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	return !(memcmp(a, zero, 15) == 0 && a[15] <= 1) &&	/* unspecified, loopback */
	       memcmp(a, mapped, 12) &&				/* IPv4-mapped */
	       a[0] != 0xff &&					/* multicast */
	       !(a[0] == 0xfe && (a[1] & 0xc0) == 0x80);	/* link-local */
}

/**
 * toa_option_parse() - find the real client's addresses in the options of one TCP header
 * @opt: the option bytes, from behind the fixed header
 * @len: how many there are, 0 to 40 in a TCP header; any number is safe
 * @out: what was found; only @out->have is written when nothing was
 *
 * Of each kind the first well-formed option counts. Reading stops at the end-of-options mark
 * and at an option whose length is impossible; what stood before it counts.
 *
 * Context: any, takes no lock.
 * Return: how many of the options that count named an address nobody may claim; these are not
 * in @out.
 */
unsigned int toa_option_parse(const __u8 *opt, unsigned int len, struct toa_addrs *out)
{
	const __u8 *const end = opt + len;
	unsigned int refused = 0;
	__u8 seen = 0;

	out->have = 0;
	while (end - opt >= 2 && *opt != OPT_END) {
		if (*opt == OPT_NOP) {
			opt++;
			continue;
		}
		if (opt[1] < 2 || opt[1] > end - opt)
			break;
		if (opt[0] == OPT_SNAT && opt[1] == OPT_SNAT_LEN && !(seen & TOA_HAVE_V4)) {
			seen |= TOA_HAVE_V4;
			if (v4_claimable(opt + 4)) {
				memcpy(&out->v4_port, opt + 2, sizeof(out->v4_port));
				memcpy(&out->v4_addr, opt + 4, sizeof(out->v4_addr));
				out->have |= TOA_HAVE_V4;
			} else {
				refused++;
			}
		} else if (opt[0] == OPT_NAT64 && opt[1] == OPT_NAT64_LEN &&
			   !(seen & TOA_HAVE_V6)) {
			seen |= TOA_HAVE_V6;
			if (v6_claimable(opt + 4)) {
				memcpy(&out->v6_port, opt + 2, sizeof(out->v6_port));
				memcpy(&out->v6_addr, opt + 4, sizeof(out->v6_addr));
				out->have |= TOA_HAVE_V6;
			} else {
				refused++;
			}
		}
		opt += opt[1];
	}
	return refused;
}
