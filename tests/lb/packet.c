// SPDX-License-Identifier: GPL-2.0
/*
 * packet.c - from bytes to a TCP segment and back, and the editing of TCP options.
 *
 * Checksums are verified on the way in and computed in full on the way out: slower than
 * adjusting them, but a mistake cannot hide.
 */
#include <string.h>

#include "lb.h"

static uint16_t get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint32_t sum(const uint8_t *p, size_t len, uint32_t acc)
{
	for (; len > 1; p += 2, len -= 2)
		acc += get16(p);
	if (len)
		acc += *p << 8;
	return acc;
}

static uint16_t fold(uint32_t acc)
{
	while (acc >> 16)
		acc = (acc & 0xffff) + (acc >> 16);
	return ~acc;
}

static uint16_t tcp_sum(const struct addr *src, const struct addr *dst, const uint8_t *tcp,
			size_t len)
{
	uint32_t acc = 6 + len;

	acc = sum(src->b, src->len, acc);
	acc = sum(dst->b, dst->len, acc);
	return fold(sum(tcp, len, acc));
}

static void put_addr(struct addr *a, const uint8_t *p, uint8_t len)
{
	memset(a, 0, sizeof(*a));
	a->len = len;
	memcpy(a->b, p, len);
}

/* Finds the TCP header; everything but whole TCP segments is none of our business. */
static enum parse parse_ip(const uint8_t *buf, size_t len, struct segment *s, const uint8_t **tcp,
			   size_t *tcp_len)
{
	size_t header, total;

	if (!len)
		return PARSE_MALFORMED;
	if (buf[0] >> 4 == 4) {
		header = (buf[0] & 15) * 4;
		if (len < 20 || header < 20)
			return PARSE_MALFORMED;
		total = get16(buf + 2);
		if (total < header || total > len)
			return PARSE_MALFORMED;
		if (fold(sum(buf, header, 0)))
			return PARSE_CHECKSUM;
		if (buf[9] != 6 || get16(buf + 6) & 0x3fff)
			return PARSE_IGNORE;
		s->tos = buf[1];
		s->ttl = buf[8];
		put_addr(&s->src.addr, buf + 12, 4);
		put_addr(&s->dst.addr, buf + 16, 4);
	} else if (buf[0] >> 4 == 6) {
		header = 40;
		if (len < header)
			return PARSE_MALFORMED;
		total = header + get16(buf + 4);
		if (total > len)
			return PARSE_MALFORMED;
		if (buf[6] != 6)
			return PARSE_IGNORE;
		s->tos = buf[0] << 4 | buf[1] >> 4;
		s->ttl = buf[7];
		put_addr(&s->src.addr, buf + 8, 16);
		put_addr(&s->dst.addr, buf + 24, 16);
	} else {
		return PARSE_MALFORMED;
	}
	*tcp = buf + header;
	*tcp_len = total - header;
	return PARSE_OK;
}

/**
 * packet_parse() - take an IP packet apart
 * @buf: the packet
 * @len: its length
 * @s: the segment; points into @buf
 *
 * PARSE_IGNORE is what the balancer has no opinion about: ICMP, UDP, fragments, IPv6 extension
 * headers.
 */
enum parse packet_parse(const uint8_t *buf, size_t len, struct segment *s)
{
	const uint8_t *tcp;
	size_t tcp_len;
	enum parse p;
	unsigned int header;

	memset(s, 0, sizeof(*s));
	p = parse_ip(buf, len, s, &tcp, &tcp_len);
	if (p != PARSE_OK)
		return p;
	if (tcp_len < TCP_HEADER)
		return PARSE_MALFORMED;
	header = (tcp[12] >> 4) * 4;
	if (header < TCP_HEADER || header > tcp_len)
		return PARSE_MALFORMED;
	if (tcp_sum(&s->src.addr, &s->dst.addr, tcp, tcp_len))
		return PARSE_CHECKSUM;
	s->src.port = get16(tcp);
	s->dst.port = get16(tcp + 2);
	s->seq = get32(tcp + 4);
	s->ack = get32(tcp + 8);
	s->reserved = tcp[12] & 15;
	s->flags = tcp[13];
	s->window = get16(tcp + 14);
	s->urgent = get16(tcp + 18);
	s->opt = tcp + TCP_HEADER;
	s->optlen = header - TCP_HEADER;
	s->data = tcp + header;
	s->datalen = tcp_len - header;
	return PARSE_OK;
}

/**
 * packet_build() - the IP packet for a segment
 * @buf: PACKET_MAX bytes
 * @s: the segment; optlen is a multiple of 4, both addresses are of one family
 *
 * IPv4 packets have DF set and an ID that counts up; the flow label of IPv6 is zero.
 * Return: the packet's length, 0 if it would be too long.
 */
size_t packet_build(uint8_t *buf, const struct segment *s)
{
	static uint16_t id;
	size_t header = ip_header(&s->src.addr);
	size_t tcp_len = TCP_HEADER + s->optlen + s->datalen;
	uint8_t *tcp = buf + header;

	if (header + tcp_len > PACKET_MAX)
		return 0;
	memset(buf, 0, header + TCP_HEADER);
	if (s->src.addr.len == 4) {
		buf[0] = 0x45;
		buf[1] = s->tos;
		put16(buf + 2, header + tcp_len);
		put16(buf + 4, ++id);
		put16(buf + 6, 0x4000);
		buf[8] = s->ttl;
		buf[9] = 6;
		memcpy(buf + 12, s->src.addr.b, 4);
		memcpy(buf + 16, s->dst.addr.b, 4);
		put16(buf + 10, fold(sum(buf, header, 0)));
	} else {
		buf[0] = 0x60 | s->tos >> 4;
		buf[1] = s->tos << 4;
		put16(buf + 4, tcp_len);
		buf[6] = 6;
		buf[7] = s->ttl;
		memcpy(buf + 8, s->src.addr.b, 16);
		memcpy(buf + 24, s->dst.addr.b, 16);
	}
	put16(tcp, s->src.port);
	put16(tcp + 2, s->dst.port);
	put32(tcp + 4, s->seq);
	put32(tcp + 8, s->ack);
	tcp[12] = (TCP_HEADER + s->optlen) / 4 << 4 | s->reserved;
	tcp[13] = s->flags;
	put16(tcp + 14, s->window);
	put16(tcp + 18, s->urgent);
	memcpy(tcp + TCP_HEADER, s->opt, s->optlen);
	memcpy(tcp + TCP_HEADER + s->optlen, s->data, s->datalen);
	put16(tcp + 16, tcp_sum(&s->src.addr, &s->dst.addr, tcp, tcp_len));
	return header + tcp_len;
}

/* ---- TCP options ---- */

struct item {
	const uint8_t *p;
	unsigned int len;
	bool opaque;		/* malformed: this and all behind it, taken along as it is */
};

static unsigned int items_parse(struct item *item, const uint8_t *in, unsigned int len)
{
	unsigned int i = 0, n = 0;

	while (i < len && in[i] != OPT_END) {
		if (in[i] == OPT_NOP) {
			i++;
			continue;
		}
		item[n].p = in + i;
		item[n].opaque = len - i < 2 || in[i + 1] < 2 || in[i + 1] > len - i;
		item[n].len = item[n].opaque ? len - i : in[i + 1];
		i += item[n].len;
		n++;
	}
	return n;
}

bool options_have(const uint8_t *in, unsigned int len, uint8_t kind)
{
	struct item item[OPTIONS_MAX];
	unsigned int i, n = items_parse(item, in, len);

	for (i = 0; i < n; i++)
		if (!item[i].opaque && item[i].p[0] == kind)
			return true;
	return false;
}

static uint8_t strip_class(const struct item *i)
{
	if (i->opaque)
		return 0;
	switch (i->p[0]) {
	case OPT_TS:
		return STRIP_TS;
	case OPT_SACKOK:
	case OPT_SACK:
		return STRIP_SACK;
	case OPT_MPTCP:
		return STRIP_MPTCP;
	}
	return 0;
}

static bool is_tfo(const struct item *i)
{
	return i->p[0] == OPT_TFO ||
	       (i->p[0] == OPT_EXP && i->len >= 4 && i->p[2] == 0xf9 && i->p[3] == 0x89);
}

/*
 * What goes first when there is no room: in a SYN timestamps, SACK-permitted, options unknown to
 * us, MPTCP, Fast Open; in other segments SACK blocks only (they are advisory, all else is state
 * the two ends agreed on). 0: never.
 */
static unsigned int drop_rank(const struct item *i, bool syn)
{
	if (i->opaque)
		return 0;
	if (!syn)
		return i->p[0] == OPT_SACK;
	if (is_tfo(i))
		return 5;
	switch (i->p[0]) {
	case OPT_MSS:
	case OPT_WSCALE:
	case OPT_MD5:
	case OPT_AO:
		return 0;
	case OPT_TS:
		return 1;
	case OPT_SACKOK:
		return 2;
	case OPT_MPTCP:
		return 4;
	}
	return 3;
}

static void item_remove(struct item *item, unsigned int *n, unsigned int i)
{
	memmove(item + i, item + i + 1, (*n - i - 1) * sizeof(*item));
	(*n)--;
}

static unsigned int items_size(const struct item *item, unsigned int n, bool aligned)
{
	unsigned int i, size = 0;

	for (i = 0; i < n; i++)
		size += aligned ? (item[i].len + 3) & ~3u : item[i].len;
	return size;
}

/* Drops from *item until @need more bytes fit. */
static bool make_room(struct item *item, unsigned int *n, unsigned int need, struct option_edit *e)
{
	while (items_size(item, *n, false) + need > OPTIONS_MAX) {
		unsigned int i, rank, best = 0, victim = 0;

		for (i = 0; i < *n; i++) {
			rank = drop_rank(&item[i], e->syn);
			if (rank && (!best || rank < best)) {
				best = rank;
				victim = i;
			}
		}
		if (!best)
			return false;
		if (e->syn)
			e->dropped |= strip_class(&item[victim]);
		if (e->syn && is_tfo(&item[victim]))
			e->tfo_dropped = true;
		item_remove(item, n, victim);
	}
	return true;
}

static void clamp_mss(uint8_t *opt, unsigned int len, uint16_t mss)
{
	struct item item[OPTIONS_MAX];
	unsigned int i, n = items_parse(item, opt, len);

	for (i = 0; mss && i < n; i++) {
		uint8_t *p = opt + (item[i].p - opt);

		if (!item[i].opaque && p[0] == OPT_MSS && p[1] == 4 && get16(p + 2) > mss)
			put16(p + 2, mss);
	}
}

/**
 * options_edit() - the option bytes of a segment as they go out
 * @out: the result
 * @in: the option bytes as they came
 * @len: their number, 40 at most
 * @e: what to strip, what to insert; and what became of it
 *
 * Nothing stripped and nothing inserted: the bytes stay as they are. Otherwise each option is put
 * behind so many NOPs that it ends on a multiple of 4; where that is too long, options follow each
 * other without NOPs. An insertion that does not fit at all is left out (@e->inserted is false)
 * and then costs no other option its place.
 *
 * Return: the number of bytes in @out, a multiple of 4.
 */
unsigned int options_edit(uint8_t out[OPTIONS_MAX], const uint8_t *in, unsigned int len,
			  struct option_edit *e)
{
	struct item item[OPTIONS_MAX + 1], keep[OPTIONS_MAX];
	unsigned int i, n, before, kept, size = 0;
	bool aligned;

	n = items_parse(item, in, len);
	before = n;
	for (i = 0; i < n;)
		if (strip_class(&item[i]) & e->strip)
			item_remove(item, &n, i);
		else
			i++;
	memcpy(keep, item, n * sizeof(*item));
	kept = n;
	e->dropped = 0;
	e->tfo_dropped = false;
	e->inserted = e->insert_len && make_room(item, &n, e->insert_len, e);
	if (e->insert_len && !e->inserted) {
		memcpy(item, keep, kept * sizeof(*item));
		n = kept;
		e->dropped = 0;
		e->tfo_dropped = false;
	}
	if (n == before && !e->inserted) {
		memcpy(out, in, len);
		clamp_mss(out, len, e->mss);
		return len;
	}
	aligned = items_size(item, n, true) + (e->inserted ? (e->insert_len + 3) & ~3u : 0) <=
		  OPTIONS_MAX;
	if (e->inserted && !e->last) {
		memcpy(out, e->insert, e->insert_len);
		size = e->insert_len;
		while (aligned && size % 4)
			out[size++] = OPT_NOP;
	}
	for (i = 0; i < n; i++) {
		while (aligned && (size + item[i].len) % 4 && !item[i].opaque)
			out[size++] = OPT_NOP;
		memcpy(out + size, item[i].p, item[i].len);
		size += item[i].len;
	}
	/* Before ours is appended: what it claims to be is not ours to touch. */
	clamp_mss(out + (e->inserted && !e->last ? e->insert_len : 0),
		  size - (e->inserted && !e->last ? e->insert_len : 0), e->mss);
	if (e->inserted && e->last) {
		memcpy(out + size, e->insert, e->insert_len);
		size += e->insert_len;
	}
	while (size % 4)
		out[size++] = OPT_NOP;
	return size;
}
