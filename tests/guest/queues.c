// SPDX-License-Identifier: GPL-2.0
/*
 * What happens between the handshake and accept(): listeners that close, take over from each other,
 * have no room, or are flooded.
 */
#include "client.h"
#include "mod.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSCTL "/proc/sys/net/ipv4/"

enum { FLOOD = 100, FLOODED_BACKLOG = 8 };

struct way {
	enum kind kind;
	bool in_ack;
};

static const struct opts *in_syn(const struct way *w)
{
	return w->in_ack ? NULL : both();
}

static const struct opts *in_ack(const struct way *w)
{
	return w->in_ack ? both() : NULL;
}

static bool nothing_more(const struct server *s)
{
	return poll(&(struct pollfd){ .fd = s->fd, .events = POLLIN }, 1, 0) == 0;
}

/*
 * SO_REUSEPORT: with net.ipv4.tcp_migrate_req the group takes over what a listener leaves behind.
 */

static void reuseport_open(struct server *s, enum kind kind, uint16_t port)
{
	int one = 1;

	server_socket(s, kind);
	require(setsockopt(s->fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0);
	server_listen(s, 16, port);
}

static void need_migration(void)
{
	/* Late 5.10 has the switch and nothing that it switches. */
	if (!kernel_has("reuseport_migrate_sock"))
		test_skip("this kernel does not migrate requests");
}

/* A handshake that one listener begins and another completes. */
static void migrated_request(const void *arg)
{
	const struct way *w = arg;
	struct server first, second;
	struct conn c;
	int fd;

	need_migration();
	write_file(SYSCTL "tcp_migrate_req", "1");
	reuseport_open(&first, w->kind, 0);
	server_syn(&first, &c, in_syn(w));
	reuseport_open(&second, w->kind, first.port);
	close(first.fd);
	conn_ack(&c, in_ack(w));
	fd = server_accept(&second, NULL);
	write_file(SYSCTL "tcp_migrate_req", "0");
	require(fd >= 0);
	check_has(&second, &c, fd, V4_TEXT, V6_TEXT);
	check(data_flows(&c, fd));
}

/* A connection in the first one's queue that the second one accepts. */
static void migrated_queue(const void *arg)
{
	const struct way *w = arg;
	struct server first, second;
	const char *addr = "nothing to accept";
	struct conn c;
	int fd;

	need_migration();
	write_file(SYSCTL "tcp_migrate_req", "1");
	reuseport_open(&first, w->kind, 0);
	server_conn(&first, &c);
	require(conn_open(&c, in_syn(w), in_ack(w)));
	reuseport_open(&second, w->kind, first.port);
	close(first.fd);
	fd = server_accept(&second, &addr);
	write_file(SYSCTL "tcp_migrate_req", "0");
	require(fd >= 0);
	check_str(addr, w->kind == INET ? V4_TEXT : V6_TEXT);
	check_has(&second, &c, fd, V4_TEXT, V6_TEXT);
	check(data_flows(&c, fd));
}

/* Two in a group: each connection is right, whichever gets it. */
static void group(const void *arg)
{
	const struct way *w = arg;
	struct server s[2];
	int i;

	reuseport_open(&s[0], w->kind, 0);
	reuseport_open(&s[1], w->kind, s[0].port);
	for (i = 0; i < 20; i++) {
		struct pollfd p[2] = {
			{ .fd = s[0].fd, .events = POLLIN }, { .fd = s[1].fd, .events = POLLIN },
		};
		struct conn c;
		int fd;

		server_conn(&s[0], &c);
		require(conn_open(&c, in_syn(w), in_ack(w)));
		require(poll(p, 2, wait_ms) == 1);
		fd = server_accept(p[0].revents ? &s[0] : &s[1], NULL);
		require(fd >= 0);
		check_has(&s[0], &c, fd, V4_TEXT, V6_TEXT);
		reset(fd);
	}
}

/*
 * A listener that closes
 */

/* With connections in its queue and half open ones: they go, and so do their entries. */
static void closed(const void *arg)
{
	const struct way *w = arg;
	struct table_line lines[2];
	struct server s, next;
	struct conn c, half;
	struct seg seg;
	int fd;

	server_open(&s, w->kind, 5);
	server_conn(&s, &c);
	require(conn_open(&c, in_syn(w), in_ack(w)));
	check_num(table_of(&c, lines, 2), 2);
	server_syn(&s, &half, both());
	close(s.fd);
	check(table_empties());
	check(stats_balanced());
	/* The next one on that port knows nothing of it. */
	server_open_at(&next, w->kind, 5, s.port);
	conn_ack(&half, NULL);
	check(conn_recv(&half, F_RST, F_RST, &seg));
	conn_again(&half);
	require(conn_open(&half, NULL, NULL));
	fd = server_accepted(&next);
	check_has(&next, &half, fd, NULL, NULL);
	check(data_flows(&half, fd));
}

/*
 * A full accept queue. A backlog of one has room for two connections and for one request: the
 * second connection, made while the request waits, is one by cookies.
 */

static void fill(struct server *s, enum kind kind, struct conn *waiting, const struct opts *syn,
		 struct conn accepted[2])
{
	server_open(s, kind, 1);
	server_conn(s, &accepted[0]);
	require(conn_open(&accepted[0], NULL, NULL));
	server_syn(s, waiting, syn);
	server_conn(s, &accepted[1]);
	require(conn_open(&accepted[1], NULL, NULL));
}

static void take(struct server *s, struct conn accepted[2])
{
	int i, fd;

	for (i = 0; i < 2; i++) {
		fd = server_accepted(s);
		check_has(s, &accepted[i], fd, NULL, NULL);
	}
	require(nothing_more(s));
}

/* The request waits for its next segment. */
static void overflown(const void *arg)
{
	const struct way *w = arg;
	struct conn accepted[2], waiting;
	struct stats before;
	struct server s;
	int fd;

	fill(&s, w->kind, &waiting, in_syn(w), accepted);
	require(stats_get(&before));
	conn_ack(&waiting, in_ack(w));
	check_moved(&before);
	take(&s, accepted);
	conn_data(&waiting, in_ack(w), "data");
	fd = server_accepted(&s);
	check_has(&s, &waiting, fd, V4_TEXT, V6_TEXT);
	check(data_reads(fd, "data"));
	check(data_flows(&waiting, fd));
}

/* With tcp_abort_on_overflow it is reset instead. */
static void aborted(const void *arg)
{
	const struct way *w = arg;
	struct conn accepted[2], waiting;
	struct server s;
	struct seg seg;
	bool reset_seen;
	int fd;

	fill(&s, w->kind, &waiting, in_syn(w), accepted);
	write_file(SYSCTL "tcp_abort_on_overflow", "1");
	conn_ack(&waiting, in_ack(w));
	reset_seen = conn_recv(&waiting, F_RST, F_RST, &seg);
	write_file(SYSCTL "tcp_abort_on_overflow", "0");
	require(reset_seen);
	check(table_empties());
	check(stats_balanced());
	take(&s, accepted);
	/* The tuple again is another connection. */
	conn_again(&waiting);
	require(conn_open(&waiting, NULL, NULL));
	fd = server_accepted(&s);
	check_has(&s, &waiting, fd, NULL, NULL);
	reset(fd);
	conn_again(&waiting);
	require(conn_open(&waiting, in_syn(w), in_ack(w)));
	fd = server_accepted(&s);
	check_has(&s, &waiting, fd, V4_TEXT, V6_TEXT);
}

/*
 * A flood of SYNs: the kernel answers with cookies by itself, and keeps nothing.
 */

static long cookies(const char *name)
{
	char names[8192], values[8192], *n, *v, *next_n, *next_v;
	long count = -1;
	FILE *f = fopen("/proc/net/netstat", "re");

	while (f && fgets(names, sizeof(names), f) && fgets(values, sizeof(values), f)) {
		if (strncmp(names, "TcpExt:", 7))
			continue;
		n = strtok_r(names, " \n", &next_n);
		v = strtok_r(values, " \n", &next_v);
		while (n && v) {
			if (!strcmp(n, name))
				count = atol(v);
			n = strtok_r(NULL, " \n", &next_n);
			v = strtok_r(NULL, " \n", &next_v);
		}
	}
	if (f)
		fclose(f);
	return count;
}

static void flooded(const void *arg)
{
	const struct way *w = arg;
	long before = cookies("SyncookiesRecv");
	struct server s;
	struct conn c;
	int i, fd;

	server_open(&s, w->kind, FLOODED_BACKLOG);
	for (i = 0; i < FLOOD; i++) {
		server_conn(&s, &c);
		/* Some of the flood claim somebody, too. */
		conn_syn(&c, i % 2 ? v4_opt("203.0.113.9", i) : NULL);
	}
	dev_drain(&dev0);
	for (i = 0; i < 5; i++) {
		server_conn(&s, &c);
		require(conn_open(&c, in_syn(w), in_ack(w)));
		fd = server_accepted(&s);
		check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
		check(data_flows(&c, fd));
		/* Without any, nobody's. */
		server_conn(&s, &c);
		require(conn_open(&c, NULL, NULL));
		fd = server_accepted(&s);
		check_has(&s, &c, fd, NULL, NULL);
	}
	check_num(cookies("SyncookiesRecv") - before, 10);
}

static void add(test_fn fn, const char *name)
{
	struct way *w = calloc(KINDS * 2, sizeof(*w));
	int i;

	if (!w)
		abort();
	for (i = 0; i < KINDS * 2; i++) {
		w[i].kind = i / 2;
		w[i].in_ack = i % 2;
		test_add(fn, &w[i], "%s, option in the %s, %s", name, i % 2 ? "ACK" : "SYN",
			 kind_name[i / 2]);
	}
}

int main(int argc, char **argv)
{
	add(group, "SO_REUSEPORT group");
	add(migrated_request, "SO_REUSEPORT, request of a closed listener");
	add(migrated_queue, "SO_REUSEPORT, connection of a closed listener");
	add(closed, "listener closed with connections queued");
	add(overflown, "full accept queue, a request waits");
	add(aborted, "tcp_abort_on_overflow");
	add(flooded, "syncookies under a flood");
	return toa_main("queues", "both=1", argc, argv);
}
