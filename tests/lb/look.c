// SPDX-License-Identifier: GPL-2.0
/*
 * look.c - how the segments of a run looked, as the sniffers saw them: options, sizes, IP headers.
 *
 * Nothing here is shared with the balancer, so that a mistake of one is not repeated by the other.
 */
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>

#include "bed.h"

static uint32_t get(const uint8_t *p, unsigned int n)
{
	uint32_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

bool view(const struct capture *c, struct view *v)
{
	const uint8_t *b = c->bytes;

	v->ip = b[0] >> 4 == 4 ? 20 : 40;
	if (c->len < v->ip + 20 || b[v->ip == 20 ? 9 : 6] != IPPROTO_TCP)
		return false;
	v->tcp = b + v->ip;
	v->opt = v->tcp + 20;
	v->optlen = (v->tcp[12] >> 4) * 4 - 20;
	v->datalen = c->len - v->ip - 20 - v->optlen;
	v->seq = get(v->tcp + 4, 4);
	v->ack = get(v->tcp + 8, 4);
	v->flags = v->tcp[13];
	return true;
}

const uint8_t *find_option(const struct view *v, uint8_t kind)
{
	unsigned int i = 0;

	while (i < v->optlen && v->opt[i]) {
		if (v->opt[i] == 1) {
			i++;
			continue;
		}
		if (i + 1 >= v->optlen || v->opt[i + 1] < 2)
			break;
		if (v->opt[i] == kind)
			return v->opt + i;
		i += v->opt[i + 1];
	}
	return NULL;
}

static unsigned int expected(const char *text, const struct link *l, uint8_t out[40])
{
	const struct sockaddr_in *a = (const void *)&l->real;
	const struct sockaddr_in6 *a6 = (const void *)&l->real;
	unsigned int n = 0;
	char two[3] = "";

	while (text && *text) {
		if (*text == 'P') {
			memcpy(out + n, &a->sin_port, 2);
			n += 2;
			text++;
		} else if (*text == 'A') {
			memcpy(out + n, &a->sin_addr, 4);
			n += 4;
			text++;
		} else if (*text == 'B') {
			memcpy(out + n, &a6->sin6_addr, 16);
			n += 16;
			text++;
		} else {
			memcpy(two, text, 2);
			out[n++] = strtoul(two, NULL, 16);
			text += 2;
		}
	}
	return n;
}

static struct link *by_seen[POOL_ADDRS][65536];

bool index_seen(const struct run *r)
{
	unsigned int i;

	memset(by_seen, 0, sizeof(by_seen));
	for (i = 0; i < r->links; i++) {
		const struct sockaddr_in *a = (const void *)&links[i].seen;
		const struct sockaddr_in6 *a6 = (const void *)&links[i].seen;
		unsigned int last = r->mode == V6 ? a6->sin6_addr.s6_addr[15] :
						    ntohl(a->sin_addr.s_addr) & 0xff;

		if (last < 1 || last > POOL_ADDRS)
			return fail("connection %u came from no pool address", i);
		if (by_seen[last - 1][ntohs(a->sin_port)])
			return fail("connections %u and another came from one port", i);
		by_seen[last - 1][ntohs(a->sin_port)] = &links[i];
	}
	return true;
}

static struct link *link_of(const struct view *v, const struct capture *c)
{
	const uint8_t *addr = v->ip == 20 ? c->bytes + (c->to_host ? 12 : 16) :
					    c->bytes + (c->to_host ? 8 : 24);
	unsigned int last = addr[v->ip == 20 ? 3 : 15];

	if (last < 1 || last > POOL_ADDRS)
		return NULL;
	return by_seen[last - 1][get(v->tcp + (c->to_host ? 0 : 2), 2)];
}

static bool look_option(const struct look *k, struct link *l, const struct view *v, int seg,
			bool may)
{
	static const uint8_t ours[] = { 200, 253, 28, 254 };
	static const char * const name[] = { "SYN", "ACK", "data", "other" };
	uint8_t want[40];
	unsigned int i, n = seg < CARRIERS ? expected(k->bytes[seg], l, want) : 0;
	const uint8_t *p;

	if (n && v->optlen >= n) {
		p = k->at_end ? v->opt + v->optlen - n : v->opt;
		if (!memcmp(p, want, n)) {
			l->carried[seg]++;
			return true;
		}
	}
	if (n && !may)
		return fail("connection %u: no option, or a wrong one, in %s (%u option bytes)",
			    l->id, name[seg], v->optlen);
	for (i = 0; i < sizeof(ours); i++) {
		p = find_option(v, ours[i]);
		/* 254 also is the old form of Fast Open. */
		if (p && !(p[0] == 254 && p[2] == 0xf9))
			return fail("connection %u: option %u in %s", l->id, ours[i], name[seg]);
	}
	return true;
}

static bool look_syn(const struct look *k, const struct run *r, struct link *l,
		     const struct view *v)
{
	unsigned int iph[SIDES] = { r->mode == SNAT ? 20 : 40, r->mode == V6 ? 40 : 20 };
	unsigned int m0 = k->mtu[0] ? k->mtu[0] : 1500, m1 = k->mtu[1] ? k->mtu[1] : 1500, mss;
	const uint8_t *p = find_option(v, 2);

	mss = m0 - iph[0] < m1 - iph[1] ? m0 - iph[0] - 20 : m1 - iph[1] - 20;
	if (!find_option(v, 3) || !p)
		return fail("connection %u: no MSS or window scale in SYN", l->id);
	if (!k->any_size && get(p + 2, 2) != mss)
		return fail("connection %u: MSS %u in SYN, not %u", l->id, get(p + 2, 2), mss);
	if (!find_option(v, 8) != k->no_ts || !find_option(v, 4) != k->no_sackok)
		return fail("connection %u: SYN has %s timestamps, %s SACK-permitted", l->id,
			    find_option(v, 8) ? "" : "no", find_option(v, 4) ? "" : "no");
	if (k->mptcp && !find_option(v, 30))
		return fail("connection %u: no MPTCP in SYN", l->id);
	return true;
}

/* A segment on its way from the balancer to the backend. */
static bool look_up(const struct look *k, const struct run *r, struct link *l, const struct view *v)
{
	int seg = CARRIERS;
	bool may = false;

	if (v->flags & 4)
		return look_option(k, l, v, CARRIERS, false);
	if (v->flags & 2) {
		if (l->have_syn && l->isn != v->seq)
			return fail("connection %u: two different SYNs", l->id);
		l->have_syn = true;
		l->isn = v->seq;
		return look_syn(k, r, l, v) && look_option(k, l, v, SYN, false);
	}
	if (v->seq == l->first && l->have_synack) {
		if (v->datalen) {
			seg = DATA;
			l->have_data = true;
		} else if (v->flags == 16 && v->ack == l->server_isn + 1) {
			seg = l->have_data && !k->faults ? CARRIERS : ACK;
			may = k->faults;
		}
	}
	return look_option(k, l, v, seg, may);
}

static bool look_synack(const struct look *k, const struct run *r, const struct view *v)
{
	unsigned int iph[SIDES] = { r->mode == SNAT ? 20 : 40, r->mode == V6 ? 40 : 20 };
	unsigned int m0 = k->mtu[0] ? k->mtu[0] : 1500, m1 = k->mtu[1] ? k->mtu[1] : 1500, mss;
	unsigned int server = m1 - iph[1] - 20;
	const uint8_t *p = find_option(v, 2);
	uint8_t out[40];

	server -= (expected(k->bytes[DATA], &links[0], out) + 3) & ~3u;
	mss = m0 - iph[0] - 20 < server ? m0 - iph[0] - 20 : server;
	if (!k->any_size && (!p || get(p + 2, 2) != mss))
		return fail("MSS %u in SYN-ACK, not %u", p ? get(p + 2, 2) : 0, mss);
	return true;
}

static bool look_ip(const struct look *k, const struct capture *c, const struct view *v)
{
	unsigned int mtu = k->mtu[c->where] ? k->mtu[c->where] : 1500;

	if (c->len > mtu)
		return fail("a packet of %u bytes for an MTU of %u", c->len, mtu);
	if (!c->to_host)
		return true;
	if (c->bytes[v->ip == 20 ? 8 : 7] != 63)
		return fail("TTL %u", c->bytes[v->ip == 20 ? 8 : 7]);
	if (v->ip == 20 && c->bytes[6] != 0x40)
		return fail("fragment bits %#x", c->bytes[6]);
	return true;
}

/* Everything that passed either device. */
bool look_all(const struct look *k, const struct run *r)
{
	struct view v;
	struct link *l;
	unsigned int i, j;
	size_t n;

	if (!index_seen(r))
		return false;
	for (n = 0; n < capture_count; n++) {
		const struct capture *c = &captures[n];

		if (!view(c, &v))
			continue;
		if (!look_ip(k, c, &v))
			return false;
		if (c->to_host && ((k->no_ts && find_option(&v, 8)) ||
				   (k->no_sackok && (find_option(&v, 5) || find_option(&v, 4)))))
			return fail("timestamps or SACK towards the %s",
				    c->where == SERVER_SIDE ? "backend" : "client");
		if (c->where == CLIENT_SIDE && c->to_host && (v.flags & 18) == 18 &&
		    !look_synack(k, r, &v))
			return false;
		if (c->where == CLIENT_SIDE)
			continue;
		l = link_of(&v, c);
		/* Sockets of an earlier run may still be sending, but that must go nowhere. */
		if (!l && !c->to_host)
			continue;
		if (!l)
			return fail("a segment of no connection");
		if (c->to_host && !look_up(k, r, l, &v))
			return false;
		if (!c->to_host && (v.flags & 18) == 18) {
			l->have_synack = true;
			l->server_isn = v.seq;
			l->first = v.ack;
		}
	}
	for (i = 0; i < r->links; i++)
		for (j = 0; j < CARRIERS; j++)
			if (k->bytes[j] && !links[i].carried[j] && !k->may_lack[j] &&
			    !(k->faults && j == ACK))
				return fail("connection %u: segment %u never had the option", i, j);
	return true;
}
