// SPDX-License-Identifier: GPL-2.0
/* Whose word counts behind the handshake: late=1. */
#include "words.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* The handshake has no option. */
static int late_connect(const void *arg, const char *params, struct server *s, struct conn *c)
{
	late_server(arg, params, s, c);
	conn_ack(c, NULL);
	return server_accepted(s);
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

	fd = late_connect(arg, "late=1 opt_bare=28", &s, &c);
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

	fd = late_connect(arg, "late=1", &s, &c);
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

	fd = late_connect(arg, "late=1", &s, &c);
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

	fd = late_connect(arg, "late=1", &s, &c);
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
		fd = late_connect(arg, cases[i].params, &s, &c);
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

	fd = late_connect(arg, "late=1", &s, &c);
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
	struct server s;
	struct conn c;
	int fd;

	configure("late=1");
	fd = fast_open_connect(*(const enum kind *)arg, &s, &c, NULL);
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

void late_add(void)
{
	test_add_kinds(late_data, "late: the option in data");
	test_add_kinds(late_bare, "late: F5's IPv6 option in data");
	test_add_kinds(late_ack, "late: data overtakes the ACK that has the option");
	test_add_kinds(late_answered, "late: the server has spoken, but was not heard yet");
	test_add_kinds(late_heard, "late: not once the server has been heard");
	test_add_kinds(late_second, "late: not for a connection that has an address");
	test_add_kinds(late_forged, "late: not from a segment that is not the connection's");
	test_add_kinds(late_not, "late: not if switched off, not from others, not elsewhere");
	test_add_kinds(late_refused, "late: not an address that nobody may claim");
	test_add_kinds(late_deferred, "late: accept of a deferred listener");
	test_add_kinds(late_fast_open, "late: data behind a Fast Open handshake");
	test_add_kinds(late_outgoing, "late: not for connections that this host makes");
}
