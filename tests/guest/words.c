// SPDX-License-Identifier: GPL-2.0
/*
 * Whose word counts: what a client writes behind, before or instead of its balancer's option, in
 * every way that a handshake can go; and what comes behind the handshake (late=).
 */
#include "words.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOOPBACK4 0, 80, 127, 0, 0, 1
#define LOOPBACK6 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
#define FULL 77, 40, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, \
	     1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1

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
	  "opt_ipv4=254 segments=ack,data", BYTES(254, 8, FORGED4), BYTES(FULL), .v4 = NULL },
	{ "segments=ack,data: forged 200 in the SYN, none behind it", "segments=ack,data",
	  BYTES(200, 8, FORGED4), BYTES(), .v4 = NULL },
	{ "segments=ack,data: forged 253 in the SYN, 200 behind it", "segments=ack,data",
	  BYTES(253, 20, FORGED6), BYTES(200, 8, CLIENT4), .v4 = CLIENT4_ADDR },
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

void configure(const char *params)
{
	static const char *const defaults[][2] = {
		{ "opt_ipv4", "200" }, { "opt_ipv6", "253" }, { "opt_hostid", "" },
		{ "opt_bare", "" }, { "pick", "first" }, { "both", "0" },
		{ "segments", "syn,ack,data" }, { "late", "0" }, { "trusted", "" },
	};
	char copy[128], *word, *rest = copy, *value;
	unsigned int i;

	for (i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		param_set(defaults[i][0], defaults[i][1]);
	snprintf(copy, sizeof(copy), "%s", params);
	while ((word = strtok_r(rest, " ", &rest))) {
		value = strchr(word, '=');
		*value = 0;
		if (strcmp(word, "late") == 0)
			need_late();
		param_set(word, value + 1);
	}
}

const struct opts *opts_of(const struct bytes *b, struct opts *o)
{
	o->len = 0;
	return b->len ? opt_raw(o, b->byte, b->len) : NULL;
}

void check_shows(const char *where, int line, const struct server *s, const struct conn *c, int fd,
		 const struct rule *r)
{
	int port = r->port == BALANCERS_PORT ? c->sport : r->port ? r->port : CLIENT_PORT;
	char v4[64], v6[64];

	snprintf(v4, sizeof(v4), "%s:%d", r->v4 ? r->v4 : "", port);
	snprintf(v6, sizeof(v6), "[%s]:%d", r->v6 ? r->v6 : "", port);
	has(where, line, s, c, fd, r->v4 ? v4 : NULL, r->v6 ? v6 : NULL);
}

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

int fast_open_connect(enum kind kind, struct server *s, struct conn *c, const struct opts *o)
{
	int queue = 16, fd, err;

	server_open(s, kind, 5);
	write_file(SYSCTL "tcp_fastopen", "0x203");
	err = setsockopt(s->fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue)) ? errno : 0;
	server_conn(s, c);
	conn_send(c, F_SYN, c->isn, 0, o, "first", 5);
	c->snd_nxt = c->isn + 6;
	fd = err ? -1 : server_accept(s, NULL);
	write_file(SYSCTL "tcp_fastopen", "1");
	if (err)
		test_skip("this kernel has no Fast Open (%s)", error_name(err));
	need_fast_open(s, fd);
	return fd;
}

static void fast_open(const void *arg)
{
	const struct cell *t = arg;
	struct stats before;
	struct server s;
	struct conn c;
	struct opts o;
	int fd;

	configure(t->rule->params);
	require(stats_get(&before));
	fd = fast_open_connect(t->kind, &s, &c, opts_of(&t->rule->end, &o));
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
	test_add_kinds(forgotten, "a SYN that comes again after its handshake was forgotten");
	late_add();
	return toa_main("words", "", argc, argv);
}
