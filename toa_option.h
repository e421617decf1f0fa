/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The addresses that a balancer puts into a TCP header, and the parser that finds them there.
 * Knows nothing of the kernel, so that it also compiles in user space (tests/unit).
 */
#ifndef TOA_OPTION_H
#define TOA_OPTION_H

#ifdef __KERNEL__
#include <asm/byteorder.h>
#include <linux/in6.h>
#include <linux/string.h>
#else
#include <netinet/in.h>
#include <string.h>
#endif
#include <linux/types.h>

/* What the options of a kind may be. Their length decides, so that a kind may be all of these. */
#define TOA_USE_V4	0x1	/* length 8: port, IPv4 address */
#define TOA_USE_V6	0x2	/* length 20: port, IPv6 address */
#define TOA_USE_HOSTID	0x4	/* length 7 or 19: a type, IPv4 or IPv6 address */
#define TOA_USE_BARE	0x8	/* length 6 or 18: IPv4 or IPv6 address */

/**
 * struct toa_option_rules - which options carry addresses, and whose word counts
 * @of:   for each kind, the TOA_USE_ flags, or 0; always 0 for what toa_option_list() refuses
 * @last: of several options the last one counts, not the first
 * @both: a segment may name a client of each family; each family is judged by itself
 */
struct toa_option_rules {
	__u8 of[256];
	__u8 last;
	__u8 both;
};

#define TOA_HAVE_V4 0x1
#define TOA_HAVE_V6 0x2

/**
 * struct toa_addrs - what a segment, or a connection, says about the real client
 * @v6_addr:    IPv6 address; this and all v6 fields are valid if @have has TOA_HAVE_V6
 * @v4_addr:    IPv4 address; this and all v4 fields are valid if @have has TOA_HAVE_V4
 * @v6_port:    port that goes with @v6_addr
 * @v4_port:    port that goes with @v4_addr
 * @have:       TOA_HAVE_V4, TOA_HAVE_V6, both or 0
 * @v6_kind:    of the option that said so
 * @v4_kind:    of the option that said so
 * @v6_segment: where it stood, TOA_SEGMENT_SYN and so on; not set by the parser
 * @v4_segment: the same
 *
 * Addresses and ports are in network byte order.
 */
struct toa_addrs {
	struct in6_addr v6_addr;
	__be32 v4_addr;
	__be16 v6_port;
	__be16 v4_port;
	__u8 have;
	__u8 v6_kind;
	__u8 v4_kind;
	__u8 v6_segment:4;
	__u8 v4_segment:4;
};

/**
 * struct toa_option_counts - what is wrong with the options of a segment
 * @refused:   how many of those that count name an address nobody may claim
 * @overruled: how many others name somebody else than those that count
 */
struct toa_option_counts {
	__u8 refused;
	__u8 overruled;
};

/* The option bytes of a header as words, which they are. */
static inline __be32 toa_option_word(const __u8 *opt, unsigned int number)
{
	__be32 word;

	memcpy(&word, opt + 4 * number, sizeof(word));
	return word;
}

/**
 * toa_option_usual() - how many bytes of options stand first as Linux puts them there
 * @opt: the option bytes
 * @len: how many there are
 * @syn: is it a SYN?
 *
 * None of them is of interest. What is unusual is for toa_option_parse() to read.
 *
 * Context: any.
 * Return: 20 (of a SYN: MSS, SACK permitted, timestamps, NOP, window scale), 12 (of another
 * segment: NOP, NOP, timestamps), or 0.
 */
static inline unsigned int toa_option_usual(const __u8 *opt, unsigned int len, int syn)
{
	if (!syn)
		return len >= 12 && toa_option_word(opt, 0) == htonl(0x0101080a) ? 12 : 0;
	if (len < 20 || (toa_option_word(opt, 0) & htonl(0xffff0000)) != htonl(0x02040000) ||
	    toa_option_word(opt, 1) != htonl(0x0402080a) ||
	    (toa_option_word(opt, 4) & htonl(0xffffff00)) != htonl(0x01030300))
		return 0;
	return 20;
}

int toa_option_claimable(const struct toa_addrs *addrs);
int toa_option_list(const char *text, unsigned int use, __u8 *kinds);
struct toa_option_counts toa_option_parse(const struct toa_option_rules *rules, const __u8 *opt,
					  unsigned int len, int syn, __be16 sender_port,
					  struct toa_addrs *out);

#endif /* TOA_OPTION_H */
