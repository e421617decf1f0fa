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

static const unsigned char *first(const struct option *options, unsigned int n, unsigned int kind,
				  unsigned int len)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (options[i].kind == kind && options[i].len == len)
			return options[i].value;
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

unsigned int reference_parse(const unsigned char *opt, unsigned int len, struct toa_addrs *out)
{
	struct option options[512];
	const unsigned char *value;
	unsigned int refused = 0, n;

	n = cut(opt, len, options, sizeof(options) / sizeof(options[0]));
	memset(out, 0, sizeof(*out));

	value = first(options, n, 200, 8);
	if (value) {
		struct in_addr addr;

		memcpy(&addr, value + 2, 4);
		if (nobodys_v4(addr)) {
			refused++;
		} else {
			out->have |= TOA_HAVE_V4;
			out->v4_addr = addr.s_addr;
			memcpy(&out->v4_port, value, 2);
		}
	}

	value = first(options, n, 253, 20);
	if (value) {
		struct in6_addr addr;

		memcpy(&addr, value + 2, 16);
		if (nobodys_v6(&addr)) {
			refused++;
		} else {
			out->have |= TOA_HAVE_V6;
			out->v6_addr = addr;
			memcpy(&out->v6_port, value, 2);
		}
	}
	return refused;
}

const char *reference_disagrees(const unsigned char *opt, unsigned int len)
{
	struct toa_addrs ours, theirs;
	unsigned int refused;

	memset(&ours, 0, sizeof(ours));
	refused = toa_option_parse(opt, len, &ours);
	if (refused != reference_parse(opt, len, &theirs))
		return "how many are refused";
	if (ours.have != theirs.have)
		return "which are there";
	if (ours.v4_addr != theirs.v4_addr || ours.v4_port != theirs.v4_port)
		return "the IPv4 address or port";
	if (memcmp(&ours.v6_addr, &theirs.v6_addr, 16) || ours.v6_port != theirs.v6_port)
		return "the IPv6 address or port";
	return NULL;
}
