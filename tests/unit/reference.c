// SPDX-License-Identifier: GPL-2.0
/*
 * A second parser of the options, to compare with: first cuts the bytes into options, then looks
 * for each kind by itself; classifies addresses by number and by the C library's macros.
 */
#include "reference.h"

#include <arpa/inet.h>
#include <string.h>

struct option {
	unsigned int kind;
	unsigned int len;
	const unsigned char *value;
};

/* Cuts at most @max options off the front; returns how many. */
static unsigned int cut(const unsigned char *bytes, unsigned int count, struct option *options,
			unsigned int max)
{
	unsigned int at = 0, n = 0;

	for (;;) {
		/* NOP: one byte. */
		while (at < count && bytes[at] == 1)
			at++;
		/* End of options, or no room for a length. */
		if (at >= count || bytes[at] == 0 || count - at < 2)
			return n;
		/* A length that cannot be, or that leads out of the header. */
		if (bytes[at + 1] < 2 || at + bytes[at + 1] > count)
			return n;
		if (n == max)
			return n;
		options[n].kind = bytes[at];
		options[n].len = bytes[at + 1];
		options[n].value = bytes + at + 2;
		at += options[n].len;
		n++;
	}
}

const struct toa_option_rules rules_default = {
	.of = { [200] = TOA_USE_V4, [253] = TOA_USE_V6 },
};

static int may_be_configured(unsigned int kind)
{
	static const unsigned char kernels[] = { 0, 1, 2, 3, 4, 5, 8, 19, 29, 30, 34, 172, 174 };

	return !memchr(kernels, kind, sizeof(kernels));
}

void rules_random(unsigned long long number, struct toa_option_rules *rules)
{
	static const unsigned char usual[] = { 200, 253, 254, 28 };
	unsigned int i, some = number >> 16 & 0xff;

	memset(rules, 0, sizeof(*rules));
	/* Four bits for each of the usual kinds, and for some other. */
	for (i = 0; i < sizeof(usual); i++)
		rules->of[usual[i]] = number >> 4 * i & 15;
	if (may_be_configured(some))
		rules->of[some] |= number >> 12 & 15;
	/* Now and then nearly everything, as short options are few. */
	if ((number >> 24 & 15) == 0)
		for (i = 0; i < 256; i++)
			if (may_be_configured(i))
				rules->of[i] |= number >> 12 & 15;
	rules->last = number >> 28 & 1;
	rules->both = (number >> 29 & 3) != 0;
}

/* What the kernel's TCP would read as its own, and nobody else may. */
static int kernel_takes(const struct option *o, int syn)
{
	static const unsigned char fast_open[] = { 0xf9, 0x89 }, smc[] = { 0xe2, 0xd4, 0xc3, 0xd9 };

	if (o->kind != 254)
		return 0;
	return (syn && o->len >= 4 && !memcmp(o->value, fast_open, 2)) ||
	       (o->len >= 6 && !memcmp(o->value, smc, 4));
}

/* One option that names somebody. */
struct claim {
	int family;
	unsigned char addr[16];		/* four bytes of it for IPv4 */
	unsigned short port;
	unsigned char kind;
	int nobody;			/* whom nobody may claim to be */
};

static int nobodys_v4(struct in_addr addr)
{
	uint32_t a = ntohl(addr.s_addr);

	if (a == INADDR_ANY || a == INADDR_BROADCAST)
		return 1;
	if (a >= 0x7f000000 && a <= 0x7fffffff)		/* 127.0.0.0/8 */
		return 1;
	if (a >= 0xe0000000 && a <= 0xefffffff)		/* 224.0.0.0/4 */
		return 1;
	return a >= 0xa9fe0000 && a <= 0xa9feffff;	/* 169.254.0.0/16 */
}

static int nobodys_v6(const struct in6_addr *a)
{
	return IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_MULTICAST(a) ||
	       IN6_IS_ADDR_LINKLOCAL(a) || IN6_IS_ADDR_V4MAPPED(a);
}

/* The lengths are a table: with a port, with a type, bare. */
static int claim_of(const struct toa_option_rules *rules, const struct option *o, int syn,
		    unsigned short sender_port, struct claim *c)
{
	static const struct {
		unsigned int use, len, skip;
		int family;
	} forms[] = {
		{ TOA_USE_V4, 8, 2, AF_INET },		{ TOA_USE_V6, 20, 2, AF_INET6 },
		{ TOA_USE_HOSTID, 7, 1, AF_INET },	{ TOA_USE_HOSTID, 19, 1, AF_INET6 },
		{ TOA_USE_BARE, 6, 0, AF_INET },	{ TOA_USE_BARE, 18, 0, AF_INET6 },
	};
	unsigned int i;

	if (kernel_takes(o, syn))
		return 0;
	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (o->len != forms[i].len || !(rules->of[o->kind] & forms[i].use))
			continue;
		memset(c, 0, sizeof(*c));
		c->family = forms[i].family;
		c->kind = o->kind;
		c->port = sender_port;
		if (forms[i].skip == 2)
			memcpy(&c->port, o->value, 2);
		memcpy(c->addr, o->value + forms[i].skip, o->len - 2 - forms[i].skip);
		if (c->family == AF_INET) {
			struct in_addr v4;

			memcpy(&v4, c->addr, 4);
			c->nobody = nobodys_v4(v4);
		} else {
			struct in6_addr v6;

			memcpy(&v6, c->addr, 16);
			c->nobody = nobodys_v6(&v6);
		}
		return 1;
	}
	return 0;
}

static int same_client(const struct claim *a, const struct claim *b)
{
	return a->family == b->family && !a->nobody && !b->nobody && a->port == b->port &&
	       !memcmp(a->addr, b->addr, sizeof(a->addr));
}

static void say(const struct claim *c, struct toa_addrs *out)
{
	if (c->family == AF_INET) {
		out->have |= TOA_HAVE_V4;
		memcpy(&out->v4_addr, c->addr, 4);
		out->v4_port = c->port;
		out->v4_kind = c->kind;
	} else {
		out->have |= TOA_HAVE_V6;
		memcpy(&out->v6_addr, c->addr, 16);
		out->v6_port = c->port;
		out->v6_kind = c->kind;
	}
}

/* Which claim counts, of a family, or of any (0)? -1: there is none. */
static int winner_of(const struct claim *claims, int n, int family, int last)
{
	int i, winner = -1;

	for (i = 0; i < n; i++)
		if (!family || claims[i].family == family)
			if (winner < 0 || last)
				winner = i;
	return winner;
}

struct toa_option_counts reference_parse(const struct toa_option_rules *rules,
					 const unsigned char *opt, unsigned int len, int syn,
					 unsigned short sender_port, struct toa_addrs *out)
{
	struct toa_option_counts counts = { 0, 0 };
	struct option options[512];
	struct claim claims[512];
	int n = 0, i, wins[2], k;
	unsigned int cuts, at;

	cuts = cut(opt, len, options, sizeof(options) / sizeof(options[0]));
	for (at = 0; at < cuts; at++)
		n += claim_of(rules, &options[at], syn, sender_port, &claims[n]);
	memset(out, 0, sizeof(*out));

	wins[0] = winner_of(claims, n, rules->both ? AF_INET : 0, rules->last);
	wins[1] = rules->both ? winner_of(claims, n, AF_INET6, rules->last) : -1;
	for (k = 0; k < 2; k++) {
		if (wins[k] >= 0 && claims[wins[k]].nobody)
			counts.refused++;
		else if (wins[k] >= 0)
			say(&claims[wins[k]], out);
	}
	for (i = 0; i < n; i++) {
		if (i == wins[0] || i == wins[1])
			continue;
		if (!(wins[0] >= 0 && same_client(&claims[i], &claims[wins[0]])) &&
		    !(wins[1] >= 0 && same_client(&claims[i], &claims[wins[1]])))
			counts.overruled++;
	}
	return counts;
}

static const char *disagree(struct toa_option_counts our, const struct toa_addrs *ours,
			    struct toa_option_counts their, const struct toa_addrs *theirs)
{
	if (our.refused != their.refused)
		return "how many are refused";
	if (our.overruled != their.overruled)
		return "how many are overruled";
	if (ours->have != theirs->have)
		return "which are there";
	if (ours->have & TOA_HAVE_V4) {
		if (ours->v4_addr != theirs->v4_addr || ours->v4_port != theirs->v4_port)
			return "the IPv4 address or port";
		if (ours->v4_kind != theirs->v4_kind)
			return "the kind of the IPv4 address";
	}
	if (ours->have & TOA_HAVE_V6) {
		if (memcmp(&ours->v6_addr, &theirs->v6_addr, 16) ||
		    ours->v6_port != theirs->v6_port)
			return "the IPv6 address or port";
		if (ours->v6_kind != theirs->v6_kind)
			return "the kind of the IPv6 address";
	}
	return NULL;
}

const char *reference_disagrees(const struct toa_option_rules *rules, const unsigned char *opt,
				unsigned int len, int syn)
{
	const unsigned short sender_port = htons(4711);
	const unsigned int skip = toa_option_usual(opt, len, syn);
	struct toa_option_counts our, their;
	struct toa_addrs ours, theirs;
	const char *what;

	their = reference_parse(rules, opt, len, syn, sender_port, &theirs);
	memset(&ours, 0, sizeof(ours));
	our = toa_option_parse(rules, opt, len, syn, sender_port, &ours);
	what = disagree(our, &ours, their, &theirs);
	if (what || !skip)
		return what;
	/* Behind the usual ones the same must be found. */
	memset(&ours, 0, sizeof(ours));
	our = toa_option_parse(rules, opt + skip, len - skip, syn, sender_port, &ours);
	return disagree(our, &ours, their, &theirs);
}
