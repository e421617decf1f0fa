// SPDX-License-Identifier: GPL-2.0
/* /proc/net/toa_stats: its layout, its mode, and what each row counts. */
#include "client.h"
#include "mod.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATS "/proc/net/toa_stats"

static char text[65536];

static void read_text(void)
{
	require(read_file(STATS, text, sizeof(text)));
}

/* The numbers of online CPUs, from a list such as 0-2,5. */
static int online(int *cpus, int max)
{
	char list[256], *p = list, *end;
	int n = 0;

	require(read_file("/sys/devices/system/cpu/online", list, sizeof(list)));
	while (*p >= '0' && *p <= '9') {
		int from = strtol(p, &end, 10), to = from;

		if (*end == '-')
			to = strtol(end + 1, &end, 10);
		for (; from <= to && n < max; from++)
			cpus[n++] = from;
		p = *end == ',' ? end + 1 : end;
	}
	return n;
}

static void header(const void *arg)
{
	char want[8192];
	int cpus[256], n = online(cpus, 256), i, len;

	(void)arg;
	read_text();
	len = snprintf(want, sizeof(want), "%34s", "");
	for (i = 0; i < n; i++)
		len += snprintf(want + len, sizeof(want) - len, "CPU%d       ", cpus[i]);
	*strchrnul(text, '\n') = 0;
	check_str(text, want);
}

static void first_rows(const void *arg)
{
	static const char *const rows[] = {
		"syn_recv_sock_toa", "syn_recv_sock_no_toa", "getname_toa_ok",
		"getname_toa_mismatch", "getname_toa_empty", "ip6_address_alloc",
		"ip6_address_free",
	};
	char *line;
	int i;

	(void)arg;
	read_text();
	strtok(text, "\n");
	for (i = 0; i < 7; i++) {
		char want[64];

		line = strtok(NULL, "\n");
		require(line);
		snprintf(want, sizeof(want), "%-25s:", rows[i]);
		line[strlen(want)] = 0;
		check_str(line, want);
	}
}

/* The rows, printed again from what was read of them, are the same byte for byte. */
static void rows(const void *arg)
{
	static char again[65536];
	int cpus[256], n = online(cpus, 256);
	char *p, *out = again;

	(void)arg;
	read_text();
	p = strchr(text, '\n');
	require(p);
	for (p++; *p; p = strchr(p, '\n') + 1) {
		char name[64];
		int i;

		require(strchr(p, '\n') && sscanf(p, "%63[^ :]", name) == 1 && strchr(p, ':'));
		out += sprintf(out, "%-25s:", name);
		p = strchr(p, ':') + 1;
		for (i = 0; i < n; i++)
			out += sprintf(out, "%10lu ", strtoul(p, &p, 10));
		out += sprintf(out, "\n");
	}
	check_str(strchr(text, '\n') + 1, again);
}

static void mode(const void *arg)
{
	struct stat st;

	(void)arg;
	require(stat(STATS, &st) == 0);
	check_num(st.st_mode & 07777, 0444);
}

static void only_initial(const void *arg)
{
	bool here, there;
	struct ns ns;

	(void)arg;
	ns_new(&ns);
	here = net_has("toa_stats");
	ns_enter(&ns);
	there = net_has("toa_stats");
	ns_leave();
	check(here);
	check(!there);
	ns_free(&ns);
}

/* Connections of other namespaces count here too: the file is of the whole host. */
static void whole_host(const void *arg)
{
	struct stats before;
	struct server s;
	struct conn c;
	struct ns ns;

	(void)arg;
	ns_new(&ns);
	ns_enter(&ns);
	server_open(&s, INET, 5);
	ns_leave();
	require(stats_get(&before));
	server_conn(&s, &c);
	c.dev = &ns.dev;
	require(conn_open(&c, NULL, v4_opt(V4, 1)));
	check(server_accept(&s, NULL) >= 0);
	check_moved(&before, "syn_recv_sock_toa", 1, "getname_toa_ok", 1);
	ns_free(&ns);
}

/*
 * What is counted
 */

struct counted {
	const char *name;
	enum kind kind;
	int v4, v6;
};

static void counted(const void *arg)
{
	const struct counted *t = arg;
	struct opts o = { .len = 0 };
	struct stats before, open;
	struct server s;
	struct conn c;
	int fd;

	if (t->v4)
		opt_v4(&o, V4, 4321);
	if (t->v6)
		opt_v6(&o, V6, 8765);
	toa_set_both(t->v4 && t->v6);
	server_open(&s, t->kind, 5);
	server_conn(&s, &c);
	require(stats_get(&before));
	require(conn_open(&c, NULL, &o));
	check_moved(&before, "syn_recv_sock_toa", t->v4 || t->v6,
		    "syn_recv_sock_no_toa", !t->v4 && !t->v6, "ip6_address_alloc", t->v6);
	fd = server_accept(&s, NULL);
	require(fd >= 0 && stats_get(&open));
	reset(fd);
	check(stats_balanced());
	check_moved(&open, "ip6_address_free", t->v6);
	toa_set_both(false);
}

/* In every segment that may carry it: one connection, counted once. */
static void counted_once(const void *arg)
{
	struct stats before;
	struct server s;
	struct conn c;

	server_open(&s, *(const enum kind *)arg, 5);
	server_conn(&s, &c);
	require(stats_get(&before));
	require(conn_open(&c, v6_opt(V6, 1), v6_opt(V6, 1)));
	conn_data(&c, v6_opt(V6, 1), "data");
	conn_data(&c, NULL, "data");
	check_moved(&before, "syn_recv_sock_toa", 1, "ip6_address_alloc", 1);
}

static void syn_alone(const void *arg)
{
	struct stats before;
	struct server s;
	struct conn c;

	(void)arg;
	server_open(&s, INET, 5);
	server_conn(&s, &c);
	require(stats_get(&before));
	conn_syn(&c, v6_opt(V6, 1));
	require(conn_synack(&c, NULL));
	check_moved(&before);
	conn_rst(&c);
	check_moved(&before);
}

static void invalid(const void *arg)
{
	struct stats before;
	struct server s;
	struct conn c;

	(void)arg;
	server_open(&s, INET, 5);
	server_conn(&s, &c);
	require(stats_get(&before));
	require(conn_open(&c, NULL, v4_opt("127.0.0.1", 1)));
	check_moved(&before, "toa_invalid", 1, "syn_recv_sock_no_toa", 1);
}

/* A CPU that goes takes its column with it, not its counts. */
static void offline(const void *arg)
{
	static const char cpu1[] = "/sys/devices/system/cpu/cpu1/online";
	struct stats before, after;
	int cpus[256], n = online(cpus, 256), i;
	cpu_set_t set;
	struct server s;
	struct conn c;

	(void)arg;
	if (n < 2 || access(cpu1, W_OK))
		test_skip("there is no second CPU that can go offline");
	/* Count something on it. */
	CPU_ZERO(&set);
	CPU_SET(1, &set);
	require(sched_setaffinity(0, sizeof(set), &set) == 0);
	server_open(&s, INET, 5);
	for (i = 0; i < 5; i++)
		server_connect(&s, &c, NULL, v4_opt(V4, i));
	CPU_SET(0, &set);
	require(sched_setaffinity(0, sizeof(set), &set) == 0);
	require(stats_get(&before));
	check(stats_of(&before, "syn_recv_sock_toa") >= 5);
	write_file(cpu1, "0");
	header(NULL);
	rows(NULL);
	require(stats_get(&after));
	for (i = 0; i < before.rows; i++)
		check(after.row[i].sum >= before.row[i].sum);
	write_file(cpu1, "1");
	header(NULL);
	require(stats_get(&after));
	for (i = 0; i < before.rows; i++)
		check(after.row[i].sum >= before.row[i].sum);
}

struct said {
	const char *name;
	bool syn_v4, syn_v6, ack_v4, ack_v6;
	bool same;
	int want, want_both;	/* with both=1 */
	bool both;
};

/*
 * Every address is counted that another one stands in the place of: the same segment's first one,
 * or what a later segment says, of the other kind too. It is not if it is the one that counts.
 */
static void disagree(const void *arg)
{
	const struct said *t = arg;
	struct opts syn = { .len = 0 }, ack = { .len = 0 };
	const char *v4 = NULL, *v6 = NULL;
	struct stats before, after;
	struct server s;
	struct conn c;
	int fd;

	if (t->syn_v4) {
		opt_v4(&syn, V4, 1);
		v4 = V4 ":1";
	}
	if (t->syn_v6) {
		opt_v6(&syn, V6, 1);
		v6 = "[" V6 "]:1";
	}
	if (t->ack_v4 || t->ack_v6) {
		v4 = NULL;
		v6 = NULL;
	}
	if (t->ack_v4) {
		opt_v4(&ack, V4, t->same ? 1 : 2);
		v4 = t->same ? V4 ":1" : V4 ":2";
	}
	if (t->ack_v6) {
		opt_v6(&ack, t->same ? V6 : "2001:db8::78", 1);
		v6 = t->same ? "[" V6 "]:1" : "[2001:db8::78]:1";
	}
	if (v4 && !t->both)
		v6 = NULL;
	toa_set_both(t->both);
	server_open(&s, INET, 5);
	require(stats_get(&before));
	fd = server_connect(&s, &c, &syn, &ack);
	/* Once only: not for each time that it is asked. */
	check_has(&s, &c, fd, v4, v6);
	check(data_flows(&c, fd));
	require(stats_get(&after));
	check_num(stats_of(&after, "toa_disagree") - stats_of(&before, "toa_disagree"),
		  t->both ? t->want_both : t->want);
	check_num(stats_of(&after, "syn_recv_sock_toa") - stats_of(&before, "syn_recv_sock_toa"),
		  1);
	toa_set_both(false);
}

/* The rows that watch what is not believed follow each other, as the README has them. */
static void own_rows(const void *arg)
{
	static const char *const rows[] = {
		"toa_invalid", "toa_syn_evicted", "toa_table_full", "toa_alloc_failed",
		"toa_untrusted", "toa_disagree", "toa_segment", "toa_late", "toa_share_full",
		"toa_entry_alloc", "toa_entry_free", "toa_adopted", "toa_probe_missed",
	};
	struct stats s;
	int i;

	(void)arg;
	require(stats_get(&s));
	check_num(s.rows, 7 + sizeof(rows) / sizeof(rows[0]));
	for (i = 0; i < (int)(sizeof(rows) / sizeof(rows[0])) && 7 + i < s.rows; i++)
		check_str(s.row[7 + i].name, rows[i]);
}

/* An option in a segment that the balancer does not write is ignored, and counted. */
static void other_segment(const void *arg)
{
	const struct said *t = arg;
	struct opts syn = { .len = 0 }, ack = { .len = 0 };
	struct stats before;
	struct server s;
	struct conn c;
	int fd;

	if (t->syn_v4)
		opt_v4(&syn, V4, 1);
	if (t->syn_v6)
		opt_v6(&syn, V6, 1);
	if (t->ack_v4)
		opt_v4(&ack, V4, 2);
	if (t->ack_v6)
		opt_v6(&ack, V6, 2);
	toa_set_both(t->both);
	param_set("segments", "syn");
	server_open(&s, INET, 5);
	server_conn(&s, &c);
	require(stats_get(&before));
	require(conn_open(&c, &syn, &ack));
	check_moved(&before, "syn_recv_sock_toa", t->syn_v4 || t->syn_v6, "syn_recv_sock_no_toa",
		    !t->syn_v4 && !t->syn_v6, "ip6_address_alloc", t->syn_v6, "toa_segment",
		    t->both ? t->want_both : t->want);
	param_set("segments", "syn,ack,data");
	toa_set_both(false);
	fd = server_accepted(&s);
	check_has(&s, &c, fd, t->syn_v4 ? V4 ":1" : NULL, t->syn_v6 ? "[" V6 "]:1" : NULL);
}

/* One connection, however many of its segments have it. */
static void late(const void *arg)
{
	struct stats before;
	struct server s;
	struct conn c;
	int fd;

	need_late();
	server_open(&s, *(const enum kind *)arg, 5);
	fd = server_connect(&s, &c, NULL, NULL);
	param_set("late", "1");
	require(stats_get(&before));
	conn_data(&c, v6_opt(V6, 1), "data");
	check(data_reads(fd, "data"));
	check_moved(&before, "toa_late", 1, "ip6_address_alloc", 1);
	conn_data(&c, v6_opt(V6, 2), "data");
	check(data_reads(fd, "data"));
	check_moved(&before, "toa_late", 1, "ip6_address_alloc", 1);
	check_has(&s, &c, fd, NULL, "[" V6 "]:1");
	param_set("late", "0");
}

/* Of either family, and an entry with both is one. */
static void entries(const void *arg)
{
	const struct opts *opts[] = { v4_opt("198.51.100.1", 1), v6_opt(V6, 1), both() };
	struct stats before, during, after;
	struct server s;
	struct conn c;
	int i, fd[3];

	server_open(&s, *(const enum kind *)arg, 5);
	toa_set_both(true);
	require(stats_get(&before));
	for (i = 0; i < 3; i++)
		fd[i] = server_connect(&s, &c, NULL, opts[i]);
	require(stats_get(&during));
	toa_set_both(false);
	for (i = 0; i < 3; i++)
		reset(fd[i]);
	check(table_empties());
	require(stats_get(&after));
	check_num(stats_of(&during, "toa_entry_alloc") - stats_of(&before, "toa_entry_alloc"), 3);
	check_num(stats_of(&during, "toa_entry_free"), stats_of(&before, "toa_entry_free"));
	check_num(stats_of(&after, "toa_entry_free") - stats_of(&before, "toa_entry_free"), 3);
	check_num(stats_of(&after, "toa_entry_alloc"), stats_of(&during, "toa_entry_alloc"));
}

int main(int argc, char **argv)
{
	static const struct counted counts[] = {
		{ "none", INET, 0, 0 }, { "option 200", INET, 1, 0 },
		{ "option 253", INET, 0, 1 }, { "both", INET, 1, 1 },
		{ "mapped none", MAPPED, 0, 0 }, { "mapped option 200", MAPPED, 1, 0 },
		{ "mapped option 253", MAPPED, 0, 1 }, { "mapped both", MAPPED, 1, 1 },
		{ "AF_INET6 none", INET6, 0, 0 }, { "AF_INET6 option 200", INET6, 1, 0 },
		{ "AF_INET6 option 253", INET6, 0, 1 }, { "AF_INET6 both", INET6, 1, 1 },
	};
	static const struct said saids[] = {
		{ "another option 200", 1, 0, 1, 0, false, 1, 1, false },
		{ "another option 253", 0, 1, 0, 1, false, 1, 1, false },
		{ "both other", 1, 1, 1, 1, false, 3, 2, false },
		{ "one other", 1, 1, 1, 0, false, 2, 2, false },
		{ "the same", 1, 1, 1, 1, true, 2, 0, false },
		{ "the same option 200", 1, 0, 1, 0, true, 0, 0, false },
		{ "the same option 253", 0, 1, 0, 1, true, 0, 0, false },
		{ "one of each kind", 1, 0, 0, 1, false, 1, 1, false },
		{ "one of each kind, 253 first", 0, 1, 1, 0, false, 1, 1, false },
		{ "in the SYN only", 1, 1, 0, 0, false, 1, 0, false },
		{ "in the ACK only", 0, 0, 1, 1, false, 1, 0, false },
	};
	enum { SAIDS = sizeof(saids) / sizeof(saids[0]) };
	static struct said with_both[SAIDS];
	static const struct said elsewhere[] = {
		{ "option 200 in the ACK", 0, 0, 1, 0, false, 1, 1, false },
		{ "option 253 in the ACK", 0, 0, 0, 1, false, 1, 1, false },
		{ "both=1, both in the ACK", 0, 0, 1, 1, false, 2, 2, true },
		{ "one in SYN and ACK", 1, 0, 1, 0, false, 1, 1, false },
		{ "other kinds in SYN and ACK", 0, 1, 1, 0, false, 1, 1, false },
		{ "in the SYN only", 1, 0, 0, 0, false, 0, 0, false },
	};
	unsigned int i;

	test_add(header, NULL, "header line");
	test_add(first_rows, NULL, "first seven rows");
	test_add(own_rows, NULL, "rows behind the first seven");
	test_add(rows, NULL, "layout of the rows");
	test_add(mode, NULL, "mode 0444");
	test_add(only_initial, NULL, "initial namespace only");
	test_add(whole_host, NULL, "counts the whole host");
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		test_add(counted, &counts[i], "a connection counts, %s", counts[i].name);
	test_add_kinds(counted_once, "counted once in all segments");
	test_add(syn_alone, NULL, "a SYN alone counts nothing");
	test_add(invalid, NULL, "toa_invalid counts");
	for (i = 0; i < SAIDS; i++) {
		test_add(disagree, &saids[i], "SYN and ACK disagree, %s", saids[i].name);
		with_both[i] = saids[i];
		with_both[i].both = true;
		test_add(disagree, &with_both[i], "both=1, SYN and ACK disagree, %s",
			 saids[i].name);
	}
	for (i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
		test_add(other_segment, &elsewhere[i], "toa_segment counts, %s", elsewhere[i].name);
	test_add_kinds(late, "toa_late counts");
	test_add_kinds(entries, "entries made and gone");
	test_add(offline, NULL, "a CPU that goes offline");
	return toa_main("stats", "", argc, argv);
}
