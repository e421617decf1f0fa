// SPDX-License-Identifier: GPL-2.0
/*
 * Whose word counts: what a client writes behind, before or instead of its balancer's option, in
 * every way that a handshake can go; and what comes behind the handshake (late=).
 */
#include "mod.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PARAMETERS "/sys/module/toa/parameters/"
#define SYSCTL "/proc/sys/net/ipv4/"

/* The balancer's client, 198.51.100.23:50182 and [2001:db8::23]:50182. */
#define CLIENT4 0xc4, 0x06, 0xc6, 0x33, 0x64, 0x17
#define CLIENT6 0xc4, 0x06, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x23
#define CLIENT4_ADDR "198.51.100.23"
#define CLIENT6_ADDR "2001:db8::23"
#define CLIENT_PORT 50182
/* Whom that client would like to be: 203.0.113.9:2989 and [2001:db8:bad::1]:1. */
#define FORGED4 0x0b, 0xad, 203, 0, 113, 9
#define FORGED6 0x00, 0x01, 0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
#define FORGED4_ADDR "203.0.113.9"
#define FORGED6_ADDR "2001:db8:bad::1"
#define LOOPBACK4 0, 80, 127, 0, 0, 1
#define LOOPBACK6 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
#define FULL 77, 40, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, \
	     1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1

enum { BALANCERS_PORT = -1 };

struct bytes {
	uint8_t len;
	uint8_t byte[40];
};

#define BYTES(...) { sizeof((uint8_t[]){ __VA_ARGS__ }), { __VA_ARGS__ } }

/*
 * @params:   set before, all others have their defaults
 * @syn:      options of the SYN
 * @end:      options of the segment behind it: ACK, FIN, data
 * @v4, @v6:  who is shown; NULL: nobody of that family
 * @port:     with which port; 0 is CLIENT_PORT
 * @disagree, @segment, @invalid: how far these counters move
 */
struct rule {
	const char *name;
	const char *params;
	struct bytes syn, end;
	const char *v4, *v6;
	int port;
	int disagree, segment, invalid;
};

static const struct rule rules[] = {
	{ "forged 253 in the SYN, 200 behind it", "", BYTES(253, 20, FORGED6),
	  BYTES(200, 8, CLIENT4), .v4 = CLIENT4_ADDR, .disagree = 1 },
	{ "forged 200 in the SYN, 253 behind it", "", BYTES(200, 8, FORGED4),
	  BYTES(253, 20, CLIENT6), .v6 = CLIENT6_ADDR, .disagree = 1 },
	{ "forged 200 in the SYN, 200 behind it", "", BYTES(200, 8, FORGED4),
	  BYTES(200, 8, CLIENT4), .v4 = CLIENT4_ADDR, .disagree = 1 },
	{ "the same 200 in both", "", BYTES(200, 8, CLIENT4), BYTES(200, 8, CLIENT4),
	  .v4 = CLIENT4_ADDR },
	{ "forged 253 behind 200", "", BYTES(), BYTES(200, 8, CLIENT4, 253, 20, FORGED6),
	  .v4 = CLIENT4_ADDR, .disagree = 1 },
	{ "forged 200 behind 253", "", BYTES(), BYTES(253, 20, CLIENT6, 200, 8, FORGED4),
	  .v6 = CLIENT6_ADDR, .disagree = 1 },
	{ "forged 254 length 20 behind 254 length 8", "opt_ipv4=254 opt_ipv6=254", BYTES(),
	  BYTES(254, 8, CLIENT4, 254, 20, FORGED6), .v4 = CLIENT4_ADDR, .disagree = 1 },
	{ "forged 254 behind 254", "opt_ipv4=254", BYTES(),
	  BYTES(254, 8, CLIENT4, 254, 8, FORGED4), .v4 = CLIENT4_ADDR, .disagree = 1 },
	{ "200 twice, the same", "", BYTES(), BYTES(200, 8, CLIENT4, 200, 8, CLIENT4),
	  .v4 = CLIENT4_ADDR },
	{ "forged 253 in the SYN, forged 253 behind 200", "", BYTES(253, 20, FORGED6),
	  BYTES(200, 8, CLIENT4, 253, 20, FORGED6), .v4 = CLIENT4_ADDR, .disagree = 2 },

	{ "segments=ack,data: forged 254 in the SYN, no room behind it",
	  "opt_ipv4=254 segments=ack,data", BYTES(254, 8, FORGED4), BYTES(FULL), .v4 = NULL,
	  .segment = 1 },
	{ "segments=ack,data: forged 200 in the SYN, none behind it", "segments=ack,data",
	  BYTES(200, 8, FORGED4), BYTES(), .v4 = NULL, .segment = 1 },
	{ "segments=ack,data: forged 253 in the SYN, 200 behind it", "segments=ack,data",
	  BYTES(253, 20, FORGED6), BYTES(200, 8, CLIENT4), .v4 = CLIENT4_ADDR, .segment = 1 },
	{ "segments=syn: forged 200 behind the SYN's 200", "segments=syn", BYTES(200, 8, CLIENT4),
	  BYTES(200, 8, FORGED4), .v4 = CLIENT4_ADDR, .segment = 1 },
	{ "segments=syn: forged 253 behind the SYN's 200", "segments=syn", BYTES(200, 8, CLIENT4),
	  BYTES(253, 20, FORGED6), .v4 = CLIENT4_ADDR, .segment = 1 },
	{ "segments=syn: forged 200 behind a bare SYN", "segments=syn", BYTES(),
	  BYTES(200, 8, FORGED4), .v4 = NULL, .segment = 1 },
	{ "segments=syn, both=1: two forged ones", "segments=syn both=1", BYTES(),
	  BYTES(200, 8, FORGED4, 253, 20, FORGED6), .v4 = NULL, .segment = 2 },

	{ "254 with port 63881 behind the SYN", "opt_ipv4=254", BYTES(),
	  BYTES(254, 8, 0xf9, 0x89, 0xc6, 0x33, 0x64, 0x17), .v4 = CLIENT4_ADDR, .port = 63881 },
	{ "254 length 20 with port 63881 behind the SYN", "opt_ipv6=254", BYTES(),
	  BYTES(254, 20, 0xf9, 0x89, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x23),
	  .v6 = CLIENT6_ADDR, .port = 63881 },
	{ "254 with Fast Open's mark in the SYN", "opt_ipv4=254",
	  BYTES(254, 8, 0xf9, 0x89, 0xc6, 0x33, 0x64, 0x17), BYTES(), .v4 = NULL },

	{ "opt_bare: 28 length 6 behind the SYN", "opt_bare=28", BYTES(),
	  BYTES(28, 6, 0xc6, 0x33, 0x64, 0x17), .v4 = CLIENT4_ADDR, .port = BALANCERS_PORT },
	{ "opt_bare: 28 length 18 behind the SYN", "opt_bare=28", BYTES(),
	  BYTES(28, 18, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x23),
	  .v6 = CLIENT6_ADDR, .port = BALANCERS_PORT },
	{ "opt_bare: 28 length 6 in the SYN", "opt_bare=28", BYTES(28, 6, 0xc6, 0x33, 0x64, 0x17),
	  BYTES(), .v4 = CLIENT4_ADDR, .port = BALANCERS_PORT },
	{ "28 length 6 without opt_bare", "opt_hostid=28 opt_ipv4=28", BYTES(),
	  BYTES(28, 6, 0xc6, 0x33, 0x64, 0x17), .v4 = NULL },

	{ "pick=last: the client's behind the second balancer's", "pick=last opt_ipv4=254",
	  BYTES(), BYTES(254, 8, FORGED4, 254, 8, CLIENT4), .v4 = CLIENT4_ADDR, .disagree = 1 },
	{ "pick=last: 253 behind 200", "pick=last", BYTES(),
	  BYTES(200, 8, FORGED4, 253, 20, CLIENT6), .v6 = CLIENT6_ADDR, .disagree = 1 },
	{ "pick=last: 200 behind 253", "pick=last", BYTES(),
	  BYTES(253, 20, FORGED6, 200, 8, CLIENT4), .v4 = CLIENT4_ADDR, .disagree = 1 },
	{ "pick=last: 200 in the SYN, 253 behind it", "pick=last", BYTES(200, 8, FORGED4),
	  BYTES(253, 20, CLIENT6), .v6 = CLIENT6_ADDR, .disagree = 1 },

	{ "a refused 200 decides, not the 253 behind it", "", BYTES(),
	  BYTES(200, 8, LOOPBACK4, 253, 20, FORGED6), .v4 = NULL, .disagree = 1, .invalid = 1 },
	{ "a refused 253 decides, not the 200 behind it", "", BYTES(),
	  BYTES(253, 20, LOOPBACK6, 200, 8, FORGED4), .v4 = NULL, .disagree = 1, .invalid = 1 },
	{ "forged 200 in the SYN, a refused one behind it", "", BYTES(200, 8, FORGED4),
	  BYTES(200, 8, LOOPBACK4), .v4 = NULL, .disagree = 1, .invalid = 1 },
	{ "forged 253 in the SYN, a refused 200 behind it", "", BYTES(253, 20, FORGED6),
	  BYTES(200, 8, LOOPBACK4), .v4 = NULL, .disagree = 1, .invalid = 1 },
	{ "a refused 200 in the SYN, a good one behind it", "", BYTES(200, 8, LOOPBACK4),
	  BYTES(200, 8, CLIENT4), .v4 = CLIENT4_ADDR, .invalid = 1 },

	{ "both=1: 200 and 253", "both=1", BYTES(), BYTES(200, 8, CLIENT4, 253, 20, CLIENT6),
	  .v4 = CLIENT4_ADDR, .v6 = CLIENT6_ADDR },
	{ "both=1: 253 and 200 in the SYN", "both=1", BYTES(253, 20, CLIENT6, 200, 8, CLIENT4),
	  BYTES(), .v4 = CLIENT4_ADDR, .v6 = CLIENT6_ADDR },
	{ "both=1: 200, 253 and a forged 200", "both=1", BYTES(),
	  BYTES(200, 8, CLIENT4, 253, 20, CLIENT6, 200, 8, FORGED4), .v4 = CLIENT4_ADDR,
	  .v6 = CLIENT6_ADDR, .disagree = 1 },
	{ "both=1: forged 253 in the SYN, 200 behind it", "both=1", BYTES(253, 20, FORGED6),
	  BYTES(200, 8, CLIENT4), .v4 = CLIENT4_ADDR, .disagree = 1 },
	{ "both=1: two in the SYN, another 253 behind it", "both=1",
	  BYTES(200, 8, FORGED4, 253, 20, FORGED6), BYTES(253, 20, CLIENT6), .v6 = CLIENT6_ADDR,
	  .disagree = 2 },
	{ "both=1: a refused 200 leaves 253 alone", "both=1", BYTES(),
	  BYTES(200, 8, LOOPBACK4, 253, 20, CLIENT6), .v6 = CLIENT6_ADDR, .invalid = 1 },
};

enum { RULES = sizeof(rules) / sizeof(rules[0]) };

static void set(const char *name, const char *value)
{
	char path[128], text[128];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	snprintf(text, sizeof(text), "%s\n", value);
	write_file(path, text);
}

/* "name=value name=value": these, and the default of all others. */
static void configure(const char *params)
{
	static const char *const defaults[][2] = {
		{ "opt_ipv4", "200" }, { "opt_ipv6", "253" }, { "opt_hostid", "" },
		{ "opt_bare", "" }, { "pick", "first" }, { "both", "0" },
		{ "segments", "syn,ack,data" }, { "late", "0" }, { "trusted", "" },
	};
	char copy[128], *word, *rest = copy, *value;
	unsigned int i;

	for (i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		set(defaults[i][0], defaults[i][1]);
	snprintf(copy, sizeof(copy), "%s", params);
	while ((word = strtok_r(rest, " ", &rest))) {
		value = strchr(word, '=');
		*value = 0;
		set(word, value + 1);
	}
}

static const struct opts *opts_of(const struct bytes *b, struct opts *o)
{
	o->len = 0;
	return b->len ? opt_raw(o, b->byte, b->len) : NULL;
}

static void check_shows(const struct server *s, const struct conn *c, int fd,
			const struct rule *r, int line)
{
	int port = r->port == BALANCERS_PORT ? c->sport : r->port ? r->port : CLIENT_PORT;
	char v4[64], v6[64];

	snprintf(v4, sizeof(v4), "%s:%d", r->v4 ? r->v4 : "", port);
	snprintf(v6, sizeof(v6), "[%s]:%d", r->v6 ? r->v6 : "", port);
	has(__FILE__, line, s, c, fd, r->v4 ? v4 : NULL, r->v6 ? v6 : NULL);
}

#define check_rule(s, c, fd, r) check_shows(s, c, fd, r, __LINE__)

static void check_counted(const struct stats *before, const struct rule *r)
{
	static const char *const rows[] = { "toa_disagree", "toa_segment", "toa_invalid" };
	const int want[] = { r->disagree, r->segment, r->invalid };
	struct stats after;
	unsigned int i;

	require(stats_get(&after));
	for (i = 0; i < 3; i++)
		if (stats_of(&after, rows[i]) - stats_of(before, rows[i]) != want[i])
			test_fail(__FILE__, __LINE__, "%s moved by %ld instead of %d", rows[i],
				  stats_of(&after, rows[i]) - stats_of(before, rows[i]), want[i]);
}

/*
 * The ways of a handshake. Each sends the rule's two segments; @fd is accepted, and what was sent
 * is read.
 */

static void way_ack(const struct server *s, struct conn *c, const struct opts *end)
{
	(void)s;
	conn_ack(c, end);
}

static void way_lost_ack(const struct server *s, struct conn *c, const struct opts *end)
{
	(void)s;
	conn_data(c, end, "first");
}

static void way_fin(const struct server *s, struct conn *c, const struct opts *end)
{
	(void)s;
	conn_send(c, F_FIN | F_ACK, c->snd_nxt, c->rcv_nxt, end, NULL, 0);
	c->snd_nxt++;
}

/* The queue has room for one; what the ACK says while it is full is kept. */
static struct conn in_the_way;

static void way_full_queue(const struct server *s, struct conn *c, const struct opts *end)
{
	conn_ack(&in_the_way, NULL);
	conn_ack(c, end);
	require(server_accept(s, NULL) >= 0);
	require(poll(&(struct pollfd){ .fd = s->fd, .events = POLLIN }, 1, 0) == 0);
	conn_data(c, NULL, "first");
}

static void way_deferred(const struct server *s, struct conn *c, const struct opts *end)
{
	(void)s;
	conn_ack(c, end);
	conn_data(c, NULL, "first");
}

static const struct way {
	const char *name;
	void (*finish)(const struct server *s, struct conn *c, const struct opts *end);
	const char *cookies;
	const char *reads;	/* what the connection has to read then */
} ways[] = {
	{ "ACK", way_ack, "1", "" },
	{ "lost ACK", way_lost_ack, "1", "first" },
	{ "FIN completes", way_fin, "1", NULL },
	{ "full accept queue", way_full_queue, "1", "first" },
	{ "TCP_DEFER_ACCEPT", way_deferred, "1", "first" },
	{ "syncookies", way_ack, "2", "" },
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

struct cell {
	const struct rule *rule;
	const struct way *way;
	enum kind kind;
};

static void open_for(struct server *s, const struct cell *t)
{
	if (t->way->finish == way_deferred) {
		server_open_deferred(s, t->kind);
		return;
	}
	server_open(s, t->kind, t->way->finish == way_full_queue ? 0 : 5);
	if (t->way->finish != way_full_queue)
		return;
	server_syn(s, &in_the_way, NULL);
}

static void cell(const void *arg)
{
	const struct cell *t = arg;
	struct opts syn, end;
	struct stats before;
	struct server s;
	struct conn c;
	bool synack;
	int fd;

	if (t->way->finish == way_deferred) {
		configure("");
		deferred_ready(NULL);
	}
	configure(t->rule->params);
	open_for(&s, t);
	server_conn(&s, &c);
	require(stats_get(&before));
	write_file(SYSCTL "tcp_syncookies", t->way->cookies);
	conn_syn(&c, opts_of(&t->rule->syn, &syn));
	synack = conn_synack(&c, NULL);
	if (synack)
		t->way->finish(&s, &c, opts_of(&t->rule->end, &end));
	fd = synack ? server_accept(&s, NULL) : -1;
	write_file(SYSCTL "tcp_syncookies", "1");
	require(fd >= 0);
	check_rule(&s, &c, fd, t->rule);
	check_counted(&before, t->rule);
	if (!t->way->reads)
		return;
	if (*t->way->reads)
		check(data_reads(fd, t->way->reads));
	check(data_flows(&c, fd));
	check_rule(&s, &c, fd, t->rule);
}

/*
 * Fast Open: the SYN makes the connection, so the rules for several options in one segment
 */

static bool is_for_a_syn(const struct rule *r)
{
	return !r->syn.len && r->end.len && !strstr(r->params, "segments") && r->port != 63881;
}

static void fast_open(const void *arg)
{
	const struct cell *t = arg;
	int queue = 16, fd, err;
	struct stats before;
	struct server s;
	struct conn c;
	struct opts o;

	configure(t->rule->params);
	server_open(&s, t->kind, 5);
	write_file(SYSCTL "tcp_fastopen", "0x203");
	err = setsockopt(s.fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue)) ? errno : 0;
	server_conn(&s, &c);
	require(stats_get(&before));
	conn_send(&c, F_SYN, c.isn, 0, opts_of(&t->rule->end, &o), "first", 5);
	c.snd_nxt = c.isn + 6;
	fd = err ? -1 : server_accept(&s, NULL);
	write_file(SYSCTL "tcp_fastopen", "1");
	if (err)
		test_skip("this kernel has no Fast Open (%s)", error_name(err));
	require(fd >= 0);
	check_rule(&s, &c, fd, t->rule);
	check_counted(&before, t->rule);
	check(data_reads(fd, "first"));
	require(conn_synack(&c, NULL));
	conn_ack(&c, NULL);
	check(data_flows(&c, fd));
}

/*
 * Handshakes that are forgotten
 */

/* Waits until a repeated SYN is looked at: soon after the first handshake was forgotten. */
static void forgotten_ready(void)
{
	struct server s;
	struct conn c, d;
	struct opts o = { .len = 0 };
	int i, fd;

	opt_v4(&o, CLIENT4_ADDR, CLIENT_PORT);
	server_open(&s, INET, 128);
	for (i = 0; i < 500; i++) {
		const char *addr;

		server_syn(&s, &c, &o);
		server_syn(&s, &d, &o);
		conn_syn(&c, &o);
		require(conn_synack(&c, NULL));
		conn_ack(&c, NULL);
		fd = server_accept(&s, &addr);
		require(fd >= 0);
		conn_rst(&c);
		conn_rst(&d);
		reset(fd);
		if (strncmp(addr, CLIENT4_ADDR, strlen(CLIENT4_ADDR)) == 0)
			return;
		usleep(10000);
	}
	test_fail(__FILE__, __LINE__, "repeated SYNs are not looked at");
	test_stop();
}

static void forgotten(const void *arg)
{
	enum kind kind = *(const enum kind *)arg;
	static const struct rule want = { .v4 = CLIENT4_ADDR };
	struct opts a = { .len = 0 }, b = { .len = 0 };
	struct stats before;
	struct server s;
	struct conn c, d;
	int fd;

	configure("");
	require(toa_unload() == 0 && toa_load("syn_slots=1") == 0);
	forgotten_ready();
	opt_v4(&a, CLIENT4_ADDR, CLIENT_PORT);
	opt_v4(&b, FORGED4_ADDR, 80);
	server_open(&s, kind, 16);
	server_syn(&s, &c, &a);
	require(stats_get(&before));
	server_syn(&s, &d, &b);
	check_moved(&before, "toa_syn_evicted", 1);
	conn_syn(&c, &a);
	require(conn_synack(&c, NULL));
	conn_ack(&c, NULL);
	fd = server_accepted(&s);
	check_rule(&s, &c, fd, &want);
	check(data_flows(&c, fd));
	/* One that is still known is not overruled by its SYN. */
	server_syn(&s, &c, &a);
	conn_syn(&c, &b);
	require(conn_synack(&c, NULL));
	conn_ack(&c, NULL);
	fd = server_accepted(&s);
	check_rule(&s, &c, fd, &want);
	require(toa_unload() == 0 && toa_load("") == 0);
}

/*
 * Behind the handshake: late=1
 */

static const struct opts *client_opt(enum kind kind)
{
	return kind_v6(kind) ? v6_opt(CLIENT6_ADDR, CLIENT_PORT) :
			       v4_opt(CLIENT4_ADDR, CLIENT_PORT);
}

static const struct rule *shown(enum kind kind)
{
	static const struct rule v4 = { .v4 = CLIENT4_ADDR }, v6 = { .v6 = CLIENT6_ADDR };

	return kind_v6(kind) ? &v6 : &v4;
}

static const struct rule nobody;

static void late_server(const void *arg, const char *params, struct server *s, struct conn *c)
{
	configure(params);
	server_open(s, *(const enum kind *)arg, 5);
	server_syn(s, c, NULL);
}

/* accept() cannot know it yet. */
static void late_data(const void *arg)
{
	struct stats before;
	const char *addr;
	struct server s;
	struct conn c;
	int fd;

	late_server(arg, "late=1", &s, &c);
	conn_ack(&c, NULL);
	fd = server_accept(&s, &addr);
	require(fd >= 0);
	check_str(addr, server_sees(&s, &c));
	check_rule(&s, &c, fd, &nobody);
	require(stats_get(&before));
	conn_data(&c, client_opt(s.kind), "first");
	check(data_reads(fd, "first"));
	if (kind_v6(s.kind))
		check_moved(&before, "toa_late", 1, "ip6_address_alloc", 1);
	else
		check_moved(&before, "toa_late", 1);
	check_rule(&s, &c, fd, shown(s.kind));
	check(data_flows(&c, fd));
	check_rule(&s, &c, fd, shown(s.kind));
	reset(fd);
	check(table_empties());
	check(stats_balanced());
}

/* 253 for a socket that speaks IPv4, as of F5's rules behind NAT64. */
static void late_bare(const void *arg)
{
	static const struct rule want = { .v6 = CLIENT6_ADDR, .port = BALANCERS_PORT };
	static const struct bytes f5 = BYTES(28, 18, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0,
					     0, 0, 0, 0x23);
	struct server s;
	struct conn c;
	struct opts o;
	int fd;

	late_server(arg, "late=1 opt_bare=28", &s, &c);
	conn_ack(&c, NULL);
	fd = server_accepted(&s);
	conn_data(&c, opts_of(&f5, &o), "first");
	check(data_reads(fd, "first"));
	check_rule(&s, &c, fd, &want);
}

/* Data without the option overtakes the ACK that has it. */
static void late_ack(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	late_server(arg, "late=1", &s, &c);
	conn_data(&c, NULL, "first");
	fd = server_accepted(&s);
	check_rule(&s, &c, fd, &nobody);
	conn_send(&c, F_ACK, c.isn + 1, c.rcv_nxt, client_opt(s.kind), NULL, 0);
	check_rule(&s, &c, fd, shown(s.kind));
	check(data_reads(fd, "first"));
	check(data_flows(&c, fd));
	check_rule(&s, &c, fd, shown(s.kind));
}

/* What the server sent does not matter before it is acknowledged. */
static void late_answered(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	late_server(arg, "late=1", &s, &c);
	conn_ack(&c, NULL);
	fd = server_accepted(&s);
	require(write(fd, "banner", 6) == 6);
	conn_data(&c, client_opt(s.kind), "first");
	check(data_reads(fd, "first"));
	check_rule(&s, &c, fd, shown(s.kind));
}

/* From then on it is the client who speaks. */
static void late_heard(const void *arg)
{
	struct stats before;
	struct server s;
	struct conn c;
	struct seg seg;
	int fd;

	late_server(arg, "late=1", &s, &c);
	conn_ack(&c, NULL);
	fd = server_accepted(&s);
	require(stats_get(&before));
	require(write(fd, "answer", 6) == 6);
	require(conn_recv(&c, F_PSH, F_PSH, &seg));
	c.rcv_nxt = seg.seq + seg.len;
	conn_ack(&c, client_opt(s.kind));
	check_rule(&s, &c, fd, &nobody);
	conn_data(&c, client_opt(s.kind), "more");
	check(data_reads(fd, "more"));
	check_rule(&s, &c, fd, &nobody);
	/* Not even by a segment that pretends not to have heard. */
	conn_send(&c, F_ACK | F_PSH, c.snd_nxt, c.rcv_nxt - 6, client_opt(s.kind), "old", 3);
	c.snd_nxt += 3;
	check(data_reads(fd, "old"));
	check_rule(&s, &c, fd, &nobody);
	check(data_flows(&c, fd));
	check_rule(&s, &c, fd, &nobody);
}

static void late_second(const void *arg)
{
	struct stats before, after;
	struct server s;
	struct conn c;
	int fd;

	late_server(arg, "late=1", &s, &c);
	conn_ack(&c, client_opt(s.kind));
	fd = server_accepted(&s);
	require(stats_get(&before));
	conn_data(&c, v4_opt(FORGED4_ADDR, 80), "first");
	check(data_reads(fd, "first"));
	conn_data(&c, v6_opt(FORGED6_ADDR, 80), "second");
	check(data_reads(fd, "second"));
	require(stats_get(&after));
	check_num(stats_of(&after, "toa_late") - stats_of(&before, "toa_late"), 0);
	check_rule(&s, &c, fd, shown(s.kind));
}

/* A segment that the kernel would not take for the connection's: another's number. */
static void late_forged(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	late_server(arg, "late=1", &s, &c);
	conn_ack(&c, NULL);
	fd = server_accepted(&s);
	conn_send(&c, F_ACK | F_PSH, c.snd_nxt, c.rcv_nxt + 1, client_opt(s.kind), "x", 1);
	conn_send(&c, F_ACK | F_PSH, c.snd_nxt, c.rcv_nxt - 1, client_opt(s.kind), "x", 1);
	conn_send(&c, F_ACK | F_PSH, c.snd_nxt + 0x10000000, c.rcv_nxt, client_opt(s.kind), "x", 1);
	conn_send(&c, F_ACK | F_PSH, c.snd_nxt - 2, c.rcv_nxt, client_opt(s.kind), "x", 1);
	conn_send(&c, F_PSH, c.snd_nxt, c.rcv_nxt, client_opt(s.kind), "x", 1);
	check_rule(&s, &c, fd, &nobody);
}

/* The parameters that speak against it: each alone. */
static void late_not(const void *arg)
{
	static const struct {
		const char *params;
		const char *row;
	} cases[] = {
		{ "late=0", NULL },
		{ "late=1 segments=syn,ack", "toa_segment" },
		{ "late=1 trusted=192.0.2.1", "toa_untrusted" },
		{ "late=1 opt_ipv4=201 opt_ipv6=201", NULL },
	};
	struct stats before;
	struct server s;
	struct conn c;
	unsigned int i;
	int fd;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		late_server(arg, cases[i].params, &s, &c);
		conn_ack(&c, NULL);
		fd = server_accepted(&s);
		require(stats_get(&before));
		conn_data(&c, client_opt(s.kind), "first");
		check(data_reads(fd, "first"));
		if (cases[i].row)
			check_moved(&before, cases[i].row, 1);
		else
			check_moved(&before);
		check_rule(&s, &c, fd, &nobody);
		check(data_flows(&c, fd));
	}
}

static void late_refused(const void *arg)
{
	struct stats before;
	struct server s;
	struct conn c;
	int fd;

	late_server(arg, "late=1", &s, &c);
	conn_ack(&c, NULL);
	fd = server_accepted(&s);
	require(stats_get(&before));
	conn_data(&c, v4_opt("127.0.0.1", 80), "first");
	check(data_reads(fd, "first"));
	check_moved(&before, "toa_invalid", 1);
	check_rule(&s, &c, fd, &nobody);
}

/* A deferred listener makes accept() right too: the data completes the handshake. */
static void late_deferred(const void *arg)
{
	const char *addr;
	struct server s;
	struct conn c;
	int fd;

	configure("late=1");
	server_open_deferred(&s, *(const enum kind *)arg);
	server_conn(&s, &c);
	require(conn_open(&c, NULL, NULL));
	conn_data(&c, client_opt(s.kind), "first");
	fd = server_accept(&s, &addr);
	require(fd >= 0);
	check_rule(&s, &c, fd, shown(s.kind));
	check_str(addr, peer_of(fd));
	check(data_reads(fd, "first"));
}

/* Behind a Fast Open handshake too; but not the ACK that ends it. */
static void late_fast_open(const void *arg)
{
	int queue = 16, fd, err;
	struct server s;
	struct conn c;

	configure("late=1");
	server_open(&s, *(const enum kind *)arg, 5);
	write_file(SYSCTL "tcp_fastopen", "0x203");
	err = setsockopt(s.fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue)) ? errno : 0;
	server_conn(&s, &c);
	conn_send(&c, F_SYN, c.isn, 0, NULL, "first", 5);
	c.snd_nxt = c.isn + 6;
	fd = err ? -1 : server_accept(&s, NULL);
	write_file(SYSCTL "tcp_fastopen", "1");
	if (err)
		test_skip("this kernel has no Fast Open (%s)", error_name(err));
	require(fd >= 0);
	check(data_reads(fd, "first"));
	require(conn_synack(&c, NULL));
	conn_ack(&c, client_opt(s.kind));
	check_rule(&s, &c, fd, &nobody);
	conn_data(&c, client_opt(s.kind), "second");
	check(data_reads(fd, "second"));
	check_rule(&s, &c, fd, shown(s.kind));
}

/* Connections that this host makes have no client: whoever answers may write what he likes. */
static void late_outgoing(const void *arg)
{
	enum kind kind = *(const enum kind *)arg;
	struct sockaddr_storage to = { .ss_family = kind_v6(kind) ? AF_INET6 : AF_INET };
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&to;
	struct sockaddr_in *sin = (struct sockaddr_in *)&to;
	struct sockaddr_storage from = to;
	socklen_t len = kind_v6(kind) ? sizeof(*sin6) : sizeof(*sin);
	struct stats before;
	struct conn c;
	struct seg seg;
	char peer[64];
	int fd;

	configure("late=1");
	if (kind_v6(kind))
		need_ipv6();
	inet_pton(AF_INET6, SERVER_V6, &((struct sockaddr_in6 *)&from)->sin6_addr);
	if (!kind_v6(kind))
		inet_pton(AF_INET, SERVER_V4, &((struct sockaddr_in *)&from)->sin_addr);
	fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	require(fd >= 0);
	require(bind(fd, (struct sockaddr *)&from, len) == 0);
	require(getsockname(fd, (struct sockaddr *)&from, &len) == 0);
	conn_init(&c, kind_v6(kind), ntohs(((struct sockaddr_in *)&from)->sin_port));
	if (kind_v6(kind))
		memcpy(&sin6->sin6_addr, c.saddr, 16);
	else
		memcpy(&sin->sin_addr, c.saddr, 4);
	sin->sin_port = htons(c.sport);
	require(connect(fd, (struct sockaddr *)&to, len) == -1 && errno == EINPROGRESS);
	require(conn_recv(&c, F_SYN | F_ACK, F_SYN, &seg));
	c.rcv_nxt = seg.seq + 1;
	c.snd_nxt = c.isn + 1;
	require(stats_get(&before));
	conn_send(&c, F_SYN | F_ACK, c.isn, c.rcv_nxt, client_opt(kind), NULL, 0);
	require(poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, WAIT_MS) == 1);
	conn_data(&c, client_opt(kind), "banner");
	require(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, WAIT_MS) == 1);
	check(data_reads(fd, "banner"));
	check_moved(&before);
	snprintf(peer, sizeof(peer), "%s", addr_text(&to));
	check_str(peer_of(fd), peer);
	reset(fd);
}

static void add_kinds(test_fn fn, const char *name)
{
	static const enum kind kinds[KINDS] = { INET, MAPPED, INET6, DUAL6 };
	int i;

	for (i = 0; i < KINDS; i++)
		test_add(fn, &kinds[i], "%s, %s", name, kind_name[i]);
}

int main(int argc, char **argv)
{
	static struct cell cells[RULES * WAYS * KINDS], opens[RULES * KINDS];
	unsigned int i;

	for (i = 0; i < RULES * WAYS * KINDS; i++) {
		cells[i].rule = &rules[i / KINDS / WAYS];
		cells[i].way = &ways[i / KINDS % WAYS];
		cells[i].kind = i % KINDS;
		test_add(cell, &cells[i], "%s, %s, %s", cells[i].rule->name, cells[i].way->name,
			 kind_name[cells[i].kind]);
	}
	for (i = 0; i < RULES * KINDS; i++) {
		opens[i].rule = &rules[i / KINDS];
		opens[i].kind = i % KINDS;
		if (is_for_a_syn(opens[i].rule))
			test_add(fast_open, &opens[i], "%s, Fast Open, %s", opens[i].rule->name,
				 kind_name[opens[i].kind]);
	}
	add_kinds(forgotten, "a SYN that comes again after its handshake was forgotten");
	add_kinds(late_data, "late: the option in data");
	add_kinds(late_bare, "late: F5's IPv6 option in data");
	add_kinds(late_ack, "late: data overtakes the ACK that has the option");
	add_kinds(late_answered, "late: the server has spoken, but was not heard yet");
	add_kinds(late_heard, "late: not once the server has been heard");
	add_kinds(late_second, "late: not for a connection that has an address");
	add_kinds(late_forged, "late: not from a segment that is not the connection's");
	add_kinds(late_not, "late: not if switched off, not from others, not elsewhere");
	add_kinds(late_refused, "late: not an address that nobody may claim");
	add_kinds(late_deferred, "late: accept of a deferred listener");
	add_kinds(late_fast_open, "late: data behind a Fast Open handshake");
	add_kinds(late_outgoing, "late: not for connections that this host makes");
	return toa_main("words", "", argc, argv);
}
