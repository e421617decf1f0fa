// SPDX-License-Identifier: GPL-2.0
/*
 * service.c - what the command line says about one virtual address, and the option bytes that
 * follow from it.
 */
#include <stdlib.h>
#include <string.h>

#include "lb.h"

struct service services[SERVICES_MAX];
unsigned int service_count;

static const char * const seg_names[SEG_DROPS] = { "syn", "ack", "data", "synack" };

/*
 * What an option of the other family claims when nothing else is said: the client as a NAT64
 * gateway would show it, and an IPv6 client's gateway.
 */
static const uint8_t nat64_prefix[12] = { 0x00, 0x64, 0xff, 0x9b };
static const uint8_t nat64_gateway[4] = { 192, 0, 2, 64 };

static bool seg_parse(const char *name, unsigned int limit, enum seg *seg)
{
	unsigned int i;

	for (i = 0; i < limit; i++) {
		if (!strcmp(name, seg_names[i])) {
			*seg = i;
			return true;
		}
	}
	return false;
}

/* in=syn+ack+data | all | none */
static bool in_parse(struct service *s, char *value)
{
	char *save, *word;
	enum seg seg;

	s->in = 0;
	for (word = strtok_r(value, "+", &save); word; word = strtok_r(NULL, "+", &save)) {
		if (!strcmp(word, "all"))
			s->in = 1 << SEG_SYN | 1 << SEG_ACK | 1 << SEG_DATA;
		else if (!strcmp(word, "none"))
			s->in = 0;
		else if (seg_parse(word, SEG_CARRIERS, &seg))
			s->in |= 1 << seg;
		else
			return false;
	}
	return true;
}

static bool option_add(struct service *s, unsigned long kind, unsigned long len)
{
	if (s->count == ARRAY_SIZE(s->option))
		return false;
	if (len != 7 && len != 8 && len != 19 && len != 20)
		return false;
	s->option[s->count].kind = kind;
	s->option[s->count].len = len;
	s->count++;
	return true;
}

/* opt=KIND[/LENGTH][+...] | both | none */
static bool opt_parse(struct service *s, char *value)
{
	char *save, *word, *slash;
	unsigned long kind, len;

	s->count = 0;
	s->options_given = true;
	for (word = strtok_r(value, "+", &save); word; word = strtok_r(NULL, "+", &save)) {
		if (!strcmp(word, "none"))
			continue;
		if (!strcmp(word, "both")) {
			if (!option_add(s, 200, 8) || !option_add(s, 253, 20))
				return false;
			continue;
		}
		slash = strchr(word, '/');
		if (slash)
			*slash++ = 0;
		if (!number_parse(word, 255, &kind) || kind < 2)
			return false;
		len = kind == 200 || (kind != 253 && s->vip.addr.len == 4) ? 8 : 20;
		if (slash && !number_parse(slash, 40, &len))
			return false;
		if (!option_add(s, kind, len))
			return false;
	}
	return true;
}

/* claim=A[:P]; in which segment, -1: in all */
static bool claim_parse(struct service *s, int seg, const char *value)
{
	struct endpoint e;
	unsigned int i;
	int port;

	if (!endpoint_parse(value, &e, &port) || port == -2)
		return false;
	for (i = 0; i < SEG_CARRIERS; i++) {
		struct claim *c = &s->claim[i][e.addr.len == 4 ? FAMILY4 : FAMILY6];

		if (seg >= 0 && (int)i != seg)
			continue;
		c->addr = e.addr;
		c->port = port;
	}
	return true;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * raw=HEX: more bytes for the header, as they are; own=HEX: what the client itself wrote, among its
 * other options, whatever the balancer does with the segment
 */
static bool raw_parse(struct service *s, bool own, int seg, const char *value)
{
	uint8_t raw[OPTIONS_MAX];
	unsigned int i, n = 0;

	for (; *value; value += 2) {
		if (hex(value[0]) < 0 || hex(value[1]) < 0 || n == OPTIONS_MAX)
			return false;
		raw[n++] = hex(value[0]) << 4 | hex(value[1]);
	}
	for (i = 0; i < SEG_CARRIERS; i++) {
		if (seg >= 0 && (int)i != seg)
			continue;
		memcpy(own ? s->own[i] : s->raw[i], raw, n);
		*(own ? &s->own_len[i] : &s->raw_len[i]) = n;
	}
	return true;
}

static bool key_parse(struct service *s, char *key, char *value)
{
	char *dot = strchr(key, '.');
	enum seg seg = SEG_OTHER;
	unsigned long n;

	if (dot) {
		*dot++ = 0;
		if (!seg_parse(dot, strcmp(key, "drop") ? SEG_CARRIERS : SEG_DROPS, &seg))
			return false;
	}
	if (!strcmp(key, "claim"))
		return claim_parse(s, dot ? (int)seg : -1, value);
	if (!strcmp(key, "raw") || !strcmp(key, "own"))
		return raw_parse(s, !strcmp(key, "own"), dot ? (int)seg : -1, value);
	if (!strcmp(key, "drop") && dot && number_parse(value, 1000, &n)) {
		s->drop[seg] = n;
		return true;
	}
	if (dot)
		return false;
	if (!strcmp(key, "in"))
		return in_parse(s, value);
	if (!strcmp(key, "opt"))
		return opt_parse(s, value);
	if (!strcmp(key, "nops") && number_parse(value, 3, &n)) {
		s->nops = n;
		return true;
	}
	if (!strcmp(key, "at")) {
		s->last = !strcmp(value, "end");
		return s->last || !strcmp(value, "start");
	}
	if (!strcmp(key, "room")) {
		s->fit = !strcmp(value, "fit");
		return s->fit || !strcmp(value, "drop");
	}
	if (!strcmp(key, "clamp")) {
		s->no_clamp = !strcmp(value, "no");
		return s->no_clamp || !strcmp(value, "yes");
	}
	return false;
}

static bool ends_parse(struct service *s, char *text)
{
	char *equal = strchr(text, '=');
	int port;

	if (!equal)
		return false;
	*equal++ = 0;
	if (!endpoint_parse(text, &s->vip, &port) || port == -1 || !port)
		return false;
	s->any_port = port == -2;
	if (!endpoint_parse(equal, &s->backend, &port) || port == -1 || !port)
		return false;
	s->same_port = port == -2;
	return s->vip.addr.len == 16 || s->backend.addr.len == 4;
}

/**
 * service_parse() - add a service from the command line
 * @text: VIP:PORT=BACKEND:PORT[,KEY=VALUE...]
 *
 * Return: NULL, or the part that is wrong.
 */
const char *service_parse(const char *text)
{
	struct service *s = &services[service_count];
	static char copy[1024];
	char *save, *word, *value;
	unsigned int i, j;
	uint8_t out[OPTIONS_MAX];

	if (service_count == SERVICES_MAX || strlen(text) >= sizeof(copy))
		return "too many or too long";
	strcpy(copy, text);
	memset(s, 0, sizeof(*s));
	for (i = 0; i < SEG_CARRIERS; i++)
		for (j = 0; j < FAMILIES; j++)
			s->claim[i][j].port = -1;
	s->in = 1 << SEG_SYN | 1 << SEG_ACK;
	word = strtok_r(copy, ",", &save);
	if (!word || !ends_parse(s, word))
		return "VIP:PORT=BACKEND:PORT expected (IPv4 to IPv6 is not possible)";
	while ((word = strtok_r(NULL, ",", &save))) {
		value = strchr(word, '=');
		if (!value)
			return word;
		*value++ = 0;
		if (!key_parse(s, word, value))
			return word;
	}
	if (!s->options_given && s->vip.addr.len == 4)
		option_add(s, 200, 8);
	else if (!s->options_given)
		option_add(s, 253, 20);
	for (i = 0; i < SEG_CARRIERS; i++)
		if (service_option(s, i, &s->vip, out) > OPTIONS_MAX)
			return "the options alone exceed 40 bytes";
	service_count++;
	return NULL;
}

/* The service for a destination: an exact port before "*". */
struct service *service_find(const struct endpoint *dst)
{
	struct service *any = NULL;
	unsigned int i;

	for (i = 0; i < service_count; i++) {
		struct service *s = &services[i];

		if (!addr_equal(&s->vip.addr, &dst->addr))
			continue;
		if (s->any_port)
			any = s;
		else if (s->vip.port == dst->port)
			return s;
	}
	return any;
}

/* The address and port an option of @len bytes shows for @client in @seg. */
static void claim_for(const struct service *s, enum seg seg, unsigned int len,
		      const struct endpoint *client, struct endpoint *e)
{
	bool v4 = len < 19;
	const struct claim *c = &s->claim[seg][v4 ? FAMILY4 : FAMILY6];

	memset(e, 0, sizeof(*e));
	e->port = c->port >= 0 ? c->port : client->port;
	if (c->addr.len) {
		e->addr = c->addr;
	} else if (client->addr.len == (v4 ? 4 : 16)) {
		e->addr = client->addr;
	} else if (v4) {
		e->addr.len = 4;
		memcpy(e->addr.b, nat64_gateway, 4);
	} else {
		e->addr.len = 16;
		memcpy(e->addr.b, nat64_prefix, 12);
		memcpy(e->addr.b + 12, client->addr.b, 4);
	}
}

/**
 * service_option() - the bytes to insert into a segment
 * @s: the service
 * @seg: which segment of the handshake it is
 * @client: the real client
 * @out: the bytes, if they are not more than 40
 *
 * Return: their number; 0 where the service wants none; above 40 only for a service that
 * service_parse() refuses.
 */
unsigned int service_option(const struct service *s, enum seg seg, const struct endpoint *client,
			    uint8_t out[OPTIONS_MAX])
{
	unsigned int i, n = 0;

	if (seg >= SEG_CARRIERS || !(s->in & 1 << seg))
		return 0;
	for (i = 0; i < s->count; i++)
		n += s->option[i].len;
	n += s->raw_len[seg];
	if (!n || n + s->nops > OPTIONS_MAX)
		return n ? n + s->nops : 0;
	for (n = 0; n < s->nops; n++)
		out[n] = OPT_NOP;
	for (i = 0; i < s->count; i++) {
		unsigned int len = s->option[i].len;
		struct endpoint e;

		claim_for(s, seg, len, client, &e);
		out[n++] = s->option[i].kind;
		out[n++] = len;
		if (len == 8 || len == 20) {
			out[n++] = e.port >> 8;
			out[n++] = e.port;
		} else {
			out[n++] = 1;		/* the form without a port: a type */
		}
		memcpy(out + n, e.addr.b, e.addr.len);
		n += e.addr.len;
	}
	memcpy(out + n, s->raw[seg], s->raw_len[seg]);
	return n + s->raw_len[seg];
}

/* The same for the log: "200/8:192.0.2.1:1234+253/20:[2001:db8::1]:1234", or "-". */
void service_claims(const struct service *s, enum seg seg, const struct endpoint *client,
		    char *text, size_t size)
{
	char buf[ADDR_TEXT];
	unsigned int i;
	size_t n = 0;

	snprintf(text, size, "-");
	if (!(s->in & 1 << seg))
		return;
	for (i = 0; i < s->count && n < size; i++) {
		struct endpoint e;

		claim_for(s, seg, s->option[i].len, client, &e);
		n += snprintf(text + n, size - n, "%s%u/%u:%s", n ? "+" : "", s->option[i].kind,
			      s->option[i].len, endpoint_text(&e, buf));
	}
}
