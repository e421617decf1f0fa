// SPDX-License-Identifier: GPL-2.0
/*
 * conn.c - connection tracking and local ports of the test balancer.
 *
 * All entries are allocated at the start. An entry is in two hash tables, by (client, virtual
 * address) and by (local, backend), and in one list of its state, ordered by its last packet, from
 * whose head it expires. States: SYN until the SYN-ACK was seen, OPEN, CLOSED after both FINs were
 * acknowledged or a RST was seen. A closed entry is kept for the linger time, so that a repeated
 * FIN still reaches its peer; it is the first to go when entries or ports run out, then the
 * unanswered SYNs, oldest first. Open ones go only by idle time.
 *
 * Local (address, port) pairs are handed out in turn, all addresses of the pool first, then the
 * next port: a pair rests as long as possible before it is used again.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lb.h"

enum { BY_CLIENT, BY_LOCAL, POOLS_MAX = 16, PORT_TRIES = 16384, STEAL_TRIES = 256 };

struct pool {
	struct addr first;
	unsigned int count;
};

static struct conn_limits limits;
static struct conn *entries, *free_list;
static struct conn **table[2];
static struct conn *oldest[STATES], *newest[STATES];
static struct pool pools[POOLS_MAX];
static unsigned int pool_count, active;
static uint64_t cursor[FAMILIES];
static uint32_t hash_mask;
static uint64_t hash_key;

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0xff51afd7ed558ccdull;
	return h ^ h >> 32;
}

static uint64_t mix_endpoint(uint64_t h, const struct endpoint *e)
{
	uint64_t v[2];

	memcpy(v, e->addr.b, sizeof(v));
	return mix(mix(mix(h, v[0]), v[1]), e->port);
}

static struct conn **bucket(int which, const struct endpoint *a, const struct endpoint *b)
{
	return &table[which][mix_endpoint(mix_endpoint(hash_key, a), b) & hash_mask];
}

/**
 * conn_init() - allocate everything there will ever be
 * @l: limits; max entries of about 300 bytes each
 */
bool conn_init(const struct conn_limits *l)
{
	uint32_t size = 1;
	unsigned int i;

	limits = *l;
	while (size < limits.max)
		size *= 2;
	hash_mask = size - 1;
	if (getrandom(&hash_key, sizeof(hash_key), GRND_NONBLOCK) != sizeof(hash_key))
		hash_key = 0x9e3779b97f4a7c15ull;
	entries = calloc(limits.max, sizeof(*entries));
	table[0] = calloc(size, sizeof(*table[0]));
	table[1] = calloc(size, sizeof(*table[1]));
	if (!entries || !table[0] || !table[1])
		return false;
	for (i = limits.max; i--;) {
		entries[i].next[0] = free_list;
		free_list = &entries[i];
	}
	return true;
}

bool pool_add(const struct addr *first, unsigned int count)
{
	if (pool_count == POOLS_MAX)
		return false;
	pools[pool_count].first = *first;
	pools[pool_count++].count = count;
	return true;
}

static unsigned int pool_size(uint8_t len)
{
	unsigned int i, n = 0;

	for (i = 0; i < pool_count; i++)
		if (pools[i].first.len == len)
			n += pools[i].count;
	return n;
}

static void pool_nth(uint8_t len, unsigned int n, struct addr *a)
{
	unsigned int i;

	for (i = 0; i < pool_count; i++) {
		if (pools[i].first.len != len)
			continue;
		if (n < pools[i].count) {
			*a = pools[i].first;
			addr_add(a, n);
			return;
		}
		n -= pools[i].count;
	}
}

bool pool_contains(const struct addr *a)
{
	unsigned int i;

	for (i = 0; i < pool_count; i++)
		if (range_contains(&pools[i].first, pools[i].count, a))
			return true;
	return false;
}

struct conn *conn_by_client(const struct endpoint *client, const struct endpoint *vip)
{
	struct conn *c;

	for (c = *bucket(BY_CLIENT, client, vip); c; c = c->next[BY_CLIENT])
		if (endpoint_equal(&c->client, client) && endpoint_equal(&c->vip, vip))
			return c;
	return NULL;
}

struct conn *conn_by_local(const struct endpoint *local, const struct endpoint *backend)
{
	struct conn *c;

	for (c = *bucket(BY_LOCAL, local, backend); c; c = c->next[BY_LOCAL])
		if (endpoint_equal(&c->local, local) && endpoint_equal(&c->backend, backend))
			return c;
	return NULL;
}

static void list_remove(struct conn *c)
{
	*(c->older ? &c->older->newer : &oldest[c->state]) = c->newer;
	*(c->newer ? &c->newer->older : &newest[c->state]) = c->older;
}

static void list_append(struct conn *c)
{
	c->newer = NULL;
	c->older = newest[c->state];
	*(c->older ? &c->older->newer : &oldest[c->state]) = c;
	newest[c->state] = c;
}

static void touch(struct conn *c, enum state state, uint64_t now)
{
	list_remove(c);
	c->state = state;
	c->last = now;
	list_append(c);
}

static void unhash(struct conn *c, int which, struct conn **p)
{
	while (*p != c)
		p = &(*p)->next[which];
	*p = c->next[which];
}

static void conn_free(struct conn *c)
{
	unhash(c, BY_CLIENT, bucket(BY_CLIENT, &c->client, &c->vip));
	unhash(c, BY_LOCAL, bucket(BY_LOCAL, &c->local, &c->backend));
	list_remove(c);
	c->next[0] = free_list;
	free_list = c;
	active--;
}

/* A local address and port nobody uses towards @backend; at need one of a closed connection. */
static bool local_alloc(struct endpoint *local, const struct endpoint *backend)
{
	unsigned int addrs = pool_size(backend->addr.len);
	uint64_t space = (uint64_t)addrs * (limits.port_high - limits.port_low + 1);
	uint64_t *next = &cursor[backend->addr.len == 4 ? FAMILY4 : FAMILY6];
	struct conn *c;
	uint64_t i;

	memset(local, 0, sizeof(*local));
	for (i = 0; i < space && i < PORT_TRIES; i++) {
		uint64_t n = (*next)++ % space;

		pool_nth(backend->addr.len, n % addrs, &local->addr);
		local->port = limits.port_low + n / addrs;
		if (!conn_by_local(local, backend))
			return true;
	}
	for (c = oldest[STATE_CLOSED], i = 0; c && i < STEAL_TRIES; c = c->newer, i++) {
		if (!endpoint_equal(&c->backend, backend))
			continue;
		*local = c->local;
		conn_free(c);
		counters.evicted++;
		return true;
	}
	return false;
}

/* What has to go from a SYN of this service for the whole connection. */
static uint8_t strip_for(const struct service *s, const struct segment *syn)
{
	uint8_t out[OPTIONS_MAX], strip = 0;
	bool ts = options_have(syn->opt, syn->optlen, OPT_TS);
	bool mptcp = options_have(syn->opt, syn->optlen, OPT_MPTCP);
	enum { TS_ROOM = 12, MPTCP_ACK_ROOM = 24, MPTCP_DATA_ROOM = 28 };
	unsigned int seg;

	if (!s->fit && service_option(s, SEG_SYN, &syn->src, out))
		strip |= STRIP_TS | STRIP_SACK;
	for (seg = SEG_ACK; seg <= SEG_DATA; seg++) {
		unsigned int need = service_option(s, seg, &syn->src, out);
		unsigned int more = seg == SEG_ACK ? MPTCP_ACK_ROOM : MPTCP_DATA_ROOM;

		if (!need)
			continue;
		need = (need + 3) & ~3u;
		if (mptcp && need + more > OPTIONS_MAX)
			strip |= STRIP_MPTCP;
		if (mptcp && !(strip & STRIP_MPTCP))
			need += more;
		if (ts && need + TS_ROOM > OPTIONS_MAX)
			strip |= STRIP_TS;
	}
	return strip;
}

/**
 * conn_restart() - a SYN opens this connection, perhaps anew on the same addresses
 * @c: a fresh entry, or one whose client begins again (then the local port stays the same, so that
 *     the backend sees what it would see without a balancer)
 * @syn: the SYN
 */
void conn_restart(struct conn *c, const struct segment *syn)
{
	c->isn = syn->seq;
	c->first_seq = syn->seq + 1;
	c->synack = false;
	c->data_seen = false;
	memset(c->server_isn, 0, sizeof(c->server_isn));
	memset(c->fin, 0, sizeof(c->fin));
	memset(c->fin_acked, 0, sizeof(c->fin_acked));
	memset(c->dropped, 0, sizeof(c->dropped));
	c->strip = strip_for(c->service, syn);
	touch(c, STATE_SYN, c->last);
}

/**
 * conn_new() - an entry for a SYN of an unknown client
 * @s: its service
 * @syn: the SYN
 * @now: milliseconds
 *
 * Return: NULL when entries or ports have run out.
 */
struct conn *conn_new(struct service *s, const struct segment *syn, uint64_t now)
{
	struct endpoint local, backend = s->backend;
	struct conn *c;

	if (s->same_port)
		backend.port = syn->dst.port;
	if (!local_alloc(&local, &backend)) {
		counters.no_port++;
		return NULL;
	}
	if (!free_list) {
		c = oldest[STATE_CLOSED] ? oldest[STATE_CLOSED] : oldest[STATE_SYN];
		if (!c) {
			counters.full++;
			return NULL;
		}
		conn_free(c);
		counters.evicted++;
	}
	c = free_list;
	free_list = c->next[0];
	active++;
	memset(c, 0, sizeof(*c));
	c->service = s;
	c->client = syn->src;
	c->vip = syn->dst;
	c->local = local;
	c->backend = backend;
	c->last = now;
	c->next[BY_CLIENT] = *bucket(BY_CLIENT, &c->client, &c->vip);
	*bucket(BY_CLIENT, &c->client, &c->vip) = c;
	c->next[BY_LOCAL] = *bucket(BY_LOCAL, &c->local, &c->backend);
	*bucket(BY_LOCAL, &c->local, &c->backend) = c;
	list_append(c);
	conn_restart(c, syn);
	return c;
}

/**
 * conn_seen() - follow the connection's state
 * @c: the connection
 * @s: a segment that is being forwarded
 * @direction: 0 from the client, 1 from the backend
 * @now: milliseconds
 */
void conn_seen(struct conn *c, const struct segment *s, int direction, uint64_t now)
{
	enum state state = c->state;

	if (s->flags & TCP_FIN) {
		c->fin[direction] = true;
		c->fin_end[direction] = s->seq + s->datalen + 1 + !!(s->flags & TCP_SYN);
	}
	if (s->flags & TCP_ACK && c->fin[!direction] &&
	    (int32_t)(s->ack - c->fin_end[!direction]) >= 0)
		c->fin_acked[!direction] = true;
	if (state == STATE_SYN && direction == 1 && s->flags & TCP_SYN)
		state = STATE_OPEN;
	if (s->flags & TCP_RST || (c->fin_acked[0] && c->fin_acked[1]))
		state = STATE_CLOSED;
	touch(c, state, now);
}

/* Frees what has been silent for too long. */
void conn_expire(uint64_t now)
{
	const unsigned int limit[STATES] = { limits.syn_ms, limits.idle_ms, limits.linger_ms };
	int i;

	for (i = 0; i < STATES; i++)
		while (oldest[i] && now - oldest[i]->last >= limit[i])
			conn_free(oldest[i]);
}

unsigned int conn_active(void)
{
	return active;
}
