// SPDX-License-Identifier: GPL-2.0
/*
 * forward.c - the way of a segment through the balancer.
 *
 * Which way it goes is told by its destination alone: a pool address comes from a backend, a
 * virtual address from a client, so both sides may share one TUN device.
 */
#include <string.h>
#include <unistd.h>

#include "lb.h"

static uint8_t packet[PACKET_MAX];

static void log_conn(const struct conn *c)
{
	char vip[ADDR_TEXT], client[ADDR_TEXT], local[ADDR_TEXT], backend[ADDR_TEXT];
	char claim[SEG_CARRIERS][320], line[1400];
	unsigned int i;
	int n;

	if (log_fd < 0)
		return;
	for (i = 0; i < SEG_CARRIERS; i++)
		service_claims(c->service, i, &c->client, claim[i], sizeof(claim[i]));
	n = snprintf(line, sizeof(line),
		     "conn %lu service=%s client=%s local=%s backend=%s syn=%s ack=%s data=%s\n",
		     counters.conns, endpoint_text(&c->vip, vip), endpoint_text(&c->client, client),
		     endpoint_text(&c->local, local), endpoint_text(&c->backend, backend),
		     claim[SEG_SYN], claim[SEG_ACK], claim[SEG_DATA]);
	if (write(log_fd, line, n) != n)
		counters.write_error++;
}

/* A segment that is to be lost by the service's drop.SEGMENT. */
static bool drop(struct conn *c, enum seg seg)
{
	if (seg >= SEG_DROPS || c->dropped[seg] >= c->service->drop[seg])
		return false;
	c->dropped[seg]++;
	counters.dropped++;
	return true;
}

static unsigned int min(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/*
 * The MSS that lets a segment fit on both sides. The options of a segment count against it, so
 * what the balancer inserts into data segments has to be taken off what a client may send.
 */
static uint16_t mss_limit(const struct conn *c, bool to_backend)
{
	unsigned int client = client_device.mtu - ip_header(&c->client.addr) - TCP_HEADER;
	unsigned int server = server_device.mtu - ip_header(&c->backend.addr) - TCP_HEADER;
	uint8_t out[OPTIONS_MAX];

	if (c->service->no_clamp)
		return 0;
	if (to_backend)
		server -= (service_option(c->service, SEG_DATA, &c->client, out) + 3) & ~3u;
	return min(client, server);
}

/*
 * Sends a segment, in two pieces if it is longer than the device takes (a sender that does not
 * keep to the MSS). Only the first piece carries @s->opt; the rest has @rest. A SYN cannot be
 * followed by a piece: its data is cut, the client sends the remainder again.
 */
static void send_segment(struct device *d, struct segment *s, const uint8_t *rest,
			 unsigned int restlen, uint64_t now)
{
	unsigned int header = ip_header(&s->src.addr) + TCP_HEADER;
	unsigned int excess = 0, total = header + s->optlen + s->datalen;
	struct segment tail = *s;
	size_t len;

	if (total > d->mtu)
		excess = min(total - d->mtu, s->datalen);
	if (excess) {
		counters.split++;
		s->datalen -= excess;
		if (!(s->flags & TCP_SYN))
			s->flags &= ~(TCP_FIN | TCP_PSH);
	}
	len = packet_build(packet, s);
	if (len)
		fault_send(d, packet, len, now);
	if (!excess || s->flags & TCP_SYN)
		return;
	tail.data += s->datalen;
	tail.datalen = excess;
	tail.seq += s->datalen;
	tail.opt = rest;
	tail.optlen = restlen;
	len = packet_build(packet, &tail);
	if (len)
		fault_send(d, packet, len, now);
}

/* Which of the segments that may carry the option this one is. */
static enum seg classify(struct conn *c, const struct segment *s)
{
	/* A FIN stands for data where there never was any, in a SYN neither. */
	bool only_fin = s->flags & TCP_FIN && !c->data_seen && c->first_seq == c->isn + 1;

	if (s->flags & TCP_RST)
		return SEG_OTHER;
	if (s->flags & TCP_SYN)
		return SEG_SYN;
	if (!c->synack || s->seq != c->first_seq)
		return SEG_OTHER;
	if (s->datalen || only_fin) {
		c->data_seen = true;
		return SEG_DATA;
	}
	if (!c->data_seen && s->flags & TCP_ACK &&
	    (s->ack == c->server_isn[0] + 1 || s->ack == c->server_isn[1] + 1))
		return SEG_ACK;
	return SEG_OTHER;
}

/*
 * As if the client had written more options than its kernel did, behind those, if there is room.
 */
static void write_own(const struct service *service, enum seg seg, struct segment *s,
		      uint8_t own[OPTIONS_MAX])
{
	unsigned int len = s->optlen;

	if (seg >= SEG_CARRIERS || !service->own_len[seg] ||
	    len + service->own_len[seg] > OPTIONS_MAX)
		return;
	memcpy(own, s->opt, len);
	memcpy(own + len, service->own[seg], service->own_len[seg]);
	len += service->own_len[seg];
	while (len % 4)
		own[len++] = OPT_NOP;
	s->opt = own;
	s->optlen = len;
}

static struct conn *conn_for_client(const struct segment *s, uint64_t now)
{
	struct conn *c = conn_by_client(&s->src, &s->dst);
	struct service *service;

	if ((s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN) {
		counters.stray += !c;
		return c;
	}
	if (c && s->seq == c->isn && c->state != STATE_CLOSED)
		return c;
	if (c) {
		conn_restart(c, s);
	} else {
		service = service_find(&s->dst);
		if (!service) {
			counters.stray++;
			return NULL;
		}
		c = conn_new(service, s, now);
		if (!c)
			return NULL;
	}
	counters.conns++;
	log_conn(c);
	return c;
}

static void from_client(struct segment *s, uint64_t now)
{
	struct option_edit e = { .insert_len = 0 }, plain = { .insert_len = 0 };
	uint8_t opt[OPTIONS_MAX], rest[OPTIONS_MAX], own[OPTIONS_MAX];
	unsigned int restlen;
	struct conn *c;
	enum seg seg;

	counters.from_client++;
	c = conn_for_client(s, now);
	if (!c)
		return;
	seg = classify(c, s);
	conn_seen(c, s, 0, now);
	if (drop(c, seg))
		return;
	plain.strip = c->strip;
	restlen = options_edit(rest, s->opt, s->optlen, &plain);
	write_own(c->service, seg, s, own);
	e.strip = c->strip;
	e.syn = seg == SEG_SYN;
	e.last = c->service->last;
	e.mss = e.syn ? mss_limit(c, false) : 0;
	e.insert_len = service_option(c->service, seg, &c->client, e.insert);
	s->optlen = options_edit(opt, s->opt, s->optlen, &e);
	s->opt = opt;
	c->strip |= e.dropped;
	if (e.insert_len) {
		counters.opt[seg] += e.inserted;
		counters.noroom += !e.inserted;
	}
	s->src = c->local;
	s->dst = c->backend;
	send_segment(&server_device, s, rest, restlen, now);
}

static void from_server(struct segment *s, uint64_t now)
{
	struct option_edit e = { .insert_len = 0 };
	uint8_t opt[OPTIONS_MAX];
	struct conn *c;
	bool synack;

	counters.from_server++;
	c = conn_by_local(&s->dst, &s->src);
	if (!c) {
		counters.stray++;
		return;
	}
	synack = (s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == (TCP_SYN | TCP_ACK);
	if (synack) {
		if (s->seq != c->server_isn[0] || !c->synack) {
			c->server_isn[1] = c->synack ? c->server_isn[0] : s->seq;
			c->server_isn[0] = s->seq;
		}
		c->synack = true;
		c->first_seq = s->ack;
	}
	conn_seen(c, s, 1, now);
	if (synack && drop(c, SEG_SYNACK))
		return;
	e.strip = c->strip;
	e.syn = synack;
	e.mss = synack ? mss_limit(c, true) : 0;
	s->optlen = options_edit(opt, s->opt, s->optlen, &e);
	s->opt = opt;
	s->src = c->vip;
	s->dst = c->client;
	send_segment(&client_device, s, opt, s->optlen, now);
}

/**
 * forward() - one packet read from a TUN device
 * @buf: the packet
 * @len: its length
 * @now: milliseconds
 */
void forward(const uint8_t *buf, size_t len, uint64_t now)
{
	struct segment s;

	switch (packet_parse(buf, len, &s)) {
	case PARSE_OK:
		break;
	case PARSE_IGNORE:
		counters.ignored++;
		return;
	case PARSE_CHECKSUM:
		counters.badcsum++;
		return;
	default:
		counters.malformed++;
		return;
	}
	if (s.ttl <= 1) {
		counters.ttl++;
		return;
	}
	s.ttl--;
	if (pool_contains(&s.dst.addr))
		from_server(&s, now);
	else
		from_client(&s, now);
}
