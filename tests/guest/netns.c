// SPDX-License-Identifier: GPL-2.0
/* Network namespaces: the same tuple in two of them is two connections. */
#include "mod.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOLDER "/sys/module/toa_holder/parameters"
#define TRACING "/sys/kernel/tracing/"

enum { PORT = 7777 };

struct side {
	struct ns ns;
	struct server s;
	struct conn c;
	int fd;
};

static void side_open(struct side *side, enum kind kind)
{
	ns_new(&side->ns);
	ns_enter(&side->ns);
	server_open_at(&side->s, kind, 16, PORT);
	ns_leave();
}

/* The same tuple and the same initial sequence number on both sides. */
static void same_tuple(struct side *a, struct side *b)
{
	server_conn(&a->s, &a->c);
	b->c = a->c;
	a->c.dev = &a->ns.dev;
	b->c.dev = &b->ns.dev;
}

static int lines_in(const struct side *side, struct table_line *l, int max)
{
	int n;

	ns_enter(&side->ns);
	n = table_get(l, max);
	ns_leave();
	return n;
}

static void two(const void *arg)
{
	struct side a, b;

	side_open(&a, *(const enum kind *)arg);
	side_open(&b, *(const enum kind *)arg);
	same_tuple(&a, &b);
	require(conn_open(&a.c, NULL, v4_opt("198.51.100.1", 1)));
	require(conn_open(&b.c, NULL, v4_opt("198.51.100.2", 2)));
	a.fd = server_accept(&a.s, NULL);
	b.fd = server_accept(&b.s, NULL);
	require(a.fd >= 0 && b.fd >= 0);
	check_has(&a.s, &a.c, a.fd, "198.51.100.1:1", NULL);
	check_has(&b.s, &b.c, b.fd, "198.51.100.2:2", NULL);
	check(data_flows(&a.c, a.fd));
	check(data_flows(&b.c, b.fd));
}

/* What one namespace's SYN said is not for another's handshake. */
static void syn(const void *arg)
{
	struct side a, b;

	side_open(&a, *(const enum kind *)arg);
	side_open(&b, *(const enum kind *)arg);
	same_tuple(&a, &b);
	conn_syn(&a.c, v6_opt("2001:db8::1", 1));
	conn_syn(&b.c, NULL);
	require(conn_synack(&a.c, NULL) && conn_synack(&b.c, NULL));
	conn_ack(&b.c, NULL);
	conn_ack(&a.c, NULL);
	a.fd = server_accept(&a.s, NULL);
	b.fd = server_accept(&b.s, NULL);
	require(a.fd >= 0 && b.fd >= 0);
	check_has(&a.s, &a.c, a.fd, NULL, "[2001:db8::1]:1");
	check_has(&b.s, &b.c, b.fd, NULL, NULL);
}

static void tables(const void *arg)
{
	struct table_line l[4] = { 0 };
	struct side a, b;
	struct server s;
	struct conn c;
	struct stat st;
	int n, i, seen_a = 0, seen_b = 0;

	(void)arg;
	side_open(&a, INET);
	side_open(&b, INET);
	same_tuple(&a, &b);
	require(conn_open(&a.c, NULL, v4_opt("198.51.100.1", 1)));
	require(conn_open(&b.c, NULL, v4_opt("198.51.100.2", 2)));
	check_num(lines_in(&a, l, 4), 1);
	check_str(l[0].client, "198.51.100.1:1");
	check_num(l[0].netns, a.ns.inode);
	check_num(lines_in(&b, l, 4), 1);
	check_str(l[0].client, "198.51.100.2:2");
	check_num(l[0].netns, b.ns.inode);

	/* The initial namespace shows all, with its own. */
	server_open(&s, INET, 5);
	server_connect(&s, &c, NULL, v4_opt("198.51.100.3", 3));
	require(stat("/proc/self/ns/net", &st) == 0);
	n = table_get(l, 4);
	check_num(n, 3);
	for (i = 0; i < n && i < 4; i++) {
		seen_a += l[i].netns == a.ns.inode && !strcmp(l[i].client, "198.51.100.1:1");
		seen_b += l[i].netns == b.ns.inode && !strcmp(l[i].client, "198.51.100.2:2");
	}
	check_num(seen_a, 1);
	check_num(seen_b, 1);
	check_num(lines_in(&a, l, 4), 1);
}

static void present(const void *arg)
{
	struct stat st;
	struct side a;
	int fd;

	(void)arg;
	side_open(&a, INET);
	ns_enter(&a.ns);
	fd = net_open("toa_table");
	if (fd < 0 || fstat(fd, &st))
		test_fail(__FILE__, __LINE__, "no toa_table in the namespace");
	else
		check_num(st.st_mode & 07777, 0440);
	close(fd);
	check(!net_has("toa_stats"));
	ns_leave();
	check(net_has("toa_table"));
}

/* The socket is of its namespace, wherever its process is. */
static void moved(const void *arg)
{
	struct side a;

	(void)arg;
	side_open(&a, INET);
	server_conn(&a.s, &a.c);
	a.c.dev = &a.ns.dev;
	require(conn_open(&a.c, NULL, v6_opt("2001:db8::1", 1)));
	a.fd = server_accept(&a.s, NULL);
	require(a.fd >= 0);
	check_has(&a.s, &a.c, a.fd, NULL, "[2001:db8::1]:1");
	ns_enter(&a.ns);
	check_has(&a.s, &a.c, a.fd, NULL, "[2001:db8::1]:1");
	ns_leave();
}

/* A container that ends with connections in all states leaves nothing. */
static void destroyed(const void *arg)
{
	int round, i;

	(void)arg;
	for (round = 0; round < 5; round++) {
		struct side a;
		int fd[8];

		side_open(&a, round % 2 ? INET : DUAL6);
		for (i = 0; i < 8; i++) {
			server_conn(&a.s, &a.c);
			a.c.dev = &a.ns.dev;
			conn_syn(&a.c, v6_opt("2001:db8::1", i));
			require(conn_synack(&a.c, NULL));
			if (i == 7)
				break;	/* half open */
			conn_ack(&a.c, i % 2 ? v6_opt("2001:db8::2", i) : NULL);
			fd[i] = i < 4 ? server_accept(&a.s, NULL) : -1;
		}
		check_num(lines_in(&a, NULL, 0), 7);
		for (i = 0; i < 4; i++)
			reset(fd[i]);
		close(a.s.fd);
		ns_free(&a.ns);
	}
	check(stats_balanced());
	check(table_empties());
}

/*
 * Connections to a server inside the kernel do not keep their namespace alive. toa forgets them
 * when it ends, though their server comes later in the order of exits and has not closed them yet.
 */
static void outlived(const void *arg)
{
	struct table_line l[4] = { 0 };
	struct conn c[2];
	struct ns ns;
	char text[32] = "";
	int i;

	(void)arg;
	if (!holder_exists())
		test_fail(__FILE__, __LINE__, "no toa_holder.ko");
	/* Exits run in the reverse order. */
	require(toa_unload() == 0);
	ns_new(&ns);
	ns_enter(&ns);
	snprintf(text, sizeof(text), "listen=%d", PORT);
	i = holder_load(text);
	ns_leave();
	check_str(error_name(-toa_load("")), error_name(0));
	if (i == -EOPNOTSUPP) {
		ns_free(&ns);
		test_skip("no connection outlives its namespace on this kernel");
	}
	require(i == 0);
	for (i = 0; i < 2; i++) {
		conn_init(&c[i], false, PORT);
		c[i].dev = &ns.dev;
		check(conn_open(&c[i], NULL, i ? v6_opt("2001:db8::1", 1) :
						 v4_opt("198.51.100.1", 1)));
	}
	for (i = 0; i < WAIT_MS && table_get(l, 4) < 2; i++)
		usleep(1000);
	check_num(table_get(l, 4), 2);
	check_num(l[0].netns, ns.inode);
	ns_free(&ns);
	for (i = 0; i < WAIT_MS && !(read_file(HOLDER "/ending", text, sizeof(text)) &&
				     *text == 'Y'); i++)
		usleep(1000);
	check(*text == 'Y');
	check_num(table_get(l, 4), 0);
	write_file(HOLDER "/go", "1");
	check_num(holder_unload(), 0);
	check(stats_balanced());
}

/* The file of a namespace may stay open when the namespace goes. */
static void file_outlives(const void *arg)
{
	struct side a;
	char buf[64];
	FILE *f;
	int fd;

	(void)arg;
	side_open(&a, INET);
	ns_enter(&a.ns);
	fd = net_open("toa_table");
	ns_leave();
	f = fd < 0 ? NULL : fdopen(fd, "r");
	require(f);
	server_conn(&a.s, &a.c);
	a.c.dev = &a.ns.dev;
	require(conn_open(&a.c, NULL, v6_opt("2001:db8::1", 1)));
	close(a.s.fd);
	ns_free(&a.ns);
	check(stats_balanced());
	check(table_empties());
	while (fgets(buf, sizeof(buf), f))
		;
	fclose(f);
}

/* How often a function of the module was called since the probes were set. */
static long calls(const char *function)
{
	static char text[8192];
	char *line, *rest = text, name[64];
	long count;

	require(read_file(TRACING "kprobe_profile", text, sizeof(text)));
	while ((line = strsep(&rest, "\n")))
		if (sscanf(line, "%63s %ld", name, &count) == 2 && !strcmp(name, function))
			return count;
	test_fail(__FILE__, __LINE__, "no probe on %s", function);
	return -1;
}

static void wait_for(const char *function, long count)
{
	int i;

	for (i = 0; i < WAIT_MS && calls(function) < count; i++)
		usleep(1000);
	check(calls(function) >= count);
}

/* The end of a namespace walks through nothing that is others', unless some of its own is left. */
static void ends_cheaply(const void *arg)
{
	static const char probes[] = "p:toanet/end toa:toa_net_end\n"
				     "p:toanet/table toa:toa_table_purge\n"
				     "p:toanet/handshakes toa:toa_handshake_purge\n";
	struct side a;
	int i;

	(void)arg;
	if (access(TRACING "kprobe_events", W_OK))
		test_skip("no " TRACING "kprobe_events");
	/* Namespaces of earlier tests may end late: nothing is to be left of them. */
	require(toa_unload() == 0);
	require(toa_load("") == 0);
	write_file(TRACING "kprobe_events", probes);
	write_file(TRACING "events/toanet/enable", "1");
	for (i = 0; i < 4; i++) {
		side_open(&a, i % 2 ? INET : DUAL6);
		server_conn(&a.s, &a.c);
		a.c.dev = &a.ns.dev;
		require(conn_open(&a.c, i < 2 ? v6_opt("2001:db8::1", 1) : NULL,
				  i < 2 ? NULL : v6_opt("2001:db8::1", 1)));
		a.fd = server_accept(&a.s, NULL);
		check_num(lines_in(&a, NULL, 0), 1);
		reset(a.fd);
		close(a.s.fd);
		ns_free(&a.ns);
	}
	wait_for("end", 4);
	check_num(calls("table"), 0);
	check_num(calls("handshakes"), 0);

	/* A handshake that nobody completes. */
	side_open(&a, INET);
	server_conn(&a.s, &a.c);
	a.c.dev = &a.ns.dev;
	conn_syn(&a.c, v6_opt("2001:db8::1", 1));
	require(conn_synack(&a.c, NULL));
	close(a.s.fd);
	ns_free(&a.ns);
	wait_for("handshakes", 1);
	wait_for("end", 5);
	check_num(calls("table"), 0);
	check_num(calls("handshakes"), 1);
	write_file(TRACING "events/toanet/enable", "0");
	write_file(TRACING "kprobe_events", "");
	check(stats_balanced());
	check(table_empties());
}

int main(int argc, char **argv)
{
	test_add_kinds(two, "same tuple in two namespaces");
	test_add_kinds(syn, "same handshake in two namespaces");
	test_add(tables, NULL, "toa_table shows a namespace's own, initial all");
	test_add(present, NULL, "files of a namespace");
	test_add(moved, NULL, "socket used from another namespace");
	test_add(destroyed, NULL, "namespace ends with live connections");
	test_add(outlived, NULL, "namespace ends with connections of a server in the kernel");
	test_add(ends_cheaply, NULL,
		 "the end of a namespace does not walk through others' connections");
	test_add(file_outlives, NULL, "toa_table open when its namespace ends");
	return toa_main("netns", "", argc, argv);
}
