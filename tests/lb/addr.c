// SPDX-License-Identifier: GPL-2.0
/*
 * addr.c - addresses and endpoints of the test balancer.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "lb.h"

enum { RANGE_MAX = 1024 };

bool number_parse(const char *text, unsigned long max, unsigned long *out)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	*out = strtoul(text, &end, 10);
	return !*end && *out <= max;
}

bool addr_parse(const char *text, struct addr *a)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, text, a->b) == 1)
		a->len = 4;
	else if (inet_pton(AF_INET6, text, a->b) == 1)
		a->len = 16;
	return a->len;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->len == b->len && !memcmp(a->b, b->b, a->len);
}

/* Addresses of a range differ in their last 32 bits. */
static uint32_t addr_low(const struct addr *a)
{
	uint32_t v;

	memcpy(&v, a->b + a->len - 4, 4);
	return ntohl(v);
}

void addr_add(struct addr *a, uint32_t n)
{
	uint32_t v = htonl(addr_low(a) + n);

	memcpy(a->b + a->len - 4, &v, 4);
}

const char *addr_text(const struct addr *a, char buf[ADDR_TEXT])
{
	if (!a->len || !inet_ntop(a->len == 4 ? AF_INET : AF_INET6, a->b, buf, ADDR_TEXT))
		strcpy(buf, "-");
	return buf;
}

/**
 * range_parse() - read "A" or "A-B", both of one family
 * @text: from the command line
 * @first: the first address
 * @count: how many addresses, at least 1
 */
bool range_parse(const char *text, struct addr *first, unsigned int *count)
{
	const char *dash = strchr(text, '-');
	char head[ADDR_TEXT];
	struct addr last, probe;

	*count = 1;
	if (!dash)
		return addr_parse(text, first);
	if ((size_t)(dash - text) >= sizeof(head))
		return false;
	memcpy(head, text, dash - text);
	head[dash - text] = 0;
	if (!addr_parse(head, first) || !addr_parse(dash + 1, &last) || first->len != last.len)
		return false;
	if (addr_low(&last) < addr_low(first) || addr_low(&last) - addr_low(first) >= RANGE_MAX)
		return false;
	*count = addr_low(&last) - addr_low(first) + 1;
	probe = *first;
	addr_add(&probe, *count - 1);
	return addr_equal(&probe, &last);
}

bool range_contains(const struct addr *first, unsigned int count, const struct addr *a)
{
	return a->len == first->len && !memcmp(a->b, first->b, a->len - 4) &&
	       addr_low(a) - addr_low(first) < count;
}

/**
 * endpoint_parse() - read "A:port", "[A]:port", "A:*", or an address alone
 * @text: from the command line
 * @e: the result; the port is 0 unless a number was given
 * @port: the port, -1 if there was none, -2 for "*"
 */
bool endpoint_parse(const char *text, struct endpoint *e, int *port)
{
	const char *colon = NULL;
	char host[ADDR_TEXT];
	unsigned long n;
	size_t len;

	memset(e, 0, sizeof(*e));
	*port = -1;
	if (*text == '[') {
		const char *close = strchr(++text, ']');

		if (!close || (close[1] && close[1] != ':'))
			return false;
		len = close - text;
		if (close[1])
			colon = close + 1;
	} else {
		colon = strchr(text, ':');
		if (colon && strchr(colon + 1, ':'))
			colon = NULL;
		len = colon ? (size_t)(colon - text) : strlen(text);
	}
	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = 0;
	if (!addr_parse(host, &e->addr))
		return false;
	if (!colon)
		return true;
	if (!strcmp(colon + 1, "*")) {
		*port = -2;
		return true;
	}
	if (!number_parse(colon + 1, 65535, &n))
		return false;
	e->port = n;
	*port = n;
	return true;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && addr_equal(&a->addr, &b->addr);
}

const char *endpoint_text(const struct endpoint *e, char buf[ADDR_TEXT])
{
	char host[ADDR_TEXT];

	addr_text(&e->addr, host);
	snprintf(buf, ADDR_TEXT, e->addr.len == 16 ? "[%.45s]:%u" : "%.45s:%u", host, e->port);
	return buf;
}
