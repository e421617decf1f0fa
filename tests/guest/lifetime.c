// SPDX-License-Identifier: GPL-2.0
/* From the handshake to the end: sockets that disconnect, connect elsewhere, change family. */
#include "client.h"
#include "mod.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cell {
	enum kind kind;
	int carried;
};

static void check_carried(const struct server *s, const struct conn *c, int fd, int carried)
{
	check_has(s, c, fd, carried & HAS_V4 ? V4_TEXT : NULL,
		  carried & HAS_V6 ? V6_TEXT : NULL);
}

static void disconnect(int fd)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	require(connect(fd, &none, sizeof(none)) == 0);
}

/* Begin to connect to the balancer's port; @c becomes that connection. */
static void begin_connect(const struct server *s, struct conn *c, int fd, uint16_t port)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_storage local;
	socklen_t len = sizeof(local);
	int err;

	inet_pton(AF_INET, BALANCER_V4, &sin.sin_addr);
	if (kind_v6(s->kind))
		inet_pton(AF_INET6, BALANCER_V6, &sin6.sin6_addr);
	else
		inet_pton(AF_INET6, "::ffff:" BALANCER_V4, &sin6.sin6_addr);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (s->kind == INET)
		err = connect(fd, (struct sockaddr *)&sin, sizeof(sin));
	else
		err = connect(fd, (struct sockaddr *)&sin6, sizeof(sin6));
	require(err && errno == EINPROGRESS);
	require(getsockname(fd, (struct sockaddr *)&local, &len) == 0);
	conn_init(c, kind_v6(s->kind), ntohs(((struct sockaddr_in *)&local)->sin_port));
	c->sport = port;
}

/* The entry goes with the connection, not with the socket. */
static void disconnects(const void *arg)
{
	struct stats before;
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, *(const enum kind *)arg, 5);
	require(stats_get(&before));
	fd = server_connect(&s, &c, NULL, carrying(HAS_BOTH));
	check_carried(&s, &c, fd, HAS_BOTH);
	disconnect(fd);
	check_str(peer_of(fd), "ENOTCONN");
	check_str(nat64_of(fd), "ENOTCONN");
	check_num(table_get(NULL, 0), 0);
	check(stats_balanced());
}

static void reconnects(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, *(const enum kind *)arg, 5);
	fd = server_connect(&s, &c, NULL, carrying(HAS_BOTH));
	check_carried(&s, &c, fd, HAS_BOTH);
	disconnect(fd);
	begin_connect(&s, &c, fd, 8080);
	require(conn_answer(&c, NULL));
	check_carried(&s, &c, fd, HAS_NONE);
	check(data_flows(&c, fd));
	check_carried(&s, &c, fd, HAS_NONE);
}

/* The same socket, the same four numbers, and yet another connection. */
static void reconnects_same(const void *arg)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct server s;
	struct conn c, d;
	int fd, one = 1, err;

	server_open(&s, *(const enum kind *)arg, 5);
	fd = server_connect(&s, &c, NULL, carrying(HAS_BOTH));
	check_carried(&s, &c, fd, HAS_BOTH);
	close(s.fd);
	disconnect(fd);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	sin.sin_port = htons(s.port);
	sin6.sin6_port = htons(s.port);
	if (s.kind == INET)
		err = bind(fd, (struct sockaddr *)&sin, sizeof(sin));
	else
		err = bind(fd, (struct sockaddr *)&sin6, sizeof(sin6));
	require(err == 0);
	begin_connect(&s, &d, fd, c.sport);
	check_num(d.dport, c.dport);
	require(conn_answer(&d, NULL));
	check_str(conn_addr(&d, false), conn_addr(&c, false));
	check_carried(&s, &d, fd, HAS_NONE);
	check(data_flows(&d, fd));
}

/* It may listen, too. */
static void listens(const void *arg)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	struct server s, t = { .kind = INET };
	struct conn c;
	int fd;

	(void)arg;
	server_open(&s, INET, 5);
	t.fd = server_connect(&s, &c, NULL, carrying(HAS_BOTH));
	disconnect(t.fd);
	require(bind(t.fd, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	require(listen(t.fd, 5) == 0);
	require(getsockname(t.fd, (struct sockaddr *)&sin, &len) == 0);
	t.port = ntohs(sin.sin_port);
	check_str(peer_of(t.fd), "ENOTCONN");
	fd = server_connect(&t, &c, NULL, NULL);
	check_carried(&t, &c, fd, HAS_NONE);
	fd = server_connect(&t, &c, NULL, carrying(HAS_BOTH));
	check_carried(&t, &c, fd, HAS_BOTH);
}

/* A mapped socket that becomes AF_INET shows what AF_INET sockets show. */
static void addrform(const void *arg)
{
	int carried = *(const int *)arg, family = AF_INET;
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, MAPPED, 5);
	fd = server_connect(&s, &c, NULL, carrying(carried));
	check_carried(&s, &c, fd, carried);
	require(setsockopt(fd, IPPROTO_IPV6, IPV6_ADDRFORM, &family, sizeof(family)) == 0);
	s.kind = INET;
	check_carried(&s, &c, fd, carried);
	check(data_flows(&c, fd));
	reset(fd);
	check(table_empties());
	check(stats_balanced());
}

/* Another process, another descriptor: the same connection. */
static void passed(const void *arg)
{
	struct server s;
	struct conn c;
	int fd, copy;

	(void)arg;
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, carrying(HAS_BOTH));
	copy = dup(fd);
	close(fd);
	check_carried(&s, &c, copy, HAS_BOTH);
	check(data_flows(&c, copy));
}

/* 2,000 connections of all kinds, ended in all ways; then nothing is left. */
static void churn(const void *arg)
{
	struct stats before, after;
	struct server s[KINDS];
	int i, with6 = 0, with = 0;
	enum kind kind;

	(void)arg;
	for (kind = INET; kind < KINDS; kind++)
		server_open(&s[kind], kind, 16);
	require(stats_get(&before));
	for (i = 0; i < 2000 && !test_failed(); i++) {
		int carried = i / 4 % 4, fd;
		struct conn c;
		struct seg seg;
		bool syn = i & 16;

		kind = i % KINDS;
		fd = server_connect(&s[kind], &c, syn ? carrying(carried) : NULL,
				    syn ? NULL : carrying(carried));
		with += carried != HAS_NONE;
		with6 += (carried & HAS_V6) != 0;
		if (i % 7 == 0)
			check_carried(&s[kind], &c, fd, carried);
		switch (i / 32 % 4) {
		case 0:
			reset(fd);
			break;
		case 1:
			conn_rst(&c);
			close(fd);
			break;
		case 2:
			conn_fin(&c);
			close(fd);
			require(conn_recv(&c, F_FIN, F_FIN, &seg));
			c.rcv_nxt = seg.seq + 1;
			conn_ack(&c, NULL);
			break;
		default:
			disconnect(fd);
			close(fd);
		}
	}
	check(table_empties());
	check(stats_balanced());
	require(stats_get(&after));
	check_num(stats_of(&after, "ip6_address_alloc") - stats_of(&before, "ip6_address_alloc"),
		  with6);
	check_num(stats_of(&after, "ip6_address_free") - stats_of(&before, "ip6_address_free"),
		  with6);
	check_num(stats_of(&after, "syn_recv_sock_toa") - stats_of(&before, "syn_recv_sock_toa"),
		  with);
	check_num(stats_of(&after, "syn_recv_sock_no_toa") -
		  stats_of(&before, "syn_recv_sock_no_toa"), 2000 - with);
}

/* A full table costs the address, not the connection; each one is counted. */
static void table_full(const void *arg)
{
	enum { ROOM = 2, ALL = 6 };
	struct stats before;
	struct server s;
	struct conn c[ALL], plain;
	int fd[ALL], i;

	(void)arg;
	param_set("table_max", "2");
	server_open(&s, INET, 5);
	require(stats_get(&before));
	for (i = 0; i < ALL; i++)
		fd[i] = server_connect(&s, &c[i], i & 1 ? NULL : carrying(HAS_BOTH),
				       i & 1 ? carrying(HAS_BOTH) : NULL);
	/* One that claims nothing needs no room. */
	server_connect(&s, &plain, NULL, NULL);
	check_moved(&before, "syn_recv_sock_toa", ROOM, "ip6_address_alloc", ROOM,
		    "getname_toa_ok", ROOM, "syn_recv_sock_no_toa", 1,
		    "toa_table_full", ALL - ROOM);
	param_set("table_max", "1048576");
	for (i = 0; i < ALL; i++)
		check_carried(&s, &c[i], fd[i], i < ROOM ? HAS_BOTH : HAS_NONE);
	for (i = ROOM; i < ALL; i++)
		check(data_flows(&c[i], fd[i]));
	reset(fd[0]);
	fd[0] = server_connect(&s, &c[0], NULL, carrying(HAS_BOTH));
	check_carried(&s, &c[0], fd[0], HAS_BOTH);
}

int main(int argc, char **argv)
{
	static const int carried[CARRIED] = { HAS_NONE, HAS_V4, HAS_V6, HAS_BOTH };
	int i;

	test_add_kinds(disconnects, "connect(AF_UNSPEC)");
	test_add_kinds(reconnects, "connects elsewhere");
	test_add_kinds(reconnects_same, "connects on the same tuple");
	test_add(listens, NULL, "disconnected socket listens");
	for (i = 0; i < CARRIED; i++)
		test_add(addrform, &carried[i], "IPV6_ADDRFORM, %s", carried_name[i]);
	test_add(passed, NULL, "descriptor passed on");
	test_add(churn, NULL, "churn, alloc equals free");
	test_add(table_full, NULL, "full table");
	return toa_main("lifetime", "both=1", argc, argv);
}
