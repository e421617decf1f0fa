// SPDX-License-Identifier: GPL-2.0
/*
 * The option parser: bytes in, addresses out.
 *
 * No kernel state and no kernel function: this file also compiles in user space, where it is
 * tested and fuzzed.
 */
#include "toa_option.h"

#ifdef __KERNEL__
#include "toa_compat.h"
#else
#define READ_ONCE(x) (x)
#define noinline
#endif

/* Kinds of RFC 9293; the first two have no length byte. */
#define OPT_END 0
#define OPT_NOP 1

/* The only kind that the kernel's TCP uses and leaves to experiments as well. */
#define OPT_EXP 254

#define OPT_AO 29

#define LEN_V4		8	/* kind, length, port, address */
#define LEN_V6		20
#define LEN_HOSTID_V4	7	/* kind, length, type, address */
#define LEN_HOSTID_V6	19
#define LEN_BARE_V4	6	/* kind, length, address */
#define LEN_BARE_V6	18

/* All that the kernel's TCP uses: what it reads as its own is no address. */
static int is_kernels(unsigned int kind)
{
	return kind <= 5 ||			/* end, NOP, MSS, window scale, SACK */
	       kind == 8 ||			/* timestamps */
	       kind == 19 || kind == OPT_AO ||	/* MD5, TCP-AO */
	       kind == 30 || kind == 34 ||	/* MPTCP, Fast Open */
	       kind == 172 || kind == 174;	/* Accurate ECN */
}

/*
 * An option 254 that the kernel reads as its own, whatever the length: by its first bytes. Only a
 * SYN asks for Fast Open; elsewhere these bytes are a client's port, 63881.
 */
static int is_kernels_experiment(const __u8 *opt, int syn)
{
	return (syn && memcmp(opt + 2, "\xf9\x89", 2) == 0) ||	/* Fast Open, old form */
	       memcmp(opt + 2, "\xe2\xd4\xc3\xd9", 4) == 0;	/* SMC */
}

/*
 * Addresses that no client of a balancer can have. Believing them would give a forger what rules
 * for "localhost" and the like give away.
 */
static __always_inline int v4_claimable(const __u8 *a)
{
	static const __u8 unspecified[4];
	static const __u8 broadcast[4] = { 255, 255, 255, 255 };

	switch (a[0]) {
	case 0:
		return memcmp(a, unspecified, 4) != 0;
	case 127:	/* loopback */
		return 0;
	case 169:	/* link-local */
		return a[1] != 254;
	case 255:
		return memcmp(a, broadcast, 4) != 0;
	default:	/* multicast */
		return (a[0] & 0xf0) != 224;
	}
}

static __always_inline int v6_claimable(const __u8 *a)
{
	static const __u8 zero[15];
	static const __u8 mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	switch (a[0]) {
	case 0:		/* unspecified, loopback; IPv4-mapped */
		return !(memcmp(a, zero, 15) == 0 && a[15] <= 1) && memcmp(a, mapped, 12);
	case 0xfe:	/* link-local */
		return (a[1] & 0xc0) != 0x80;
	default:	/* multicast */
		return a[0] != 0xff;
	}
}

/**
 * toa_option_claimable() - may a client have these addresses?
 * @addrs: the addresses
 *
 * Context: any.
 * Return: 1, or 0 if one is an address that nobody may claim.
 */
int toa_option_claimable(const struct toa_addrs *addrs)
{
	return (!(addrs->have & TOA_HAVE_V4) || v4_claimable((const __u8 *)&addrs->v4_addr)) &&
	       (!(addrs->have & TOA_HAVE_V6) || v6_claimable(addrs->v6_addr.s6_addr));
}

/**
 * toa_option_list() - read a list of option kinds
 * @text:  decimal numbers with commas between, or nothing; a newline may stand at the end
 * @use:   what the options are, a TOA_USE_ flag: F5's rules put addresses without a port into 29
 * @kinds: 256 bytes: 1 for each kind that is in the list, 0 for the others
 *
 * Context: any.
 * Return: 0, or -1 if it is no such list, or has a kind that the kernel's TCP uses; then @kinds is
 * of no use.
 */
int toa_option_list(const char *text, unsigned int use, __u8 *kinds)
{
	unsigned int kind;

	memset(kinds, 0, 256);
	if (*text == '\0' || strcmp(text, "\n") == 0)
		return 0;
	for (;; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		for (kind = 0; *text >= '0' && *text <= '9' && kind < 256; text++)
			kind = kind * 10 + (*text - '0');
		if (kind > 255)
			return -1;
		if (is_kernels(kind) &&
		    !(kind == OPT_AO && use & (TOA_USE_HOSTID | TOA_USE_BARE)))
			return -1;
		kinds[kind] = 1;
		if (*text == '\0' || strcmp(text, "\n") == 0)
			return 0;
		if (*text != ',')
			return -1;
	}
}

/* Go to the next option whose kind is looked for. Returns what its kind is used for, or 0. */
static __always_inline unsigned int find(const struct toa_option_rules *rules, const __u8 **opt,
					 unsigned int *len)
{
	const __u8 *at = *opt;
	unsigned int left, size, use;

	for (left = *len; left >= 2; at += size, left -= size) {
		if (*at == OPT_END)
			break;
		size = 1;
		if (*at == OPT_NOP)
			continue;
		size = at[1];
		if (size < 2 || size > left)
			break;
		use = READ_ONCE(rules->of[*at]);
		if (use) {
			*opt = at;
			*len = left;
			return use;
		}
	}
	return 0;
}

/* Which address an option has, if any: TOA_HAVE_V4 or TOA_HAVE_V6. */
static __always_inline unsigned int has(unsigned int use, const __u8 *opt, int syn)
{
	const unsigned int len = opt[1];
	unsigned int have = 0;

	if ((len == LEN_V4 && use & TOA_USE_V4) ||
	    (len == LEN_HOSTID_V4 && use & TOA_USE_HOSTID) ||
	    (len == LEN_BARE_V4 && use & TOA_USE_BARE))
		have = TOA_HAVE_V4;
	else if ((len == LEN_V6 && use & TOA_USE_V6) ||
		 (len == LEN_HOSTID_V6 && use & TOA_USE_HOSTID) ||
		 (len == LEN_BARE_V6 && use & TOA_USE_BARE))
		have = TOA_HAVE_V6;
	return opt[0] == OPT_EXP && have && is_kernels_experiment(opt, syn) ? 0 : have;
}

static __always_inline const __u8 *address_in(unsigned int have, const __u8 *opt)
{
	return opt + opt[1] - (have == TOA_HAVE_V4 ? 4 : 16);
}

/* The port of an option, or the sender's if it has none. */
static __always_inline __be16 port_in(const __u8 *opt, __be16 sender_port)
{
	__be16 port;

	/* Of the lengths there are, those with a port are the multiples of four. */
	if (opt[1] % 4)
		return sender_port;
	memcpy(&port, opt + 2, sizeof(port));
	return port;
}

/* Take an option's address; false if nobody may claim it. */
static __always_inline int take(unsigned int have, const __u8 *opt, __be16 sender_port,
				struct toa_addrs *out)
{
	const __u8 *addr = address_in(have, opt);
	const __be16 port = port_in(opt, sender_port);

	if (have == TOA_HAVE_V4) {
		if (!v4_claimable(addr))
			return 0;
		memcpy(&out->v4_addr, addr, sizeof(out->v4_addr));
		out->v4_port = port;
		out->v4_kind = opt[0];
	} else {
		if (!v6_claimable(addr))
			return 0;
		memcpy(&out->v6_addr, addr, sizeof(out->v6_addr));
		out->v6_port = port;
		out->v6_kind = opt[0];
	}
	return 1;
}

/* Does an option name somebody else than the one of its family that counts? */
static int differs(unsigned int have, const __u8 *opt, __be16 sender_port,
		   const struct toa_addrs *counts)
{
	const __u8 *addr = address_in(have, opt);
	const __be16 port = port_in(opt, sender_port);

	if (!(counts->have & have))
		return 1;
	if (have == TOA_HAVE_V4)
		return memcmp(addr, &counts->v4_addr, 4) || port != counts->v4_port;
	return memcmp(addr, &counts->v6_addr, 16) || port != counts->v6_port;
}

/* Go to the next option that names somebody; returns its family, or 0. */
static __always_inline unsigned int claim(const struct toa_option_rules *rules, const __u8 **opt,
					  unsigned int *len, int syn)
{
	unsigned int use, have;

	while ((use = find(rules, opt, len))) {
		have = has(use, *opt, syn);
		if (have)
			return have;
		*len -= (*opt)[1];
		*opt += (*opt)[1];
	}
	return 0;
}

/* The same behind the option that stands there. */
static noinline unsigned int next_claim(const struct toa_option_rules *rules, const __u8 **opt,
					unsigned int *len, int syn)
{
	*len -= (*opt)[1];
	*opt += (*opt)[1];
	return claim(rules, opt, len, syn);
}

/* Does an option behind this one name somebody too? */
static noinline int is_first_of_several(const struct toa_option_rules *rules, const __u8 *opt,
					unsigned int len, int syn)
{
	return next_claim(rules, &opt, &len, syn) != 0;
}

/* How many options, the first of which is @opt, name somebody else than those that count? */
static unsigned int differing(const struct toa_option_rules *rules, unsigned int have,
			      const __u8 *opt, unsigned int len, int syn, __be16 sender_port,
			      const struct toa_addrs *counts)
{
	unsigned int count = 0;

	for (; have; have = next_claim(rules, &opt, &len, syn))
		count += differs(have, opt, sender_port, counts);
	return count;
}

/* Several options name somebody: @opt, which names a client of the family @first, and others. */
static noinline struct toa_option_counts choose(const struct toa_option_rules *rules,
						const unsigned int first, const __u8 *opt,
						unsigned int len, int syn, __be16 sender_port,
						struct toa_addrs *out)
{
	unsigned int decided = 0, refused = 0, left = len, have, slot, count;
	struct toa_option_counts counts;
	const __u8 *at = opt;

	for (have = first; have; have = next_claim(rules, &at, &left, syn)) {
		slot = READ_ONCE(rules->both) ? have : TOA_HAVE_V4 | TOA_HAVE_V6;
		if (decided & slot && !READ_ONCE(rules->last))
			continue;
		decided |= slot;
		out->have &= ~slot;
		refused &= ~slot;
		if (take(have, at, sender_port, out))
			out->have |= have;
		else
			refused |= have;
	}
	counts.refused = !!(refused & TOA_HAVE_V4) + !!(refused & TOA_HAVE_V6);
	count = differing(rules, first, opt, len, syn, sender_port, out);
	/* Those that are refused are among these, unless @rules have changed meanwhile. */
	counts.overruled = count - counts.refused * (count >= counts.refused);
	return counts;
}

/**
 * toa_option_parse() - find the real client in the options of one TCP header
 * @rules:       which kinds to look for, and which option counts; may change meanwhile
 * @opt:         the option bytes, from behind the fixed header
 * @len:         how many there are, 0 to 40 in a TCP header; any number is safe
 * @syn:         is it a SYN?
 * @sender_port: the segment's source port, network byte order: goes with addresses without a port
 * @out:         what was found; its other members are of use as far as @out->have says
 *
 * The first well-formed option decides, whatever its kind and family: a balancer puts its own in
 * front of what the client sent. If it names an address nobody may claim, nobody is named: what
 * stands behind it is still the client's. (@rules->last and @rules->both: see there.) Reading
 * stops at the end-of-options mark and at an option whose length is impossible; what stood before
 * it counts.
 *
 * Context: any, takes no lock.
 * Return: how many of the options were refused, and how many overruled.
 */
struct toa_option_counts toa_option_parse(const struct toa_option_rules *rules, const __u8 *opt,
					  unsigned int len, int syn, __be16 sender_port,
					  struct toa_addrs *out)
{
	struct toa_option_counts counts = { 0, 0 };
	unsigned int have;

	out->have = 0;
	have = claim(rules, &opt, &len, syn);
	if (!have)
		return counts;
	if (len > opt[1] && is_first_of_several(rules, opt, len, syn))
		return choose(rules, have, opt, len, syn, sender_port, out);
	if (take(have, opt, sender_port, out))
		out->have = have;
	else
		counts.refused = 1;
	return counts;
}
