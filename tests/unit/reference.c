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

const struct toa_option_uses uses_default = {
	.of = { [200] = TOA_USE_V4, [253] = TOA_USE_V6 },
};

static int may_be_configured(unsigned int kind)
{
	static const unsigned char kernels[] = { 0, 1, 2, 3, 4, 5, 8, 19, 29, 30, 34, 172, 174 };

	return !memchr(kernels, kind, sizeof(kernels));
}

void uses_random(unsigned long long number, struct toa_option_uses *uses)
{
	static const unsigned char usual[] = { 200, 253, 254, 28 };
	unsigned int i, some = number >> 16 & 0xff;

	memset(uses, 0, sizeof(*uses));
	/* Three bits for each of the usual kinds, and for some other. */
	for (i = 0; i < sizeof(usual); i++)
		uses->of[usual[i]] = number >> 3 * i & 7;
	if (may_be_configured(some))
		uses->of[some] |= number >> 12 & 7;
	/* Now and then nearly everything, as short options are few. */
	if ((number >> 24 & 15) == 0)
		for (i = 0; i < 256; i++)
			if (may_be_configured(i))
				uses->of[i] |= number >> 12 & 7;
}

/* What the kernel's TCP would read as its own, and nobody else may. */
static int kernel_takes(const struct option *o)
{
	static const unsigned char fast_open[] = { 0xf9, 0x89 }, smc[] = { 0xe2, 0xd4, 0xc3, 0xd9 };

	if (o->kind != 254)
		return 0;
	return (o->len >= 4 && !memcmp(o->value, fast_open, 2)) ||
	       (o->len >= 6 && !memcmp(o->value, smc, 4));
}

/* The first option with an address of this many bytes. */
static const struct option *first(const struct toa_option_uses *uses, const struct option *options,
				  unsigned int n, unsigned int bytes)
{
	unsigned int with_port = bytes == 4 ? TOA_USE_V4 : TOA_USE_V6, i;

	for (i = 0; i < n; i++) {
		unsigned int use = uses->of[options[i].kind];

		if (kernel_takes(&options[i]))
			continue;
		if (use & with_port && options[i].len == 2 + 2 + bytes)
			return &options[i];
		if (use & TOA_USE_HOSTID && options[i].len == 2 + 1 + bytes)
			return &options[i];
	}
	return NULL;
}

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

unsigned int reference_parse(const struct toa_option_uses *uses, const unsigned char *opt,
			     unsigned int len, unsigned short sender_port, struct toa_addrs *out)
{
	struct option options[512];
	const struct option *o;
	unsigned int refused = 0, n;

	n = cut(opt, len, options, sizeof(options) / sizeof(options[0]));
	memset(out, 0, sizeof(*out));

	o = first(uses, options, n, 4);
	if (o) {
		struct in_addr addr;

		memcpy(&addr, o->value + o->len - 2 - 4, 4);
		if (nobodys_v4(addr)) {
			refused++;
		} else {
			out->have |= TOA_HAVE_V4;
			out->v4_kind = o->kind;
			out->v4_addr = addr.s_addr;
			out->v4_port = sender_port;
			if (o->len == 8)
				memcpy(&out->v4_port, o->value, 2);
		}
	}

	o = first(uses, options, n, 16);
	if (o) {
		struct in6_addr addr;

		memcpy(&addr, o->value + o->len - 2 - 16, 16);
		if (nobodys_v6(&addr)) {
			refused++;
		} else {
			out->have |= TOA_HAVE_V6;
			out->v6_kind = o->kind;
			out->v6_addr = addr;
			out->v6_port = sender_port;
			if (o->len == 20)
				memcpy(&out->v6_port, o->value, 2);
		}
	}
	return refused;
}

const char *reference_disagrees(const struct toa_option_uses *uses, const unsigned char *opt,
				unsigned int len)
{
	const unsigned short sender_port = htons(4711);
	struct toa_addrs ours, theirs;
	unsigned int refused;

	memset(&ours, 0, sizeof(ours));
	refused = toa_option_parse(uses, opt, len, sender_port, &ours);
	if (refused != reference_parse(uses, opt, len, sender_port, &theirs))
		return "how many are refused";
	if (ours.have != theirs.have)
		return "which are there";
	if (ours.v4_addr != theirs.v4_addr || ours.v4_port != theirs.v4_port)
		return "the IPv4 address or port";
	if (memcmp(&ours.v6_addr, &theirs.v6_addr, 16) || ours.v6_port != theirs.v6_port)
		return "the IPv6 address or port";
	if (ours.v4_kind != theirs.v4_kind || ours.v6_kind != theirs.v6_kind)
		return "the kinds";
	return NULL;
}
