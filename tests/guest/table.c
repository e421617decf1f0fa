// SPDX-License-Identifier: GPL-2.0
/* /proc/net/toa_table: its mode, its lines, and how they go. */
#include "client.h"
#include "mod.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLE "/proc/net/toa_table"

static void mode(const void *arg)
{
	struct stat st;

	(void)arg;
	require(stat(TABLE, &st) == 0);
	check_num(st.st_mode & 07777, 0440);
}

static void header(const void *arg)
{
	char buf[4096];

	(void)arg;
	require(read_file(TABLE, buf, sizeof(buf)));
	check(!strncmp(buf, "kind", 4));
	check(strchr(buf, '\n') && !strchr(buf, '\n')[1]);
	check_num(table_get(NULL, 0), 0);
}

static void check_line(const struct table_line *l, unsigned int kind, const struct server *s,
		       const struct conn *c)
{
	char local[64];
	struct stat st;

	snprintf(local, sizeof(local), c->v6 ? "[" SERVER_V6 "]:%u" : SERVER_V4 ":%u", s->port);
	require(stat("/proc/self/ns/net", &st) == 0);
	check_num(l->kind, kind);
	check_num(l->netns, st.st_ino);
	check_str(l->local, local);
	check_str(l->balancer, conn_addr(c, false));
	check_str(l->client, kind == 200 ? V4_TEXT : V6_TEXT);
	check(l->age <= 60);
}

struct lines {
	enum kind kind;
	int v4, v6;
};

static void lines(const void *arg)
{
	const struct lines *t = arg;
	struct opts o = { .len = 0 };
	struct table_line l[3];
	struct server s;
	struct conn c;
	int fd, n;

	if (t->v4)
		opt_v4(&o, V4, 4321);
	if (t->v6)
		opt_v6(&o, V6, 8765);
	server_open(&s, t->kind, 5);
	fd = server_connect(&s, &c, NULL, &o);
	n = table_get(l, 3);
	check_num(n, t->v4 + t->v6);
	if (n != t->v4 + t->v6)
		return;
	if (n == 2 && l[0].kind > l[1].kind) {
		l[2] = l[0];
		l[0] = l[1];
		l[1] = l[2];
	}
	if (t->v4)
		check_line(&l[0], 200, &s, &c);
	if (t->v6)
		check_line(&l[n - 1], 253, &s, &c);
	reset(fd);
	check(table_empties());
}

static void age(const void *arg)
{
	struct table_line l;
	struct server s;
	struct conn c;
	unsigned int was;

	(void)arg;
	server_open(&s, INET, 5);
	server_connect(&s, &c, NULL, v4_opt(V4, 4321));
	require(table_get(&l, 1) == 1);
	was = l.age;
	usleep(2100000);
	require(table_get(&l, 1) == 1);
	check(l.age >= was + 1 && l.age <= was + 60);
}

/* A connection shows from the handshake on, accepted or not. */
static void in_queue(const void *arg)
{
	struct table_line l;
	struct server s;
	struct conn c;

	(void)arg;
	server_open(&s, INET, 5);
	server_syn(&s, &c, v4_opt(V4, 4321));
	check_num(table_get(&l, 1), 0);
	conn_ack(&c, NULL);
	check_num(table_get(&l, 1), 1);
	reset(s.fd);
	check(table_empties());
}

/*
 * The end of a connection is the end of its line
 */

static void ends_close(const void *arg)
{
	struct server s;
	struct conn c;
	struct seg seg;
	int fd;

	(void)arg;
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, v6_opt(V6, 8765));
	check_num(table_get(NULL, 0), 1);
	close(fd);
	require(conn_recv(&c, F_FIN, F_FIN, &seg));
	c.rcv_nxt = seg.seq + 1;
	conn_ack(&c, NULL);
	conn_fin(&c);
	check(table_empties());
	check(stats_balanced());
}

static void ends_peer_closes(const void *arg)
{
	struct server s;
	struct conn c;
	struct seg seg;
	int fd;

	(void)arg;
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, v6_opt(V6, 8765));
	conn_fin(&c);
	check_num(table_get(NULL, 0), 1);
	close(fd);
	require(conn_recv(&c, F_FIN, F_FIN, &seg));
	c.rcv_nxt = seg.seq + 1;
	conn_ack(&c, NULL);
	check(table_empties());
	check(stats_balanced());
}

static void ends_rst(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	(void)arg;
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, v6_opt(V6, 8765));
	check_num(table_get(NULL, 0), 1);
	conn_rst(&c);
	close(fd);
	check(table_empties());
	check(stats_balanced());
}

static void ends_listener(const void *arg)
{
	struct server s;
	struct conn c;
	int i;

	(void)arg;
	server_open(&s, INET, 5);
	for (i = 0; i < 3; i++) {
		server_conn(&s, &c);
		require(conn_open(&c, NULL, v6_opt(V6, 8765)));
	}
	check_num(table_get(NULL, 0), 3);
	close(s.fd);
	check(table_empties());
	check(stats_balanced());
}

/*
 * Many lines
 */

enum { MANY = 300 };

/* Reading in small pieces shows each line once. */
static void many(const void *arg)
{
	static char text[MANY * 256];
	static int seen[MANY];
	int fds[MANY], i, fd, n = 0;
	char addr[32], *line;
	struct server s;
	struct conn c;
	size_t have = 0;
	ssize_t got;

	(void)arg;
	memset(seen, 0, sizeof(seen));
	server_open(&s, INET, 5);
	for (i = 0; i < MANY; i++) {
		snprintf(addr, sizeof(addr), "198.18.%d.%d", i / 256, i % 256);
		fds[i] = server_connect(&s, &c, NULL, v4_opt(addr, i));
	}
	fd = open(TABLE, O_RDONLY);
	require(fd >= 0);
	while ((got = read(fd, text + have, 97)) > 0) {
		have += got;
		require(have < sizeof(text) - 100);
		/* Lines that go while it is read hide no others. */
		if (++n == 20)
			for (i = 0; i < 50; i++)
				reset(fds[i]);
	}
	close(fd);
	text[have] = 0;
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		char client[64];
		int hi, lo, port;

		if (!strncmp(line, "kind", 4))
			continue;
		require(sscanf(line, "%*s %*s %*s %*s %63s", client) == 1);
		require(sscanf(client, "198.18.%d.%d:%d", &hi, &lo, &port) == 3);
		check_num(port, hi * 256 + lo);
		require(port >= 0 && port < MANY);
		seen[port]++;
	}
	for (i = 0; i < MANY; i++) {
		if (i >= 50 ? seen[i] != 1 : seen[i] > 1)
			test_fail(__FILE__, __LINE__, "connection %d is shown %d times", i,
				  seen[i]);
		if (i >= 50)
			reset(fds[i]);
	}
	check(table_empties());
}

int main(int argc, char **argv)
{
	static const struct lines cases[] = {
		{ INET, 0, 0 }, { INET, 1, 0 }, { INET, 0, 1 }, { INET, 1, 1 },
		{ MAPPED, 1, 0 }, { MAPPED, 0, 1 }, { MAPPED, 1, 1 },
		{ INET6, 1, 0 }, { INET6, 0, 1 }, { INET6, 1, 1 }, { DUAL6, 0, 1 },
	};
	static const char *const carried[] = { "none", "option 200", "option 253", "both" };
	unsigned int i;

	test_add(mode, NULL, "mode 0440");
	test_add(header, NULL, "header line");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		test_add(lines, &cases[i], "line of %s %s", kind_name[cases[i].kind],
			 carried[cases[i].v4 + 2 * cases[i].v6]);
	test_add(age, NULL, "age grows");
	test_add(in_queue, NULL, "line of a connection not accepted");
	test_add(ends_close, NULL, "line goes, server closes");
	test_add(ends_peer_closes, NULL, "line goes, peer closes");
	test_add(ends_rst, NULL, "line goes, RST");
	test_add(ends_listener, NULL, "lines go, listener closes");
	test_add(many, NULL, "many lines, each once");
	return toa_main("table", "both=1", argc, argv);
}
